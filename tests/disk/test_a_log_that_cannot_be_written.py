"""D1, D2: a full disk and a locked file under the running process; the policy, and well again."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import threading
from contextlib import closing, contextmanager

import pytest

from harness.process import PATIENCE, wait_for
from harness.providers import config, twilio
from harness.standins import twilio_accepts

DEGRADE = "log: {unavailable: degrade}\n"


@pytest.fixture
def stand_in(vendor):
    return vendor(twilio_accepts)


@pytest.fixture
def house(start, stand_in):
    def begin(policy=""):
        return start(config("sms", twilio(stand_in.url), more=policy))

    return begin


@contextmanager
def no_file_may_grow(sidecar):
    """No byte more can be written to a file, as on a full disk; pipes and sockets go on."""
    pid = sidecar.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def locked(path):
    """The write lock in another program's hand."""
    with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def statuses(tmp_path):
    with closing(sqlite3.connect(tmp_path / "data" / "deliveries.db")) as log:
        return dict(log.execute("select id, status from deliveries").fetchall())


def faults(tmp_path, sidecar):
    return {
        "full disk": lambda: no_file_may_grow(sidecar),
        "locked": lambda: locked(tmp_path / "data" / "deliveries.db"),
    }


@pytest.mark.parametrize("fault", ["full disk", "locked"])
def test_refuse_sends_nothing_without_a_row_and_is_well_again(house, stand_in, tmp_path, fault):
    sidecar = house()
    assert sidecar.send(id="before").status == 200
    with faults(tmp_path, sidecar)[fault]():
        for number in range(3):
            refused = sidecar.send(id=f"refused-{number}")
            assert (refused.status, refused.json["code"]) == (503, "log_unavailable")
            assert refused.headers["Retry-After"] == "1"
            assert refused.json["retryable"] is True
        assert len(stand_in.requests) == 1
        wait_for(lambda: sidecar.call("GET", "/readyz").status == 503, "readiness to turn red")
        assert sidecar.call("GET", "/livez").status == 200
        assert sidecar.call("GET", "/health").status == 200
        word = "disk" if fault == "full disk" else "locked"
        wait_for(
            lambda: any(word in e["reason"] for e in sidecar.events("log_unavailable")),
            f"a line that says {word}",
        )
    again = wait_for(lambda: (a := sidecar.send(id="refused-0")).status == 200 and a, "recovery")
    assert "logged" not in again.json
    assert len(stand_in.requests) == 2
    wait_for(lambda: sidecar.call("GET", "/readyz").status == 200, "readiness to turn green")
    assert sidecar.stop() == 0
    found = statuses(tmp_path)
    assert {found.pop("before"), found.pop("refused-0")} == {"accepted"}
    assert set(found.values()) <= {"unavailable", "failed"}, "refused, or taken back"
    assert "Traceback" not in sidecar.errors.read_text()


@pytest.mark.parametrize("fault", ["full disk", "locked"])
def test_degrade_sends_and_says_that_it_is_not_logged(house, stand_in, tmp_path, fault):
    sidecar = house(DEGRADE)
    assert "logged" not in sidecar.send(id="before").json
    with faults(tmp_path, sidecar)[fault]():
        for number in range(3):
            sent = sidecar.send(id=f"gap-{number}")
            assert (sent.status, sent.json["logged"]) == (200, False)
        assert len(stand_in.requests) == 4
        assert sidecar.call("GET", "/readyz").status == 200
    wait_for(lambda: "logged" not in sidecar.send().json, "recovery")
    assert sidecar.stop() == 0
    told = [line for line in sidecar.events("delivery") if line.get("logged") is False]
    assert {line["id"] for line in told} >= {"gap-0", "gap-1", "gap-2"}


@pytest.mark.parametrize("fault", ["full disk", "locked"])
def test_an_end_that_was_not_taken_is_kept_and_written_later(house, stand_in, tmp_path, fault):
    stand_in.gate = threading.Event()
    sidecar = house()
    answers = []
    caller = threading.Thread(target=lambda: answers.append(sidecar.send(id="under-way")))
    caller.start()
    wait_for(lambda: stand_in.requests, "the send in flight")
    with faults(tmp_path, sidecar)[fault]():
        stand_in.gate.set()
        caller.join(PATIENCE)
        assert answers[0].status == 200
        assert b"otp_log_unwritten 1.0" in sidecar.call("GET", "/metrics").body
        replayed = sidecar.call("GET", "/v1/messages/under-way")
        assert replayed.json["status"] == "accepted"
    wait_for(
        lambda: b"otp_log_unwritten 0.0" in sidecar.call("GET", "/metrics").body, "it to be written"
    )
    assert statuses(tmp_path) == {"under-way": "accepted"}


def test_a_lock_holds_up_nothing_but_the_sends(house, tmp_path):
    sidecar = house()
    assert sidecar.send().status == 200
    answers = []
    with locked(tmp_path / "data" / "deliveries.db"):
        callers = [
            threading.Thread(target=lambda: answers.append(sidecar.send())) for _ in range(20)
        ]
        for caller in callers:
            caller.start()
        for _ in range(10):
            assert sidecar.call("GET", "/livez").status == 200
        for caller in callers:
            caller.join(PATIENCE)
    assert {answer.json["code"] for answer in answers} == {"log_unavailable"}
    wait_for(lambda: sidecar.send().status == 200, "recovery")
    assert {e["provider"] for e in sidecar.events("loop_blocked")} <= {None}


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 512 KiB; the few bytes that are left when it is filled are for nobody."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a tmpfs")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place):
    with (place / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"x" * 4096)
        except OSError:
            return


def test_a_disk_that_is_really_full(start, stand_in, tiny_disk):
    text = f"log: {{path: '{tiny_disk}/deliveries.db'}}\n"
    sidecar = start(config("sms", twilio(stand_in.url), more=text))
    assert sidecar.send().status == 200
    fill(tiny_disk)
    # What is allocated already may still take a row or two.
    wait_for(lambda: sidecar.send(purpose="x" * 60).status == 503, "the disk to refuse")
    before = len(stand_in.requests)
    refused = sidecar.send()
    assert (refused.status, refused.json["code"]) == (503, "log_unavailable")
    assert len(stand_in.requests) == before
    wait_for(
        lambda: any("full" in e["reason"] for e in sidecar.events("log_unavailable")),
        "a line that says full",
    )
    (tiny_disk / "ballast").unlink()
    wait_for(lambda: sidecar.send().status == 200, "recovery")
    assert sidecar.stop() == 0
