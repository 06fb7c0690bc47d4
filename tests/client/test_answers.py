"""Every answer of a real sidecar, as both clients tell it."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.leaks import CODE, EMAIL, KEY, PHONE, TOKEN, Scan
from harness.process import TEXT, wait_for
from harness.providers import config, sendgrid, twilio
from harness.senders import CONSOLE
from harness.standins import sendgrid_accepts, twilio_accepts
from sidecar.client import BadRequest, InFlight, MaybeSent, NotSent, Rejected, Unreachable

DOWN = (503, {}, b"down")
NO_SUCH_NUMBER = (400, {"Content-Type": "application/json"}, b'{"code": 21211, "message": "no"}')


@pytest.fixture
def one_provider(start, vendor, make):
    """A sidecar with one provider that answers so, and a sender for it."""

    def begin(answer, **more):
        stand_in = vendor(answer)
        return stand_in, make(start(config("sms", twilio(stand_in.url))).where, **more)

    return begin


def test_a_message_is_taken(start, vendor, make):
    stand_in, down = vendor(twilio_accepts), vendor(lambda r: DOWN)
    text = config("sms", twilio(down.url, "down"), twilio(stand_in.url))
    answer = make(start(text).where).send(expires_in=300, purpose="login")
    assert answer.accepted
    assert (answer.status, answer.provider, answer.channel) == ("accepted", "twilio", "sms")
    assert (answer.purpose, answer.segments, answer.logged) == ("login", 1, True)
    assert answer.provider_message_id == "SM" + "0" * 32
    assert (answer.replayed, answer.duplicate_possible, answer.simulated) == (False, False, False)
    assert [(a.provider, a.outcome) for a in answer.attempts] == [
        ("down", "unavailable"),
        ("twilio", "accepted"),
    ]
    assert answer.attempts[0].circuit == "closed 1/5"
    assert answer.attempts[1].seconds > 0
    assert answer.recipient == "+1******2671"


def test_a_mail_has_its_own_fields(start, vendor, make):
    stand_in = vendor(sendgrid_accepts)
    sender = make(start(config("email", sendgrid(stand_in.url))).where)
    answer = sender.send(
        channel="email", to=EMAIL, subject="Your code", html="<b>\u00e9</b>", reply_to=EMAIL
    )
    assert (answer.provider, answer.segments) == ("sendgrid", None)
    assert b'"reply_to"' in stand_in.requests[0].body


def test_a_socket_of_the_file_system_and_a_token(start, make, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    text = f"server: {{listen: 'unix:{tmp_path}/s/api.sock', token_file: token}}\n{CONSOLE}"
    (tmp_path / "providers.yaml").write_text(text)
    where = start().where
    assert make(where).send().simulated
    for wrong in (None, "canary-wrong-token-0001"):
        error = make(where, token=wrong).refused()
        assert (type(error), error.code, error.status) == (BadRequest, "unauthorized", 401)
        assert error.surely_not_sent


def test_the_same_key_is_replayed_and_none_is_never_sent(one_provider):
    stand_in, sender = one_provider(twilio_accepts)
    first, again = sender.send(key="login-1"), sender.send(key="login-1")
    assert (first.replayed, again.replayed, again.key) == (False, True, "login-1")
    assert again.id == first.id
    assert len({sender.send().key for _ in range(3)}) == 3
    assert len(stand_in.requests) == 4


def test_it_may_have_been_sent(one_provider):
    _, sender = one_provider(lambda r: None)
    answer = sender.send(key="login-1")
    assert (answer.status, answer.accepted, answer.provider) == ("unknown", False, None)
    assert sender.send(key="login-1").replayed


@pytest.mark.parametrize(
    ("answer", "kind", "code", "status", "retryable"),
    [
        (NO_SUCH_NUMBER, Rejected, "rejected", 422, False),
        (DOWN, NotSent, "all_failed", 502, True),
    ],
)
def test_no_provider_takes_it(one_provider, answer, kind, code, status, retryable):
    _, sender = one_provider(lambda r: answer)
    error = sender.refused()
    assert (type(error), error.code, error.status) == (kind, code, status)
    assert (error.retryable, error.surely_not_sent) == (retryable, True)
    assert (error.retry_after is not None) is retryable
    assert [a.provider for a in error.attempts] == ["twilio"]
    assert error.id
    assert error.key
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


def test_every_circuit_is_open(start, vendor, make):
    stand_in = vendor(lambda r: (401, {}, b"{}"))
    text = config("sms", twilio(stand_in.url), policy="panic: 'off'")
    sender = make(start(text).where)
    assert sender.refused().status == 502
    error = sender.refused()
    assert (type(error), error.code, error.status) == (NotSent, "nothing_to_try", 503)
    assert error.retry_after > 1


@pytest.mark.parametrize(
    ("fields", "code", "status"),
    [
        ({"to": "no number"}, "invalid", 422),
        ({"channel": "pigeon"}, "no_chain", 422),
        ({"text": "\ud800"}, "not_json", 400),
        ({"extra": {"twilio": {"x": "y" * 70_000}}}, "too_large", None),
    ],
)
def test_the_request_is_at_fault(one_provider, fields, code, status):
    stand_in, sender = one_provider(twilio_accepts)
    error = sender.refused(**fields)
    assert (type(error), error.code, error.status) == (BadRequest, code, status)
    assert error.surely_not_sent
    assert not error.retryable
    assert stand_in.requests == []


def test_a_key_with_another_message(one_provider):
    _, sender = one_provider(twilio_accepts)
    sender.send(key="login-1")
    error = sender.refused(key="login-1", text="another")
    assert (type(error), error.code, error.status) == (BadRequest, "key_reused", 422)


def test_the_deadline_ends_before_a_provider_is_tried(one_provider):
    _, sender = one_provider(twilio_accepts)
    error = sender.refused(deadline=0.1)
    assert (type(error), error.code, error.status) == (NotSent, "deadline_exceeded", 504)


def test_a_key_under_way_is_waited_for_or_is_not(start, vendor, make):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    where = start(config("sms", twilio(stand_in.url))).where
    first, second, third = make(where), make(where), make(where)
    if first.client.__class__.__name__ == "AsyncClient":
        pytest.skip("see the test of many tasks")
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(first.send, key="login-1")
        wait_for(lambda: stand_in.requests, "the first")
        error = second.refused(key="login-1", wait=False)
        assert (type(error), error.code, error.retry_after) == (InFlight, "in_flight", 1.0)
        assert (error.retryable, error.surely_not_sent) == (True, False)
        two = threads.submit(third.send, key="login-1")
        stand_in.gate.set()
        assert (one.result().replayed, two.result().replayed) == (False, True)
    assert len(stand_in.requests) == 1


def test_nobody_listens(make, tmp_path):
    for base in (f"unix:{tmp_path}/none.sock", f"unix:/{'x' * 200}", "http://127.0.0.1:1"):
        error = make(base).refused()
        assert (type(error), error.code, error.status) == (Unreachable, "unreachable", None)
        assert error.surely_not_sent
        assert error.retryable


def test_retries_keep_the_key_and_wait_as_they_are_told(one_provider):
    stand_in, sender = one_provider(lambda r: DOWN, retries=3)
    stand_in.answer = lambda r: twilio_accepts(r) if len(stand_in.requests) > 1 else DOWN
    answer = sender.send(key="login-1")
    assert (answer.accepted, answer.key) == (True, "login-1")
    assert len(stand_in.requests) == 2


@pytest.mark.parametrize(
    "fields", [{"to": PHONE + "x"}, {"channel": "pigeon"}, {"text": f"\x00{CODE}"}, {"key": KEY}]
)
def test_no_error_tells_the_message_or_the_token(one_provider, fields):
    _, sender = one_provider(lambda r: (400, {}, b'{"message": "' + r.body + b'"}'))
    error = sender.refused(**fields)
    told = f"{error} {error!r} {error.args} {sender.client!r}".encode()
    assert list(Scan().find(told)) == []


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("base", f"http://x:{TOKEN}@localhost"),
        ("base", "https://localhost"),
        ("base", "unix:relative"),
        ("base", "http://127.0.0.1:0"),
        ("base", "http://127.0.0.1:65536"),
        ("base", f"http://127.0.0.1:{9 * '9'}"),
        ("token", f"{TOKEN}\r\nX: y"),
        ("timeout", 0),
        ("retries", 6),
    ],
)
def test_what_no_client_can_be_made_of(make, argument, value):
    with pytest.raises(ValueError, match="takes") as caught:
        make(**{"base": "http://localhost:1", argument: value})
    assert list(Scan().find(str(caught.value).encode())) == []


@pytest.mark.parametrize("fields", [{"key": f"{KEY}\r\nX: y"}, {"key": ""}, {"deadline": 31}])
def test_what_no_send_can_be_made_of(make, fields):
    with pytest.raises(ValueError, match="takes") as caught:
        make("http://localhost:1").send(**fields)
    assert list(Scan().find(str(caught.value).encode())) == []


def test_the_text_comes_as_it_is(one_provider):
    stand_in, sender = one_provider(twilio_accepts)
    assert sender.send(text=f"{TEXT} \u00e9\u4e2d\U0001f600").segments == 1
    assert b"%F0%9F%98%80" in stand_in.requests[0].body


def test_a_closed_client_sends_no_more(make):
    sender = make("http://localhost:1")
    sender.close()
    with pytest.raises(RuntimeError, match="closed"):
        sender.send()


def test_the_classes_say_what_is_sure():
    assert not MaybeSent.surely_not_sent
    assert issubclass(Unreachable, NotSent)
