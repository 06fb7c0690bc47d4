"""The way to the webhook: signed, in order, again where it failed, and never without an end."""

from __future__ import annotations

from datetime import datetime

import pytest

from harness.alerting import WALL, Road, bad, good, until
from harness.webhooks import KEY, OLD_KEY, secret_of, verified
from sidecar import __version__
from sidecar.alerts import bag
from sidecar.alerts.letter import LIFE, PAUSES, SPREAD, TRIES
from sidecar.config import Alerts
from sidecar.testing import Answer, stub_server
from sidecar.transport import REPLY_LIMIT

DOWN = Answer(503)
OK = Answer(204)


def events(logged):
    return [line["event"] for line in logged]


async def test_one_alert_is_one_signed_post(road, clock):
    one = await road()
    one.post(bad(facts={"reason": "5 consecutive failures", "times": 5}, level="error"))
    await one.rests()
    (request,) = one.stub.requests
    assert request.method == "POST"
    assert request.path == "/alerts"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-timestamp"] == str(int(WALL)), "the receiver's time, not ours"
    (body,) = one.bodies()
    assert body["type"] == "otp_sidecar.circuit_open"
    assert body["timestamp"].endswith("Z")
    assert datetime.fromisoformat(body["timestamp"]).timestamp() == clock.time()
    sidecar = body["data"].pop("sidecar")
    assert sidecar.pop("hostname")
    assert sidecar == {"version": __version__, "environment": "test"}
    assert body["data"] == {
        "event": "circuit_open",
        "subject": "twilio",
        "summary": "twilio is bad",
        "resolved": False,
        "level": "error",
        "facts": {"reason": "5 consecutive failures", "times": 5},
    }
    assert one.ended == {"delivered": 1}


async def test_each_alert_has_an_id_of_its_own_without_a_full_stop(road):
    one = await road()
    one.post(bad(), good(), bad("sns"))
    await one.rests()
    assert one.told() == [("twilio", False), ("twilio", True), ("sns", False)]
    assert len(set(one.ids())) == 3
    assert "." not in "".join(one.ids())


async def test_while_a_secret_is_replaced_both_sign(road):
    one = await road(keys=(KEY, OLD_KEY))
    one.post(bad())
    await one.rests()
    assert one.bodies(KEY) == one.bodies(OLD_KEY)
    (request,) = one.stub.requests
    with pytest.raises(AssertionError, match="no signature matches"):
        verified(request.headers, request.body, b"canary-another-key-000000000000")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200),
        Answer(202),
        Answer(299),
        Answer(200, body=b"x" * (REPLY_LIMIT + 1)),
        Answer(200, fault="endless"),
        Answer(200, fault="truncate"),
    ],
    ids=["200", "202", "299", "long", "endless", "truncate"],
)
async def test_any_2xx_is_done_whatever_becomes_of_its_body(road, answer, engine, logged):
    one = await road(answer)
    one.post(bad())
    await one.later(LIFE)
    assert len(one.stub.requests) == 1
    assert one.ended == {"delivered": 1}
    assert logged == []


async def test_a_2xx_whose_body_cannot_be_read_is_done(road):
    one = await road(Answer(200, {"Transfer-Encoding": "chunked"}, b"zz\r\n", fault="endless"))
    one.post(bad())
    await one.later(LIFE)
    assert len(one.stub.requests) == 1
    assert one.ended == {"delivered": 1}


async def test_a_2xx_whose_body_hangs_is_done_when_the_time_is_over(
    road, held, monkeypatch, engine
):
    monkeypatch.setattr("sidecar.alerts.courier.TIMEOUT", 0.5)
    one = await road(OK)
    held(one.stub, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    one.post(bad())
    await one.later(LIFE)
    assert len(one.stub.requests) == 1
    assert one.ended == {"delivered": 1}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(302, {"Location": "/elsewhere"}),
        Answer(308, {"Location": "/elsewhere"}),
        Answer(400),
        Answer(404),
        Answer(500),
        Answer(503),
        Answer(fault="eof"),
        Answer(500, fault="truncate"),
    ],
    ids=lambda answer: answer.fault or answer.status,
)
async def test_what_failed_is_tried_again_with_the_same_id(road, answer, logged):
    one = await road(answer, OK)
    one.post(bad())
    await one.rests()
    assert len(one.stub.requests) == 1
    await one.later(PAUSES[0] * (1 + SPREAD))
    assert len(one.stub.requests) == 2
    assert {request.path for request in one.stub.requests} == {"/alerts"}, "no redirect followed"
    assert len(set(one.ids())) == 1
    assert one.ended == {"delivered": 1}
    assert events(logged) == ["alert_webhook_failed", "alert_webhook_works"]


async def test_a_receiver_that_is_not_there_is_tried_again(clock, road, logged):
    async with stub_server(OK) as stub:
        url = stub.url
    settings = Alerts(webhook=url, secret=secret_of(KEY), allow_private=True)
    one = Road(stub, clock, settings)
    one.courier.start()
    one.post(bad())
    await one.later(PAUSES[0] * 2)
    assert [line["why"] for line in logged] == ["the connection was refused"], "said once"
    other = await road()
    one.courier.renew(other.settings, "test")
    await until(lambda: other.stub.requests)
    await one.courier.close()
    assert one.ended == {"delivered": 1}


async def test_an_address_that_may_not_be_reached_is_called_by_nobody(clock, logged):
    async with stub_server(OK) as stub:
        settings = Alerts(webhook=stub.url.replace("http:", "https:"), secret=secret_of(KEY))
        one = Road(stub, clock, settings)
        one.courier.start()
        one.post(bad())
        await one.rests()
        assert stub.requests == []
        await one.courier.close()
    why = "the webhook's address is loopback or private; `allow_private: true` admits it"
    assert logged[0]["why"] == why


async def test_eight_tries_within_two_hours_then_it_is_given_up(road, clock, logged):
    one = await road(DOWN)
    one.post(bad())
    await one.rests()
    began, tries = clock.monotonic(), [clock.monotonic()]
    while clock.monotonic() - began < LIFE:
        await one.later(1.0)
        if len(one.stub.requests) > len(tries):
            tries.append(clock.monotonic())
    assert len(tries) == len(one.stub.requests) == TRIES == 8
    for pause, before, after in zip(PAUSES, tries, tries[1:], strict=False):
        assert pause * (1 - SPREAD) <= after - before <= pause * (1 + SPREAD) + 1.0
    assert one.ended == {"failed": 1}
    assert events(logged) == ["alert_webhook_failed", "alert_webhook_gave_up"]
    assert logged[-1]["alert"] == "circuit_open"
    assert logged[-1]["subject"] == "twilio"


async def test_the_good_news_never_overtakes_the_bad(road):
    one = await road(DOWN, OK)
    one.post(bad())
    await one.rests()
    one.post(good(), bad("sns"))
    await one.rests()
    assert one.told() == [("twilio", False), ("sns", False)]
    await one.later(PAUSES[0] * 2)
    assert one.told()[2:] == [("twilio", False), ("twilio", True)]


async def test_a_new_alert_does_not_wait_behind_all_that_failed(road, clock):
    one = await road(DOWN)
    one.post(*(bad(f"p{n}") for n in range(20)))
    await one.rests()
    clock.advance(PAUSES[0] * 2)  # all twenty are due again
    one.post(bad("new"))
    await until(lambda: len(one.stub.requests) > 21)
    assert ("new", False) in one.told()[:22]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_holds_for_everything(road, status):
    one = await road(Answer(status, {"Retry-After": "600"}), OK)
    one.post(bad())
    await one.rests()
    one.post(bad("sns"))
    await one.later(599.0)
    assert len(one.stub.requests) == 1
    await one.later(1.5)
    assert sorted(one.told()[1:]) == [("sns", False), ("twilio", False)]
    assert one.ended == {"delivered": 2}


async def test_a_head_without_its_body_is_heeded_too(road, engine, logged):
    busy = Answer(429, {"Retry-After": "600"}, fault="truncate")
    one = await road(busy, Answer(410, fault="endless"))
    one.post(bad())
    await one.later(599.0)
    assert len(one.stub.requests) == 1
    await one.later(3600.0)
    assert len(one.stub.requests) == 2
    assert [line.get("why") for line in logged] == ["answered 429", "answered 410"]


async def test_no_retry_after_is_longer_than_an_hour(road):
    one = await road(Answer(429, {"Retry-After": "999999"}), OK)
    one.post(bad())
    await one.later(3601.0)
    assert one.ended == {"delivered": 1}


async def test_gone_is_the_end_until_a_reload(road, logged):
    one = await road(Answer(410), OK)
    one.post(bad())
    await one.rests()
    one.post(bad("sns"))
    await one.later(3600.0)
    assert len(one.stub.requests) == 1
    assert events(logged) == ["alert_webhook_gone"]
    assert "reload" in logged[0]["do"]
    one.courier.renew(one.settings.model_copy(), "test")
    await one.rests()
    assert sorted(one.told()[1:]) == [("sns", False), ("twilio", False)]


async def test_what_cannot_be_tried_does_not_wait_for_ever(road, logged):
    one = await road(Answer(410))
    one.post(bad(), bad("sns"))
    await one.later(LIFE + 1.0)
    assert one.ended == {"failed": 2}
    one.courier.renew(one.settings.model_copy(), "test")
    await one.rests()
    assert len(one.stub.requests) == 1


async def test_a_reload_brings_what_waits_to_the_new_address(road):
    old, new = await road(DOWN), await road()
    old.post(bad(), good(), bad("sns"))
    await until(lambda: len(old.stub.requests) == 2)
    await until(lambda: old.clock.waiting == 2)
    old.courier.renew(new.settings, "staging")
    await until(lambda: old.ended["delivered"] == 3)
    assert sorted(new.told()) == [("sns", False), ("twilio", False), ("twilio", True)]
    assert {body["data"]["sidecar"]["environment"] for body in new.bodies()} == {"staging"}
    assert set(new.ids()) > set(old.ids())


async def test_an_answer_from_the_old_address_is_not_heeded(road, held):
    old, new = await road(Answer(410, {"Retry-After": "600"})), await road()
    gate = held(old.stub)
    old.post(bad(), bad("sns"))
    await until(lambda: old.stub.requests)
    old.courier.renew(new.settings, "test")
    gate.set()
    await until(lambda: old.ended["delivered"] == 1)
    assert new.told() == [("sns", False)], "the new address did not say that it is gone"


async def test_a_reload_may_admit_an_address(road, clock):
    there = await road()
    url = there.settings.webhook.replace("http:", "https:")
    one = Road(there.stub, clock, Alerts(webhook=url, secret=secret_of(KEY)))
    one.courier.start()
    one.post(bad())
    await until(lambda: clock.waiting == 2)
    one.courier.renew(there.settings, "test")
    await until(lambda: one.ended["delivered"] == 1)
    await one.courier.close()


async def test_a_reload_signs_with_the_new_secret(road):
    one = await road()
    secret = (secret_of(OLD_KEY),)
    one.courier.renew(Alerts(**{**one.settings.model_dump(), "secret": secret}), "test")
    one.post(bad())
    await one.rests()
    assert len(one.bodies(OLD_KEY)) == 1


async def test_without_a_webhook_nothing_is_kept(road):
    one = await road()
    one.courier.renew(Alerts(), "test")
    one.post(bad())
    one.courier.renew(one.settings, "test")
    await one.rests()
    assert one.stub.requests == []


async def test_a_burst_of_ten_thousand_is_bounded_and_said_once(road, logged):
    one = await road()
    one.post(*(bad(f"p{n}") for n in range(10_000)))
    assert one.ended == {"dropped": 10_000 - bag.ROOM}
    await one.rests()
    assert one.told() == [(f"p{n}", False) for n in range(10_000 - bag.ROOM, 10_000)]
    assert one.ended == {"dropped": 10_000 - bag.ROOM, "delivered": bag.ROOM}
    assert events(logged) == ["alerts_dropped"]
    one.post(*(bad(f"p{n}") for n in range(1_000)))
    assert events(logged) == ["alerts_dropped"] * 2, "all was well in between"


async def test_the_one_that_is_on_its_way_is_not_dropped(road, held):
    one = await road()
    gate = held(one.stub)
    one.post(bad("first"))
    await until(lambda: one.stub.requests)
    one.post(*(bad(f"p{n}") for n in range(bag.ROOM)))
    assert one.ended == {"dropped": 1}
    gate.set()
    await one.rests()
    assert one.ended == {"dropped": 1, "delivered": bag.ROOM}
    assert one.told()[:2] == [("first", False), ("p1", False)]


async def test_an_end_tries_all_once_more(road, clock):
    one = await road(DOWN, OK)
    one.post(bad(), good())
    await one.rests()
    one.courier.hurry(2.0)
    await one.courier.close()
    assert one.told() == [("twilio", False), ("twilio", False), ("twilio", True)]
    assert one.ended == {"delivered": 2}


async def test_in_the_drain_nothing_is_tried_again_and_again(road, clock, monkeypatch):
    one = await road(DOWN)
    one.post(bad())
    await one.rests()
    one.courier.hurry(60.0)
    await one.rests()
    waits, wait = [], clock.wait
    monkeypatch.setattr(clock, "wait", lambda *asked: waits.append(asked) or wait(*asked))
    await one.later(PAUSES[0] * 10)
    one.courier.renew(one.settings, "test")
    await one.rests()
    assert len(one.stub.requests) == 2
    assert len(waits) == 1, "it rests, also when the letter would be due"


async def test_an_end_with_a_dead_receiver_is_counted_and_said(road, logged):
    one = await road(DOWN)
    one.post(bad(), bad("sns"))
    await one.rests()
    one.courier.hurry(2.0)
    await one.courier.close()
    assert len(one.stub.requests) == 4, "each once more"
    assert one.ended == {"dropped": 2}
    assert logged[-1]["event"] == "alerts_unsent"
    assert logged[-1]["alerts"] == 2


async def test_a_receiver_that_takes_too_long_is_tried_again(road, monkeypatch, logged):
    monkeypatch.setattr("sidecar.alerts.courier.TIMEOUT", 1.0)
    one = await road(Answer(fault="silence"), OK)
    one.post(bad())
    await one.later(PAUSES[0] * 2)
    assert len(one.stub.requests) == 2
    assert one.ended == {"delivered": 1}
    assert events(logged) == ["alert_webhook_failed", "alert_webhook_works"]


async def test_an_end_does_not_wait_for_a_receiver_that_hangs(road, monkeypatch):
    monkeypatch.setattr("sidecar.alerts.courier.TIMEOUT", 3_600.0)
    one = await road(Answer(fault="silence"))
    one.post(bad(), bad("sns"))
    await until(lambda: one.stub.requests)
    one.courier.hurry(0.0)
    await one.courier.close()
    assert one.ended == {"dropped": 2}


async def test_an_unexpected_error_ends_nothing(road, monkeypatch, logged):
    one = await road()
    monkeypatch.setattr("sidecar.alerts.courier.body_of", lambda *_: 1 / 0)
    one.post(bad())
    await one.rests()
    assert logged[0]["why"] == "ZeroDivisionError"
    monkeypatch.undo()
    await one.later(PAUSES[0] * 2)
    assert one.ended == {"delivered": 1}
