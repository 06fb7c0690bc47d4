"""A peer that answers anything at all: a clear error, in time, and nothing lasting."""

from __future__ import annotations

import itertools
import json
import time

import pytest

from harness.leaks import PHONE, TOKEN, Scan
from harness.process import TEXT
from sidecar.client import BadReply, BadRequest, MaybeSent, NoAnswer, NotSent, Unreachable

TAKEN = {
    "id": "otp_1",
    "status": "accepted",
    "channel": "sms",
    "purpose": "otp",
    "recipient": "+1******2671",
    "provider": "twilio",
    "provider_message_id": "SM1",
    "attempts": [],
    "duplicate_possible": False,
    "simulated": False,
    "cost": {"amount": "0.0075", "currency": "USD"},
    "replayed": False,
    "segments": 1,
}


def reply(document, status="200 OK", kind="application/json", *headers: str) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def problem(status, code, *headers: str, retryable=True, **more) -> bytes:
    document = {"code": code, "detail": "so it is", "retryable": retryable, **more}
    return reply(document, f"{status} So", "application/problem+json", *headers)


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode()


GOOD = reply(TAKEN)


def test_in_one_piece_and_byte_by_byte(stub, make):
    peer = stub(GOOD, [bytes([byte]) for byte in GOOD])
    sender = make(peer.base)
    for _ in range(2):
        answer = sender.send()
        assert (answer.id, answer.cost.amount, answer.cost.currency) == ("otp_1", "0.0075", "USD")
    assert len(peer.connections) == 1


NOT_OURS = {
    "garbage": b"\x00\xff" * 40,
    "another protocol": b"220 mail.example.com ESMTP\r\n",
    "an old protocol": GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD,
    "a status that is none": GOOD.replace(b"200 OK", b"2x0 OK"),
    "bare line ends": GOOD.replace(b"OK\r\n", b"OK\n"),
    "a folded header": GOOD.replace(b"OK\r\n", b"OK\r\n x: y\r\n"),
    "a space before a colon": GOOD.replace(b"Length:", b"Length :"),
    "an endless head": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000, b""),
    "no length": head("Content-Type: application/json") + b"{}",
    "two lengths": GOOD.replace(b"\r\nContent-L", b"\r\nContent-Length: 2\r\nContent-L"),
    "a negative length": head("Content-Type: application/json", "Content-Length: -1"),
    "a signed length": head("Content-Type: application/json", "Content-Length: +2") + b"{}",
    "a huge length": head("Content-Type: application/json", "Content-Length: 99999999999"),
    "chunks": head("Content-Type: application/json", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "both": reply(TAKEN, "200 OK", "application/json", "Transfer-Encoding: chunked"),
    "an encoding": reply(TAKEN, "200 OK", "application/json", "Content-Encoding: gzip"),
    "more than its length": GOOD + b"HTTP/1.1 200 OK\r\n",
    "a line end behind it": GOOD + b"\r\n",
    "the answer to another request": reply(TAKEN, "200 OK", "application/json", "X-Request-Id: a"),
    "an answer to two": reply(
        TAKEN, "200 OK", "application/json", "X-Request-Id: a", "X-Request-Id: a"
    ),
    "no JSON": reply(b"{"),
    "no Unicode": reply(b'"\xff"'),
    "too deep": reply(b"[" * 200_000),
    "no object": reply([TAKEN]),
    "another document": reply({"status": "ok"}),
    "a page": reply(TAKEN, kind="text/html"),
    "202 and accepted": reply(TAKEN, "202 Accepted"),
    "200 and unknown": reply({**TAKEN, "status": "unknown"}),
    "200 and pending": reply({**TAKEN, "status": "pending"}),
    "taken by nobody": reply({**TAKEN, "provider": None}),
    "a trail that is none": reply({**TAKEN, "attempts": [1]}),
    "a number for a word": reply({**TAKEN, "id": 1}),
    "a redirect": reply(TAKEN, "302 Found", "application/json", "Location: /"),
    "another server's 502": reply(b"<html>", "502 Bad Gateway", "text/html"),
    "another server's 404": reply({"detail": "Not Found"}, "404 Not Found"),
    "a problem that is none": reply({"code": 1}, "503 So", "application/problem+json"),
}


@pytest.mark.parametrize("said", NOT_OURS.values(), ids=NOT_OURS)
def test_what_is_no_sidecar_s_answer(stub, make, said):
    peer = stub(said, GOOD)
    sender = make(peer.base)
    error = sender.refused()
    assert (type(error), error.code) == (BadReply, "bad_reply")
    assert (error.surely_not_sent, error.retryable) == (False, False)
    assert "no sidecar's answer" in str(error)
    assert sender.send().accepted, "nothing lasts"


CUT = {
    "nothing": [],
    "a part of the head": [GOOD[:20]],
    "a part of the body": [GOOD[:-1]],
}


@pytest.mark.parametrize("said", CUT.values(), ids=CUT)
def test_an_answer_that_is_cut_off(stub, make, said):
    def cut(request):
        yield from said
        raise ConnectionError  # and the stub closes

    error = make(stub(cut).base).refused(key="login-1")
    assert (type(error), error.code, error.key) == (NoAnswer, "lost", "login-1")
    assert (error.surely_not_sent, error.retryable) == (False, True)


def drip(request):
    yield b"HTTP/1.1 200 OK\r\nX: "
    for _ in itertools.count():
        yield b"x"
        time.sleep(0.01)  # slower than any limit of bytes is met


SLOW = {"never": b"", "a part": GOOD[:40], "all but one byte": GOOD[:-1], "drip": drip}


@pytest.mark.parametrize("said", SLOW.values(), ids=SLOW)
def test_an_answer_that_never_ends(stub, make, said):
    peer = stub(said)
    error = make(peer.base, timeout=0.4).refused()
    assert (type(error), error.code, error.surely_not_sent) == (NoAnswer, "timed_out", False)
    assert len(peer.requests) == 1, "a time-out is no stale connection"


def test_the_sidecar_is_told_to_answer_before_we_give_up(stub, make):
    peer = stub(GOOD)
    make(peer.base, timeout=12).send()
    make(peer.base, timeout=12).send(deadline=2)
    make(peer.base, timeout=1).send(deadline=30)
    make(peer.base, timeout=100).send()
    told = [float(one.partition(b"Timeout: ")[2].split(b"\r\n")[0]) for one in peer.requests]
    assert told == pytest.approx([11, 2, 0.75, 30], abs=0.2)


# Kept connections


def test_a_kept_connection_that_was_closed(stub, make):
    peer = stub(GOOD)
    sender = make(peer.base)
    sender.send()
    peer.hang_up()
    assert sender.send().accepted
    assert len(peer.connections) == 2


def test_one_that_is_closed_at_the_next_request(stub, make):
    peer = stub(GOOD, None, GOOD)
    sender = make(peer.base)
    sender.send()
    assert sender.send(key="login-2").accepted
    assert peer.keys[1:] == [b"login-2", b"login-2"]
    assert [b"Prefer: wait" in one for one in peer.requests[1:]] == [True, True]


def test_it_is_asked_again_once_only(stub, make):
    peer = stub(GOOD, None)
    sender = make(peer.base)
    sender.send()
    assert type(sender.refused()) is NoAnswer
    assert len(peer.requests) == 3
    assert type(sender.refused()) is NoAnswer, "a fresh connection: not again"
    assert len(peer.requests) == 4


def test_a_reply_that_was_begun_is_not_asked_for_again(stub, make):
    peer = stub(GOOD, GOOD[:30], GOOD)
    sender = make(peer.base, timeout=0.4)
    sender.send()
    assert sender.refused().code == "timed_out"
    assert len(peer.requests) == 2


def test_a_connection_that_is_to_be_closed_is_not_kept(stub, make):
    peer = stub(reply(TAKEN, "200 OK", "application/json", "Connection: close"))
    sender = make(peer.base)
    sender.send()
    sender.send()
    assert len(peer.connections) == 2


def test_what_comes_behind_an_answer_is_not_the_next_one(stub, make):
    peer = stub(GOOD, reply({**TAKEN, "id": "otp_2"}))
    sender = make(peer.base)
    assert sender.send().id == "otp_1"
    peer.connections[0].sendall(reply({**TAKEN, "id": "otp_of_nobody"}))
    assert sender.send().id == "otp_2"
    assert len(peer.connections) == 2


# What is sure


def test_a_refusal_behind_a_lost_request_does_not_make_it_sure(stub, make):
    peer = stub(GOOD, None, problem(503, "overloaded", "Retry-After: 1"))
    sender = make(peer.base)
    sender.send()
    error = sender.refused()
    assert (type(error), error.code, error.status) == (MaybeSent, "overloaded", 503)
    assert (error.surely_not_sent, error.retryable, error.retry_after) == (False, True, 1.0)


def test_an_answer_about_the_delivery_does(stub, make):
    peer = stub(GOOD, None, problem(502, "all_failed", "Retry-After: 1", attempts=[], id="otp_1"))
    sender = make(peer.base)
    sender.send()
    error = sender.refused()
    assert (type(error), error.id, error.surely_not_sent) == (NotSent, "otp_1", True)


def test_nobody_there_behind_a_lost_request_does_not_make_it_sure(stub, make):
    peer = stub(GOOD, lambda request: peer._listener.close())
    sender = make(peer.base)
    sender.send()
    error = sender.refused()
    assert isinstance(error, NoAnswer)
    assert not isinstance(error, Unreachable)


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, BadRequest, False),
        (403, BadRequest, False),
        (408, NotSent, True),
        (415, BadRequest, False),
        (421, BadRequest, False),
        (500, MaybeSent, False),
        (503, NotSent, False),
    ],
)
def test_statuses_that_are_hard_to_provoke(stub, make, status, kind, retryable):
    error = make(stub(problem(status, "a_code", retryable=False)).base).refused()
    assert (type(error), error.code, error.detail) == (kind, "a_code", "so it is")
    assert error.retryable is retryable


# Retries


def test_retries_are_bounded_and_under_one_key(stub, make):
    peer = stub(None, problem(503, "draining", "Retry-After: 0", "Connection: close"), None, GOOD)
    error = make(peer.base, retries=2).refused(wait=False)
    assert (type(error), len(peer.requests)) == (NoAnswer, 3)
    assert len(set(peer.keys)) == 1
    assert [b"Prefer: wait" in one for one in peer.requests] == [False, True, True]
    assert make(peer.base, retries=1).send().accepted


@pytest.mark.parametrize(
    "said", [problem(503, "draining", "Retry-After: 60"), problem(422, "invalid", retryable=False)]
)
def test_no_retry_without_time_or_reason(stub, make, said):
    peer = stub(said)
    assert make(peer.base, retries=5).refused().surely_not_sent
    assert len(peer.requests) == 1


@pytest.mark.parametrize("told", [PHONE, TEXT, TEXT.split()[-1], TOKEN, "login-key-1"])
def test_a_peer_that_repeats_what_it_was_sent(stub, make, told):
    document = {"code": "invalid", "detail": f"what is {told}?", "retryable": False}
    peer = stub(reply(document, "422 So", "application/problem+json"))
    error = make(peer.base).refused(key="login-key-1")
    assert error.detail == "its detail repeats what was sent, and is withheld"
    assert list(Scan().find(f"{error} {error!r}".encode())) == []
