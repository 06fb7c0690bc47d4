"""G5: a provider that cannot be built, opened or closed is out, visibly; the others run."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import suppress
from http.client import HTTPException

import pytest

from harness import guests
from harness.process import CODE, PATIENCE, PHONE, run_command, wait_for
from harness.providers import config

SLACK = 1.5
"""Seconds past the longest end, for a busy machine to take note of it."""
DEAF = (
    "while True:\n            try: await asyncio.sleep(999)\n            except BaseException: pass"
)


def guest(kind, method, body):
    """A guest whose `method` does `body`; the signature is written for any."""
    start = "def" if method in ("__init__", "inbox") else "async def"
    first = "super().__init__(*a)" if method == "__init__" else "pass"
    return (
        f"class {kind.title()}(Guest):\n    kind = {kind!r}\n"
        f"    {start} {method}(self, *a, **k):\n        {first}\n        {body}\n"
    )


OPENING = {
    "builds": ("__init__", "raise SystemExit(3)", "SystemExit"),
    "raises": ("__aenter__", f"raise ValueError('{CODE} {PHONE}')", "ValueError"),
    "exits": ("__aenter__", f"raise SystemExit('{CODE}')", "SystemExit"),
    "cancels": ("__aenter__", "raise asyncio.CancelledError", "CancelledError"),
    "hangs": ("__aenter__", "await asyncio.sleep(999)", "it did not open within 5 s"),
    "deaf": ("__aenter__", DEAF, "it did not open within 5 s"),
    "hollow": (
        "__aenter__",
        "raise type('H', (Unavailable,), {'__init__': lambda self: None})",
        "H",
    ),
}
CLOSING = {
    "raises": f"raise ValueError('{CODE} {PHONE}')",
    "exits": f"raise SystemExit('{CODE}')",
    "cancels": "raise asyncio.CancelledError",
    "hangs": "await asyncio.sleep(999)",
    "deaf": DEAF,
}
WAITS = f"    async def wait(self):\n        {DEAF}"
HOLDS_THE_END = {
    "thread": ("__aenter__", "threading.Thread(target=time.sleep, args=(999,)).start()"),
    "worker": (
        "__aenter__",
        "asyncio.get_running_loop().run_in_executor(None, time.sleep, 999)",
    ),
    "blocks": ("__aexit__", "time.sleep(999)"),
    "spins": ("__aexit__", "\n        while True: pass"),
}


def test_what_cannot_be_opened_is_left_out_and_the_others_run(start, tmp_path):
    text = "\n".join(guest(kind, method, body) for kind, (method, body, _) in OPENING.items())
    found = guests.install(tmp_path, f"{text}\nclass Good(Guest): kind = 'good'", "good", *OPENING)
    names = [f"{kind}: {{}}" for kind in OPENING]
    sidecar = start(config("sms", *names, "good: {}"), **found)
    assert sidecar.send().trail == [*((kind, "skipped") for kind in OPENING), ("good", "accepted")]
    broken = {kind: sidecar.health("sms", kind)["broken"] for kind in OPENING}
    for kind, (method, _, reason) in OPENING.items():
        assert re.fullmatch(rf"{reason}( at guest\.py:\d+ in {method})?", broken[kind])
    assert " at guest.py:" in broken["raises"]
    assert {e["provider"] for e in sidecar.events("provider_broken")} == set(OPENING)
    assert sidecar.stop() == 0
    said = "".join(sidecar.raw) + sidecar.errors.read_text()
    assert CODE not in said
    assert "Traceback" not in said


def test_what_cannot_be_closed_holds_up_nothing(start, tmp_path):
    text = "\n".join(guest(kind, "__aexit__", body) for kind, body in CLOSING.items())
    found = guests.install(tmp_path, text, *CLOSING)
    settings = config("sms", *(f"{kind}: {{}}" for kind in CLOSING))
    (tmp_path / "providers.yaml").write_text(
        f"server: {{listen: '127.0.0.1:0', drain: 3s}}\n{settings}"
    )
    sidecar = start(**found)
    assert sidecar.send().status == 200
    began = time.monotonic()
    assert sidecar.stop() == 0
    assert time.monotonic() - began < 3 + 2 + SLACK
    assert {e["provider"] for e in sidecar.events("provider_close_failed")} == set(CLOSING)
    assert sidecar.events("stopped")
    said = "".join(sidecar.raw) + sidecar.errors.read_text()
    assert CODE not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("kind", HOLDS_THE_END)
def test_neither_a_thread_nor_a_blocking_close_keeps_it_from_ending(start, tmp_path, kind):
    found = guests.install(tmp_path, guest(kind, *HOLDS_THE_END[kind]), kind)
    (tmp_path / "providers.yaml").write_text(
        f"server: {{listen: '127.0.0.1:0', drain: 1s}}\n{config('sms', f'{kind}: {{}}')}"
    )
    sidecar = start(**found)
    assert sidecar.send().status == 200
    began = time.monotonic()
    assert sidecar.stop() == 0
    assert time.monotonic() - began < 1 + 2 + SLACK
    assert sidecar.errors.read_text() == ""


def test_sigterm_ends_it_even_while_a_guest_blocks_the_loop(start, tmp_path):
    found = guests.install(tmp_path, guest("blocks", "send", "time.sleep(999)"), "blocks")
    (tmp_path / "providers.yaml").write_text(
        f"server: {{listen: '127.0.0.1:0', drain: 1s}}\n{config('sms', 'blocks: {}')}"
    )
    sidecar = start(**found)

    def ignored():
        with suppress(OSError, HTTPException):
            sidecar.send()

    caller = threading.Thread(target=ignored)
    caller.start()
    wait_for(lambda: sidecar.events("loop_blocked"), "the loop to be blocked")
    began = time.monotonic()
    assert sidecar.stop() == 0
    assert time.monotonic() - began < 1 + 2 + SLACK
    caller.join(PATIENCE)


@pytest.mark.parametrize("kind", [*HOLDS_THE_END, "deaf"])
def test_a_port_that_is_taken_ends_it_with_69_though_a_guest_holds_up_the_end(
    start, environ, tmp_path, kind
):
    held = {**HOLDS_THE_END, "deaf": ("__aenter__", f"asyncio.create_task(self.wait())\n{WAITS}")}
    found = guests.install(tmp_path, guest(kind, *held[kind]), kind)
    other = tmp_path / "other"
    other.mkdir()
    port = start("providers: {console: {}}\nchains: {sms: [console]}\n").port
    (other / "providers.yaml").write_text(
        f"server: {{listen: '127.0.0.1:{port}'}}\n{config('sms', f'{kind}: {{}}')}"
    )
    ended = run_command(other, {**environ, **found}, "run")
    assert ended.returncode == 69
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "body",
    [
        f"raise ValueError('{CODE}')",
        f"raise SystemExit('{CODE}')",
        "return 7",
        "return [7]",
        "from sidecar import InboxItem; return [InboxItem('1', 'sms', 'x', 'text', None, 'now')]",
    ],
)
def test_an_inbox_that_fails_is_none(start, tmp_path, body):
    found = guests.install(tmp_path, guest("box", "inbox", body), "box")
    sidecar = start(config("sms", "box: {}"), **found)
    assert sidecar.call("GET", "/v1/inbox").status == 404
    assert sidecar.call("GET", "/inbox").status == 404
    assert sidecar.send().status == 200
    told = wait_for(lambda: sidecar.events("inbox_failed"), "that to be told")
    assert told[0]["provider"] == "box"
    assert sidecar.stop() == 0
    assert CODE not in "".join(sidecar.raw) + sidecar.errors.read_text()


CHECKS = {
    "raises": (f"raise ValueError('{CODE}')", "unreachable", "ValueError"),
    "exits": (f"raise SystemExit('{CODE}')", "unreachable", "SystemExit"),
    "cancels": ("raise asyncio.CancelledError", "unreachable", "CancelledError"),
    "tells": ("raise Unavailable('no route', code='X1')", "unreachable", "no route (X1)"),
    "number": ("return 7", "unreachable", "returned int"),
    "state": (
        "from sidecar import AccountReport; return AccountReport('fine', 'x')",
        "unreachable",
        "AccountReport",
    ),
    "facts": (
        "import sidecar as s; return s.AccountReport(s.AccountState.READY, 'fine', {1: 1, 'b': 1})",
        "ready",
        "fine",
    ),
    "nothing": ("return None", "nothing_to_check", ""),
}


def test_an_account_check_that_fails_is_a_report(environ, tmp_path):
    text = "\n".join(guest(kind, "check", body) for kind, (body, _, _) in CHECKS.items())
    found = guests.install(tmp_path, text, *CHECKS)
    (tmp_path / "providers.yaml").write_text(config("sms", *(f"{kind}: {{}}" for kind in CHECKS)))
    ended = run_command(tmp_path, {**environ, **found}, "check", "--online", "--json")
    assert (ended.returncode, ended.stderr) == (1, "")
    reports = {report["kind"]: report for report in json.loads(ended.stdout)}
    assert {kind: r["state"] for kind, r in reports.items()} == {k: v[1] for k, v in CHECKS.items()}
    for kind, (_, _, words) in CHECKS.items():
        assert words in reports[kind]["summary"]
    assert reports["facts"]["facts"] == {"b": 1}
    assert CODE not in ended.stdout
