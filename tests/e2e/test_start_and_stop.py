"""How it begins and ends, and what it says when it cannot."""

from __future__ import annotations

import fcntl
import http.client
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from harness.process import PATIENCE, Sidecar, let_pass, run_command, wait_for
from harness.providers import config, twilio
from harness.standins import twilio_accepts

CONSOLE = "providers: {console: {}}\nchains: {sms: [console]}\n"


def run(tmp_path, environ, *arguments, text=None):
    if text is not None:
        (tmp_path / "providers.yaml").write_text(text)
    return run_command(tmp_path, environ, *arguments)


def test_sigterm_ends_it_with_0_and_every_row_written(start, vendor, tmp_path):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    sidecar = start(
        config("sms", twilio(stand_in.url), more="limits: {in_flight_per_provider: 100}")
    )
    answers = []
    callers = [
        threading.Thread(target=lambda n=n: answers.append(sidecar.send(id=f"m-{n}")))
        for n in range(100)
    ]
    for caller in callers:
        caller.start()
    wait_for(lambda: len(stand_in.requests) == 100, "a hundred sends in flight")
    sidecar.process.terminate()
    wait_for(lambda: sidecar.events("stopping"), "the drain to begin")
    stand_in.gate.set()
    for caller in callers:
        caller.join(PATIENCE)
    assert [a.status for a in answers] == [200] * 100
    assert sidecar.process.wait(PATIENCE) == 0  # a second SIGTERM would not wait for its lines
    sidecar.stop()
    assert len(sidecar.events("delivery")) == 100
    with closing(sqlite3.connect(tmp_path / "data" / "deliveries.db")) as log:
        rows = log.execute("select status, count(*) from deliveries group by 1").fetchall()
    assert rows == [("accepted", 100)]


def test_draining_takes_no_new_send(start, vendor):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    sidecar = start(config("sms", twilio(stand_in.url)))
    kept = http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=PATIENCE)
    kept.request("GET", "/livez")
    kept.getresponse().read()
    caller = threading.Thread(target=lambda: sidecar.send(id="m-1"))
    caller.start()
    wait_for(lambda: stand_in.requests, "a send in flight")
    sidecar.process.terminate()
    wait_for(lambda: sidecar.events("stopping"), "the drain to begin")
    body = b'{"channel": "sms", "to": "+14155552671", "text": "1"}'
    kept.request("POST", "/v1/send", body, {"Content-Type": "application/json"})
    refused = kept.getresponse()
    assert refused.status == 503
    assert b'"draining"' in refused.read()
    kept.request("GET", "/readyz")
    assert kept.getresponse().status == 503
    kept.close()
    stand_in.gate.set()
    caller.join(PATIENCE)
    assert sidecar.stop() == 0


def test_a_second_sigterm_ends_it_at_once(start, vendor):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    sidecar = start(config("sms", twilio(stand_in.url)))

    def ignored():
        with suppress(OSError, http.client.HTTPException):
            sidecar.send()

    caller = threading.Thread(target=ignored)
    caller.start()
    wait_for(lambda: stand_in.requests, "a send in flight")
    sidecar.process.terminate()
    wait_for(lambda: sidecar.events("stopping"), "the drain to begin")
    assert sidecar.stop() == 0
    caller.join(PATIENCE)


def test_a_send_longer_than_the_drain_is_answered_as_unknown(start, vendor, tmp_path):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    (tmp_path / "providers.yaml").write_text(
        "server: {listen: '127.0.0.1:0', drain: 100ms}\n" + config("sms", twilio(stand_in.url))
    )
    sidecar = start()
    answers = []
    caller = threading.Thread(target=lambda: answers.append(sidecar.send(id="m-1")))
    caller.start()
    wait_for(lambda: stand_in.requests, "a send in flight")
    assert sidecar.stop() == 0
    caller.join(PATIENCE)
    assert (answers[0].status, answers[0].trail) == (202, [("twilio", "unknown")])


def test_a_log_that_was_removed_refuses_and_says_so(start, tmp_path):
    sidecar = start(CONSOLE)
    assert sidecar.send().status == 200
    shutil.rmtree(tmp_path / "data")
    answer = sidecar.send()
    assert (answer.status, answer.json["code"]) == (503, "log_unavailable")
    told = wait_for(lambda: sidecar.events("log_unavailable"), "the line")
    assert "removed" in told[0]["reason"]
    wait_for(lambda: sidecar.call("GET", "/readyz").status == 503, "readiness to turn red")
    assert sidecar.call("GET", "/livez").status == 200


def test_a_taken_port_ends_it_with_69_and_one_line(tmp_path, environ):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = f"server: {{listen: '127.0.0.1:{port}'}}\n{CONSOLE}"
        ended = run(tmp_path, environ, "run", text=text)
    assert ended.returncode == 69
    assert len(ended.stderr.strip().splitlines()) == 1
    assert f"127.0.0.1:{port}" in ended.stderr


def test_a_log_in_use_ends_it_with_69_and_one_line(start, tmp_path, environ):
    start(CONSOLE)
    ended = run(tmp_path, environ, "run")
    assert ended.returncode == 69
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "deliveries.db" in ended.stderr


def test_a_bad_configuration_ends_it_with_78_and_a_place(tmp_path, environ):
    text = "providers:\n  sendgird: {api_key: x}\nchains: {email: [sendgrid]}\n"
    ended = run(tmp_path, environ, "run", text=text)
    assert ended.returncode == 78
    assert "providers.yaml:2:" in ended.stderr
    assert "sendgrid" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_file_at_all_says_how_to_get_one(tmp_path, environ):
    ended = run(tmp_path, environ, "run")
    assert ended.returncode == 78
    assert "config init" in ended.stderr


def test_console_refuses_production(tmp_path, environ):
    ended = run(tmp_path, environ, "check", text=f"environment: production\n{CONSOLE}")
    assert ended.returncode == 78
    assert "console" in ended.stderr


def test_a_unix_socket_is_for_its_owner_alone_and_a_stale_one_is_replaced(tmp_path, start):
    path = tmp_path / "run" / "api.sock"
    (tmp_path / "providers.yaml").write_text(f"server: {{listen: 'unix:{path}'}}\n{CONSOLE}")

    def ask():
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(str(path))
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
        connection.close()
        return status

    environ = {"PATH": "/usr/bin", "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    for _ in range(2):  # the second start finds the first one's socket, which nobody listens on
        sidecar = Sidecar(tmp_path / "providers.yaml", environ)
        wait_for(lambda s=sidecar: s.events("ready"), "ready")
        assert ask() == 200
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        sidecar.kill()


def test_a_file_in_the_place_of_the_socket_is_left_alone(tmp_path, environ):
    path = tmp_path / "precious"
    path.write_text("keep me")
    ended = run(tmp_path, environ, "run", text=f"server: {{listen: 'unix:{path}'}}\n{CONSOLE}")
    assert ended.returncode == 69
    assert path.read_text() == "keep me"


def test_the_ops_listener_serves_probes_and_nothing_else(tmp_path, start):
    (tmp_path / "providers.yaml").write_text(
        "server: {listen: '127.0.0.1:0', ops_listen: '127.0.0.1:0'}\n" + CONSOLE
    )
    sidecar = start()
    (ready,) = sidecar.events("ready")
    sidecar.where = ready["listen"][1]
    host = {"Host": "10.1.2.3:8781"}
    assert sidecar.call("GET", "/livez", headers=host).status == 200
    assert sidecar.call("GET", "/readyz", headers=host).status == 200
    assert b"otp_build_info" in sidecar.call("GET", "/metrics", headers=host).body
    assert sidecar.call("GET", "/health", headers=host).status == 404
    assert sidecar.send().status == 404


def test_a_provider_that_cannot_be_opened_is_left_out_visibly_and_the_others_run(
    start, vendor, tmp_path
):
    (tmp_path / "bad.pem").write_text("no certificate")
    broken = (
        f"smtp: {{host: mail.example.com, ca_file: '{tmp_path}/bad.pem', "
        "username: u, password: canary-password, sender: codes@example.com}"
    )
    sidecar = start(config("email", broken, "console: {}"))
    answer = sidecar.send("email")
    assert answer.trail == [("smtp", "skipped"), ("console", "accepted")]
    standing = sidecar.health("email", "smtp")
    assert (standing["usable"], standing["skipped_because"]) == (False, "broken")
    assert "ca_file" in standing["broken"]
    assert sidecar.call("GET", "/health").json["chains"]["email"]["status"] == "degraded"
    (told,) = sidecar.events("provider_broken")
    assert (told["provider"], told["level"]) == ("smtp", "error")


def test_a_hangup_while_it_starts_does_not_end_it(tmp_path, environ):
    (tmp_path / "providers.yaml").write_text(f"server: {{listen: '127.0.0.1:0'}}\n{CONSOLE}")
    sidecar = Sidecar(tmp_path / "providers.yaml", environ)
    status = Path(f"/proc/{sidecar.process.pid}/status")

    def ignores_or_hears():
        masks = dict(line.split(":\t") for line in status.read_text().splitlines() if "Sig" in line)
        return (int(masks["SigIgn"], 16) | int(masks["SigCgt"], 16)) & 1  # of SIGHUP, number 1

    wait_for(ignores_or_hears, "it to be past Python's own start")
    while not sidecar.events("ready"):
        assert sidecar.process.poll() is None
        sidecar.process.send_signal(signal.SIGHUP)
        let_pass(0.02)
    assert sidecar.ready().send().status == 200
    assert sidecar.stop() == 0


WITHOUT_STDOUT = ["sh", "-c", 'exec "$0" "$@" >&-']


@pytest.mark.parametrize("gone", ["full", "closed", "absent", "unread"])
def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(tmp_path, environ, gone):
    listen = f"server: {{listen: 'unix:{tmp_path}/s/api.sock'}}\n"
    (tmp_path / "providers.yaml").write_text(listen + CONSOLE)
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [*(WITHOUT_STDOUT if gone == "absent" else []), sys.executable, "-m", "sidecar", "run"],
            cwd=tmp_path,
            env=environ,
            stdout=full if gone == "full" else subprocess.PIPE,
        )
    if gone == "unread":
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4_096)  # room for ten lines
    elif process.stdout is not None:
        process.stdout.close()

    def call(method, path, body=None):
        with closing(http.client.HTTPConnection("localhost", timeout=PATIENCE)) as connection:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(f"{tmp_path}/s/api.sock")
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def digest():
        with suppress(OSError):
            return call("GET", "/health")[1]["config"]["digest"]

    try:
        before = wait_for(digest, "it to serve")
        body = b'{"channel": "sms", "to": "+14155552671", "text": "1"}'
        for _ in range(20):
            assert call("POST", "/v1/send", body)[0] == 200
        for seconds in (2, 3):
            text = CONSOLE.replace("console: {}", f"console: {{timeout: {seconds}s}}")
            (tmp_path / "providers.yaml").write_text(listen + text)
            process.send_signal(signal.SIGHUP)
            wait_for(lambda last=before: digest() != last, "the reload")
            before = digest()
    finally:
        process.terminate()
        ended = process.wait(PATIENCE)
    assert ended == 0
    if gone == "unread":
        with process.stdout as unread:
            assert json.loads(unread.readline())["event"] == "ready"


def test_a_crash_that_was_asked_for_loses_no_line(tmp_path, environ):
    (tmp_path / "providers.yaml").write_text(f"server: {{listen: '127.0.0.1:0'}}\n{CONSOLE}")
    asked = {**environ, "OTP_SIDECAR_CRASH_AT": "written:31"}
    sidecar = Sidecar(tmp_path / "providers.yaml", asked).ready()
    answers = [sidecar.send().json["id"] for _ in range(30)]
    with pytest.raises((OSError, http.client.HTTPException)):
        sidecar.send()
    sidecar.kill()
    assert [line["id"] for line in sidecar.events("delivery")] == answers
