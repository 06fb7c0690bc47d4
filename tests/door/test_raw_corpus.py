"""Bytes that are no right request, at both of aiohttp's parsers, in the real process.

Whatever comes: an answer of the 400s or a close, never a 500, and never a message that was not
asked for. The console provider's inbox counts what was taken.
"""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.wire import (
    SEND,
    Reply,
    connect,
    cpu_seconds,
    everything,
    get_request,
    memory,
    replies,
    send_request,
    tell,
)

POST = b"POST /v1/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(SEND)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(SEND), SEND)
END = b"0\r\n\r\n"
BEHIND = send_request()

NOTHING_TAKEN = {
    "a length and chunks": POST + LENGTH + CHUNKED + b"\r\n" + SEND,
    "a length, chunks, and one behind": POST
    + b"Content-Length: 4\r\n"
    + CHUNKED
    + b"\r\n0\r\n\r\n",
    "two lengths": POST + LENGTH + b"Content-Length: 5\r\n\r\n" + SEND,
    "the same length twice": POST + LENGTH + LENGTH + b"\r\n" + SEND,
    "a list of lengths": POST + LENGTH[:-2] + b", 5\r\n\r\n" + SEND,
    "a length with a sign": POST + b"Content-Length: +9\r\n\r\n" + SEND,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + SEND,
    "a length of 5000 digits": POST + b"Content-Length: " + b"1" * 5000 + b"\r\n\r\n" + SEND,
    "a length of 2^64": POST + b"Content-Length: 18446744073709551616\r\n\r\n" + SEND,
    "chunked, chunked": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNK + END,
    "chunked twice": POST + CHUNKED + CHUNKED + b"\r\n" + CHUNK + END,
    "identity": POST + b"Transfer-Encoding: identity\r\n" + LENGTH + b"\r\n" + SEND,
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNK + END,
    "gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNK + END,
    "a chunk of 2^64": POST + CHUNKED + b"\r\n10000000000000000\r\n" + SEND + b"\r\n0\r\n\r\n",
    "a chunk of 5000 digits": POST + CHUNKED + b"\r\n" + b"f" * 5000 + b"\r\n" + SEND,
    "a negative chunk": POST + CHUNKED + b"\r\n-1\r\n" + SEND + b"\r\n0\r\n\r\n",
    "a chunk with a bare LF": POST + CHUNKED + b"\r\n" + CHUNK.replace(b"\r", b"") + b"0\n\n",
    "an extension with a LF": POST + CHUNKED + b"\r\n" + CHUNK.replace(b"\r\n", b";a\nb\r\n", 1),
    "bare LFs": (POST + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + SEND,
    "one bare LF": POST.replace(b"localhost\r\n", b"localhost\n") + LENGTH + b"\r\n" + SEND,
    "a bare CR": POST + b"X-A: a\rb\r\n" + LENGTH + b"\r\n" + SEND,
    "a folded header": POST + b"X-A: a\r\n b\r\n" + LENGTH + b"\r\n" + SEND,
    "a NUL in a header": POST + b"X-A: a\0b\r\n" + LENGTH + b"\r\n" + SEND,
    "a NUL in the target": GET.replace(b"/livez", b"/liv\0ez") + b"\r\n",
    "a header of 9 KB": POST + b"X-A: " + b"a" * 9000 + b"\r\n" + LENGTH + b"\r\n" + SEND,
    "a target of 9 KB": GET.replace(b"/livez", b"/" + b"a" * 9000) + b"\r\n",
    "a line of 1 MB": b"GET /" + b"a" * 1_000_000,
    "200 headers": POST + b"".join(b"X-%d: a\r\n" % i for i in range(200)) + b"\r\n",
    "a space before a colon": POST + b"X-A : b\r\n" + LENGTH + b"\r\n" + SEND,
    "chunks behind a space": POST + b"Transfer-Encoding : chunked\r\n" + LENGTH + b"\r\n" + SEND,
    "a space before a name": GET.replace(b"Host", b" Host") + b"\r\n",
    "a header without a name": POST + b": x\r\n" + LENGTH + b"\r\n" + SEND,
    "a header without a colon": POST + b"word\r\n" + LENGTH + b"\r\n" + SEND,
    "two content types": POST + b"Content-Type: text/plain\r\n" + LENGTH + b"\r\n" + SEND,
    "two Hosts": POST + b"Host: evil.example\r\n" + LENGTH + b"\r\n" + SEND,
    "gzip": POST + b"Content-Encoding: gzip\r\n" + LENGTH + b"\r\n" + SEND,
    "identity and gzip": POST
    + b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"
    + LENGTH
    + b"\r\n"
    + SEND,
    "two origins": POST
    + b"Origin: http://localhost:1\r\nOrigin: null\r\n"
    + LENGTH
    + b"\r\n"
    + SEND,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100f1010000ed0303") + bytes(range(200)),
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "HTTP/0.9 without an end": b"GET /livez\r\n",
    "HTTP/3.0": POST.replace(b"1.1", b"3.0") + LENGTH + b"\r\n" + SEND,
    "HTTP/1.0 without Host": b"GET /livez HTTP/1.0\r\n\r\n",
    "a leading space": b" " + POST + LENGTH + b"\r\n" + SEND,
    "a tab": GET.replace(b"GET ", b"GET\t") + b"\r\n",
    "two targets": GET.replace(b"/livez", b"/livez /v1/send") + b"\r\n",
    "a foreign absolute target": GET.replace(b"/livez", b"http://evil.example/livez") + b"\r\n",
    "a user in the target": GET.replace(b"/livez", b"http://localhost@evil.example/") + b"\r\n",
    "no authority": GET.replace(b"/livez", b"http:///livez") + b"\r\n",
    "no slashes": GET.replace(b"/livez", b"http:localhost/livez") + b"\r\n",
    "half a bracket": GET.replace(b"/livez", b"http://[::1/livez") + b"\r\n",
    "a star": GET.replace(b"/livez", b"*") + b"\r\n",
    "no slash": GET.replace(b"/livez", b"livez") + b"\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n" + BEHIND,
    "CONNECT as JSON": POST.replace(b"POST /v1/send", b"CONNECT localhost") + b"\r\n" + BEHIND,
    "POST to a probe": POST.replace(b"/v1/send", b"/livez") + LENGTH + b"\r\n" + SEND,
    "a doubled slash": POST.replace(b"/v1", b"//v1") + LENGTH + b"\r\n" + SEND,
    "a path climbing": GET.replace(b"/livez", b"/livez/../v1/send") + b"\r\n",
    "a bad escape": GET.replace(b"/livez", b"/%00%ff%zz") + b"\r\n",
    "DEL in the target": GET.replace(b"/livez", b"/liv\x7fez") + b"\r\n",
    "a high byte in Host": GET.replace(b"localhost", b"local\xffhost") + b"\r\n",
    "another expectation": POST + b"Expect: tea\r\n" + LENGTH + b"\r\n" + SEND,
}
ONE_TAKEN = {
    "chunks": POST + CHUNKED + b"\r\n" + CHUNK + b"0\r\n\r\n",
    "an extension of a chunk": POST
    + CHUNKED
    + b"\r\n"
    + CHUNK.replace(b"\r\n", b";a=b\r\n", 1)
    + b"0\r\n\r\n",
    "a query": POST.replace(b"/v1/send", b"/v1/send?x=/livez") + LENGTH + b"\r\n" + SEND,
    "our own absolute target": POST.replace(b"/v1", b"http://localhost/v1")
    + LENGTH
    + b"\r\n"
    + SEND,
    "an upgrade that is not taken up": POST + b"Upgrade: h2c\r\n" + LENGTH + b"\r\n" + SEND,
    "empty lines before it": b"\r\n\r\n" + send_request(),
    "half a request behind it": send_request() + b"POST /v1/se",
}
ONE_TAKEN_AT_MOST = {  # the parsers give up what came in the same packet as a fault, or do not
    "a method in lower case": send_request().replace(b"POST", b"post"),
    "garbage behind it": send_request() + b"garbage\r\n\r\n",
    "a request behind its end": send_request(SEND, "Connection: close") + BEHIND,
}


@pytest.fixture(scope="module", params=["", "1"], ids=["C", "Python"])
def sidecar(request, begin):
    return begin(
        "header_timeout: 1s, body_timeout: 3s, keep_alive: 1s", AIOHTTP_NO_EXTENSIONS=request.param
    )


@pytest.fixture(scope="module")
def taken(sidecar):
    """How many messages were taken since it was asked last."""
    before = 0

    def since() -> int:
        # The inbox keeps 200; the metric counts on.
        nonlocal before
        page = sidecar.call("GET", "/metrics").body.decode()
        lines = [line for line in page.splitlines() if line.startswith("otp_attempts_total{")]
        now = sum(int(float(line.rpartition(" ")[2])) for line in lines)
        before, new = now, now - before
        return new

    return since


def check_refusal(answers: list[Reply]) -> None:
    """The first is a problem document that gives nothing back; or the connection was closed."""
    for first in answers[:1]:
        assert 400 <= first.status < 500, first
        assert first.problem["code"]
        for sent in (b"evil.example", b"Traceback", b"0x", b"xchunked"):
            assert sent not in first.body


@pytest.mark.parametrize("name", NOTHING_TAKEN)
def test_what_is_no_right_request_is_refused_and_nothing_is_taken(sidecar, taken, name):
    taken()
    check_refusal(tell(sidecar, NOTHING_TAKEN[name]))
    assert taken() == 0


@pytest.mark.parametrize("name", NOTHING_TAKEN)
def test_nothing_behind_a_malformed_request_is_taken(sidecar, taken, name):
    """Where its end is not certain, what follows may be anything. Where it is, one more is one."""
    taken()
    answers = tell(sidecar, NOTHING_TAKEN[name] + BEHIND)
    check_refusal(answers)
    assert taken() == sum(answer.is_send for answer in answers) <= 1
    if answers and answers[0].problem["code"] in ("malformed", "slow_head", "slow_body", "cut_off"):
        assert len(answers) == 1


@pytest.mark.parametrize("name", ONE_TAKEN)
def test_what_is_one_send_is_one_send(sidecar, taken, name):
    taken()
    first, *others = tell(sidecar, ONE_TAKEN[name])
    assert first.status == 200
    assert first.is_send
    assert all(other.status < 500 and not other.is_send for other in others)
    assert taken() == 1


@pytest.mark.parametrize("name", ONE_TAKEN_AT_MOST)
def test_one_is_taken_at_most(sidecar, taken, name):
    taken()
    answers = tell(sidecar, ONE_TAKEN_AT_MOST[name])
    assert answers[0].status in (200, 400)
    assert taken() == sum(answer.is_send for answer in answers) <= 1


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes(sidecar, taken, seed):
    taken()
    check_refusal(tell(sidecar, random.Random(seed).randbytes(2000)))
    assert taken() == 0


def test_2000_pipelined_sends_are_2000_sends(sidecar, taken):
    taken()
    before = memory(sidecar)
    with connect(sidecar) as connection:
        connection.settimeout(120)
        # All of it is sent before anything is read: our answers must hold us up, not our memory.
        connection.sendall(send_request() * 1000)
        received = b""
        while received.count(b"HTTP/1.1 ") < 1000 or not received.endswith(b"}"):
            received += connection.recv(1 << 20)
        connection.sendall(send_request() * 999 + send_request(SEND, "Connection: close"))
        received += everything(connection)
    assert [answer.status for answer in replies(received)] == [200] * 2000
    assert taken() == 2000
    assert memory(sidecar) - before < 64 << 20


def test_pipelined_requests_whose_answers_nobody_reads_hold_no_memory(sidecar):
    before = memory(sidecar)
    with connect(sidecar) as connection:
        connection.settimeout(0.5)
        with suppress(OSError):  # it is held up, as it should be
            connection.sendall(get_request("/openapi.json") * 10_000)
        assert memory(sidecar) - before < 32 << 20
    assert sidecar.call("GET", "/livez").status == 200


def test_64_kib_in_chunks_of_one_byte(sidecar, taken):
    body = b'{"channel": "sms", "to": "+14155552671", "text": "x"'
    body += b" " * (65_536 - len(body) - 1) + b"}"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    taken()
    tell(sidecar, send_request())  # so that nothing is done for the first time
    before = cpu_seconds(sidecar)
    answers = tell(sidecar, POST + CHUNKED + b"\r\n" + chunks + b"0\r\n\r\n")
    assert answers[0].status == 200
    assert taken() == 2
    # 200 ms is what it may cost; a loaded machine, and the Python parser, are given more. A
    # quadratic reader takes minutes.
    assert cpu_seconds(sidecar) - before < 3.0


def test_the_parser_may_not_fail_silently_or_often(sidecar):
    tell(sidecar, NOTHING_TAKEN["a length of 5000 digits"])
    tell(sidecar, NOTHING_TAKEN["a length of 5000 digits"])
    sidecar.call("GET", "/livez")
    assert len(sidecar.events("parser_failed")) <= 1
    assert sidecar.events("internal_error") == []
    assert sidecar.events("loop") == []


PIECES = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"\t", b"0", b"-", b"\xff", b"HTTP/1.1", b"chunked"]
)
CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 4), PIECES | st.binary(max_size=3)),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=CHANGES)
def test_a_right_request_with_a_few_bytes_changed(sidecar, taken, changes):
    request = send_request(SEND, "Connection: close")
    for where, cut, put in changes:
        at = int(where * len(request))
        request = request[:at] + put + request[at + cut :]
    taken()
    with connect(sidecar) as connection:
        with suppress(OSError):
            connection.sendall(request + BEHIND)
        answers = replies(everything(connection))
    assert all(answer.status < 500 for answer in answers), answers
    assert taken() == sum(answer.is_send for answer in answers) <= 2
