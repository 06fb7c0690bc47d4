"""A circuit's life as operators see it: five failures, skipped, tested, closed again."""

from __future__ import annotations

from harness.process import wait_for
from harness.providers import config, sendgrid, twilio
from harness.standins import sendgrid_accepts, twilio_accepts

QUICK = "breaker: {recovery_timeout: 1s}"


def fails(request):
    return 503, {}, b"<html>upstream is down</html>"


def test_five_failures_open_then_sends_skip_it_then_two_successes_close(start, vendor):
    first, second = vendor(fails), vendor(twilio_accepts)
    chain = config("sms", twilio(first.url, "first"), twilio(second.url, "second"), more=QUICK)
    sidecar = start(chain)
    for failures in range(1, 6):
        answer = sidecar.send()
        assert answer.trail == [("first", "unavailable"), ("second", "accepted")]
        state = "open" if failures == 5 else "closed"
        assert answer.json["attempts"][0]["circuit"] == f"{state} {failures}/5"
    assert len(first.requests) == 5

    answer = sidecar.send()
    assert answer.trail == [("first", "skipped"), ("second", "accepted")]
    assert answer.json["attempts"][0]["reason"] == "circuit_open"
    assert len(first.requests) == 5, "an open circuit is not called"

    first.answer = twilio_accepts

    def circuit():
        return sidecar.health("sms", "first")["circuit"]

    wait_for(lambda: circuit()["state"] == "half_open", "half_open")
    assert sidecar.send().trail == [("first", "accepted")]
    assert circuit()["state"] == "half_open", "one success is not enough"
    assert sidecar.send().trail == [("first", "accepted")]
    assert circuit()["state"] == "closed"
    told = wait_for(lambda: sidecar.events("circuit")[1:] and sidecar.events("circuit"), "both")
    changes = [(e["before"], e["after"]) for e in told]
    assert changes == [("closed", "open"), ("half_open", "closed")]
    page = sidecar.call("GET", "/metrics").body.decode()
    assert 'otp_breaker_state{provider="first",state="closed"} 1.0' in page
    assert 'otp_breaker_transitions_total{provider="first",to="open"} 1.0' in page


def test_four_failures_and_a_success_never_open_it(start, vendor):
    stand_in, spare = vendor(fails), vendor(twilio_accepts)
    sidecar = start(config("sms", twilio(stand_in.url, "one"), twilio(spare.url, "spare")))
    for _ in range(3):
        stand_in.answer = fails
        for _ in range(4):
            sidecar.send()
        stand_in.answer = twilio_accepts
        assert sidecar.send().trail == [("one", "accepted")]
    assert sidecar.health("sms", "one")["circuit"]["state"] == "closed"


def test_a_wrong_number_stops_the_chain_and_leaves_the_circuit_alone(start, vendor):
    wrong = b'{"code": 21211, "message": "The number is not valid", "status": 400}'
    stand_in, spare = vendor(lambda r: (400, {}, wrong)), vendor(twilio_accepts)
    sidecar = start(config("sms", twilio(stand_in.url, "one"), twilio(spare.url, "spare")))
    for _ in range(6):
        answer = sidecar.send()
        assert answer.status == 422
        assert answer.json["code"] == "rejected"
        assert answer.json["retryable"] is False
        assert answer.trail == [("one", "rejected")]
    assert spare.requests == []
    assert sidecar.health("sms", "one")["circuit"] == {
        "state": "closed",
        "failures": "0/5",
        "consecutive_failures": 0,
        "seconds_to_half_open": None,
        "reason": None,
    }


def test_a_throttled_provider_is_skipped_and_its_circuit_stays_closed(start, vendor):
    slow_down = vendor(lambda r: (429, {"Retry-After": "60"}, b"{}"))
    spare = vendor(sendgrid_accepts)
    one = sendgrid(slow_down.url).replace("sendgrid:", "one:").replace("{", "{kind: sendgrid, ", 1)
    sidecar = start(config("email", one, sendgrid(spare.url)))
    assert sidecar.send("email").trail == [("one", "throttled"), ("sendgrid", "accepted")]
    answer = sidecar.send("email")
    assert answer.json["attempts"][0]["reason"] == "throttled"
    assert len(slow_down.requests) == 1
    standing = sidecar.health("email", "one")
    assert 0 < standing["throttled_for"] <= 60
    assert standing["circuit"]["failures"] == "0/5"


def test_a_lost_answer_fails_over_once_with_the_same_text(start, vendor):
    lost, spare = vendor(lambda r: None), vendor(twilio_accepts)
    sidecar = start(config("sms", twilio(lost.url, "lost"), twilio(spare.url, "spare")))
    answer = sidecar.send()
    assert answer.trail == [("lost", "unknown"), ("spare", "accepted")]
    assert answer.json["duplicate_possible"] is True
    assert lost.requests[0].body == spare.requests[0].body


def test_on_unknown_stop_answers_202_and_calls_nobody_else(start, vendor):
    lost, spare = vendor(lambda r: None), vendor(twilio_accepts)
    providers = twilio(lost.url, "lost"), twilio(spare.url, "spare")
    sidecar = start(config("sms", *providers, policy="on_unknown: stop"))
    answer = sidecar.send()
    assert answer.status == 202
    assert answer.json["status"] == "unknown"
    assert answer.json["duplicate_possible"] is False
    assert spare.requests == []


def test_a_chain_of_open_circuits_is_probed_all_the_same(start, vendor):
    only = vendor(fails)
    sidecar = start(config("sms", twilio(only.url)))
    for _ in range(5):
        assert sidecar.send().status == 502
    assert sidecar.health("sms", "twilio")["circuit"]["state"] == "open"
    only.answer = twilio_accepts
    answer = sidecar.send()
    assert answer.status == 200, "the outage has ended: nobody waits for the open time"
    assert answer.trail == [("twilio", "skipped"), ("twilio", "accepted")]
    assert sidecar.health("sms", "twilio")["circuit"]["state"] == "half_open"


def test_panic_off_fails_fast_and_says_when_to_come_back(start, vendor):
    only = vendor(fails)
    sidecar = start(config("sms", twilio(only.url), policy="panic: 'off'"))
    for _ in range(5):
        sidecar.send()
    answer = sidecar.send()
    assert answer.status == 503
    assert answer.json["code"] == "nothing_to_try"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert len(only.requests) == 5


def test_a_provider_outage_leaves_the_probes_green(start, vendor):
    only = vendor(fails)
    sidecar = start(config("sms", twilio(only.url)))
    for _ in range(6):
        sidecar.send()
    assert sidecar.call("GET", "/livez").status == 200
    assert sidecar.call("GET", "/readyz").status == 200
    assert sidecar.call("GET", "/health").json["chains"]["sms"]["status"] == "down"
