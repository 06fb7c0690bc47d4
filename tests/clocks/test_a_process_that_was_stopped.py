"""K2: SIGSTOP, SIGCONT. What is past its deadline then fails fast and is not sent late."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import ExitStack, closing

import pytest

from harness.process import PATIENCE, PHONE, TEXT, Sidecar, let_pass, wait_for
from harness.providers import config, twilio
from harness.standins import twilio_accepts

STOP = 2.5
HEADERS = {"Content-Type": "application/json"}


def body(**fields):
    return json.dumps({"channel": "sms", "to": PHONE, "text": TEXT, **fields}).encode()


@pytest.fixture
def two(vendor):
    first, second = vendor(twilio_accepts), vendor(twilio_accepts)
    return first, second, config("sms", twilio(first.url), twilio(second.url, "second"))


@pytest.fixture
def over_tcp():
    with ExitStack() as opened:

        def connect(sidecar):
            connection = http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=PATIENCE)
            return opened.enter_context(closing(connection))

        yield connect


@pytest.fixture
def over_unix():
    with ExitStack() as opened:

        def connect(path):
            connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
            opened.enter_context(closing(connection))
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(PATIENCE)
            connection.sock.connect(str(path))
            return connection

        yield connect


def answer(connection):
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_a_send_under_way_tries_no_other_provider_after_its_deadline(start, two):
    first, second, text = two
    first.gate = threading.Event()
    sidecar = start(text)
    answers = []
    caller = threading.Thread(target=lambda: answers.append(sidecar.send(deadline=1)))
    caller.start()
    wait_for(lambda: first.requests, "the first provider to be called")
    with sidecar.stopped():
        let_pass(STOP)
    caller.join(PATIENCE)
    assert answers[0].trail == [("twilio", "unknown"), ("second", "skipped")]
    assert answers[0].status == 202
    assert second.requests == []
    assert sidecar.stop() == 0
    assert sidecar.events("loop_blocked") == []


@pytest.mark.parametrize("kept_alive", [False, True])
def test_what_waited_in_the_socket_past_its_deadline_is_not_sent(start, two, over_tcp, kept_alive):
    first, second, text = two
    sidecar = start(text)
    early, patient = over_tcp(sidecar), over_tcp(sidecar)
    if kept_alive:
        for connection in (early, patient):
            connection.request("GET", "/livez")
            assert connection.getresponse().read()
    with sidecar.stopped():
        early.request("POST", "/v1/send", body(deadline=1), HEADERS)
        patient.request("POST", "/v1/send", body(deadline=20), HEADERS)
        let_pass(STOP)
        late = over_tcp(sidecar)
        late.request("POST", "/v1/send", body(deadline=2), HEADERS)
    status, refused = answer(early)
    assert (status, refused["code"], refused["retryable"]) == (504, "deadline_exceeded", True)
    assert answer(patient)[0] == 200
    assert answer(late)[0] == 200, "it came in the last moment, and has its time before it"
    assert len(first.requests) + len(second.requests) == 2
    assert sidecar.send(deadline=1).status == 200


def test_a_refused_one_may_be_sent_again_under_its_key(start, two, over_tcp):
    first, _, text = two
    sidecar = start(text)
    early = over_tcp(sidecar)
    keyed = {**HEADERS, "Idempotency-Key": "k-1"}
    with sidecar.stopped():
        early.request("POST", "/v1/send", body(deadline=1), keyed)
        let_pass(STOP)
    assert answer(early)[0] == 504
    again = sidecar.send(deadline=1, headers={"Idempotency-Key": "k-1"})
    assert (again.status, again.json["replayed"]) == (200, False)
    assert len(first.requests) == 1


def test_on_a_unix_socket_nothing_tells_so_the_worst_is_taken(
    tmp_path, environ, two, over_unix, request
):
    first, second, text = two
    path = tmp_path / "api.sock"
    (tmp_path / "providers.yaml").write_text(f"server: {{listen: 'unix:{path}'}}\n{text}")
    sidecar = Sidecar(tmp_path / "providers.yaml", environ)
    request.addfinalizer(sidecar.stop)
    wait_for(lambda: sidecar.events("ready"), "ready")
    early, patient = over_unix(path), over_unix(path)
    with sidecar.stopped():
        early.request("POST", "/v1/send", body(deadline=1), HEADERS)
        patient.request("POST", "/v1/send", body(deadline=20), HEADERS)
        let_pass(STOP)
    assert answer(early)[0] == 504
    assert answer(patient)[0] == 200
    assert len(first.requests) + len(second.requests) == 1

    def well_again():
        connection = over_unix(path)
        connection.request("POST", "/v1/send", body(deadline=1), HEADERS)
        return answer(connection)[0] == 200

    wait_for(well_again, "sends to be taken as before")
    assert sidecar.stop() == 0
