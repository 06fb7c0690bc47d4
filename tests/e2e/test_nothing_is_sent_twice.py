"""Keys, replays, crashes: the vendor's own ledger says how often a message was taken."""

from __future__ import annotations

import http.client
import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from harness.process import PATIENCE, wait_for
from harness.providers import config, twilio
from harness.standins import twilio_accepts

KEY = {"Idempotency-Key": "login-0001"}


def test_the_same_key_and_body_is_answered_from_the_log(start, vendor):
    stand_in = vendor(twilio_accepts)
    sidecar = start(config("sms", twilio(stand_in.url)))
    first = sidecar.send(headers=KEY)
    again = sidecar.send(headers={"Idempotency-Key": '"login-0001"'})
    assert again.status == 200
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json == {**first.json, "replayed": True}
    assert sidecar.call("GET", f"/v1/messages/{first.json['id']}").json == first.json
    assert len(stand_in.requests) == 1


def test_the_body_is_compared_as_values(start, vendor):
    stand_in = vendor(twilio_accepts)
    sidecar = start(config("sms", twilio(stand_in.url)))
    one = b'{"channel":"sms","to":"+14155552671","text":"Code 1","expires_in":300}'
    same = b'{ "expires_in": 300.0, "text": "Code \\u0031",\n"to":"+14155552671","channel":"sms"}'
    assert sidecar.call("POST", "/v1/send", one, KEY).json["replayed"] is False
    assert sidecar.call("POST", "/v1/send", same, KEY).json["replayed"] is True
    assert len(stand_in.requests) == 1


def test_the_same_key_with_another_body_is_refused(start, vendor):
    stand_in = vendor(twilio_accepts)
    sidecar = start(config("sms", twilio(stand_in.url)))
    sidecar.send(headers=KEY)
    answer = sidecar.send(headers=KEY, text="Your code is 000000")
    assert (answer.status, answer.json["code"]) == (422, "key_reused")
    assert len(stand_in.requests) == 1


def test_an_id_is_a_key_too(start, vendor):
    stand_in = vendor(twilio_accepts)
    sidecar = start(config("sms", twilio(stand_in.url)))
    first, again = sidecar.send(id="m-1"), sidecar.send(id="m-1")
    assert first.json["id"] == "m-1"
    assert again.json["replayed"] is True
    assert sidecar.send(id="m-1", text="another").status == 422
    assert len(stand_in.requests) == 1


def test_what_surely_was_not_sent_may_run_again(start, vendor):
    stand_in = vendor(lambda r: (503, {}, b"down"))
    sidecar = start(config("sms", twilio(stand_in.url)))
    failed = sidecar.send(headers=KEY)
    assert (failed.status, failed.json["retryable"]) == (502, True)
    assert int(failed.headers["Retry-After"]) >= 1
    stand_in.answer = twilio_accepts
    answer = sidecar.send(headers=KEY)
    assert (answer.status, answer.json["replayed"]) == (200, False)
    assert answer.json["id"] == failed.json["id"]


def test_a_hundred_callers_with_one_key_send_once(start, vendor):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    sidecar = start(config("sms", twilio(stand_in.url)))
    with ThreadPoolExecutor(100) as callers:
        waiting = [
            callers.submit(sidecar.send, headers={**KEY, "Prefer": "wait" if i % 2 else ""})
            for i in range(100)
        ]
        wait_for(lambda: stand_in.requests, "the one send")
        wait_for(lambda: sum(f.done() for f in waiting) >= 49, "the callers who do not wait")
        stand_in.gate.set()
        answers = [f.result(PATIENCE) for f in waiting]
    assert len(stand_in.requests) == 1
    assert {a.status for a in answers} <= {200, 409}
    assert sum(a.status == 200 and not a.json["replayed"] for a in answers) == 1
    assert all(a.json["code"] == "in_flight" for a in answers if a.status == 409)
    assert sum(a.status == 200 for a in answers) >= 50, "those who prefer to wait get the outcome"


def test_kill_9_between_sending_and_the_outcome_sends_no_second_text(start, vendor, tmp_path):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    text = config("sms", twilio(stand_in.url))
    sidecar = start(text)
    caller = threading.Thread(target=lambda: _ignored(sidecar, id="m-1"))
    caller.start()
    wait_for(lambda: stand_in.requests, "the request to reach the vendor")
    sidecar.kill()
    caller.join(PATIENCE)
    stand_in.gate.set()

    again = start(text)
    (recovered,) = again.events("recovered")
    assert (recovered["attempts"], recovered["deliveries"]) == (1, 1)
    answer = again.send(id="m-1")
    assert answer.status == 202
    assert answer.json["status"] == "unknown"
    assert answer.json["replayed"] is True
    assert answer.trail == [("twilio", "unknown")]
    assert len(stand_in.requests) == 1, "recovery never sends, and the key remembers"
    again.stop()
    with sqlite3.connect(tmp_path / "data" / "deliveries.db") as log:
        assert log.execute("select status from deliveries").fetchall() == [("unknown",)]
        assert log.execute("select outcome from attempts").fetchall() == [("unknown",)]
    log.close()


def _ignored(sidecar, **fields):
    with suppress(OSError):
        sidecar.send(**fields)


def test_a_caller_that_hangs_up_does_not_stop_the_send(start, vendor):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    sidecar = start(config("sms", twilio(stand_in.url)))
    connection = http.client.HTTPConnection("127.0.0.1", sidecar.port)
    body = {"channel": "sms", "to": "+14155552671", "text": "Your code is 1", "id": "m-1"}
    connection.request("POST", "/v1/send", json.dumps(body), {"Content-Type": "application/json"})
    wait_for(lambda: stand_in.requests, "the send")
    connection.close()
    stand_in.gate.set()

    def logged():
        answer = sidecar.call("GET", "/v1/messages/m-1")
        return answer.status == 200 and answer.json["status"] == "accepted"

    wait_for(logged, "the delivery to end")
    assert len(stand_in.requests) == 1
