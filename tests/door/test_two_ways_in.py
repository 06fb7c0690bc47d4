"""A plain send takes a shorter way than aiohttp's. Nobody may be able to tell.

What `express.read` takes for a request must be the same one to aiohttp's parsers; and whatever is
asked, the answer must be the same by either way. A connection that has asked for anything else is
aiohttp's from then on: that is how a test chooses.
"""

from __future__ import annotations

import json
import re
import socket
from types import SimpleNamespace

import pytest
from aiohttp import http_parser
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.leaks import EMAIL, PHONE, TOKEN
from harness.process import PATIENCE, wait_for
from harness.wire import SEND, connect, get_request, replies, send_request
from sidecar.api import express

NOBODY = SimpleNamespace(transport=None)
LOOP = SimpleNamespace(get_debug=bool, create_future=None, time=float)
"""As much of an event loop as a parser needs."""
PARSERS = [http_parser.HttpRequestParserPy, http_parser.HttpRequestParserC]


# What is read


def parsed(parser, data):
    """What aiohttp makes of it: head and body; None where that is not one whole request."""
    given = parser(BaseProtocol(LOOP), LOOP, 2**16)
    messages, upgraded, tail = given.feed_data(data)
    if len(messages) != 1 or upgraded or tail:
        return None
    message, payload = messages[0]
    if not payload.is_eof():
        return None
    return message, b"".join(payload._buffer)


PIECES = st.sampled_from(
    [
        *[b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b";", b'"', b"\0", b"\xff"],
        *[b"Content-Length: ", b"content-length: ", b"Transfer-Encoding: chunked\r\n", b"0", b"12"],
        *[b"Connection: keep-alive\r\n", b"Connection: keep-alive, close\r\n"],
        *[b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n", b"Host: a"],
        *[b"X-A: b\r\n", b"X_A: b\r\n", b"X-\xc3\xa4: b\r\n", b"X-A : b\r\n", b"X-A:b\r\n", b"{}"],
        *[b"POST /v1/send HTTP/1.1\r\n", b"HTTP/1.0", b"GET / HTTP/1.1\r\n", b"Host: b\r\n"],
    ]
)


@st.composite
def nearly_plain(draw):
    """A send with bytes put in, taken out or changed somewhere."""
    data = bytearray(send_request())
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        upto = at + draw(st.sampled_from([0, 0, 0, 1, 2, 16]))
        data[at:upto] = draw(st.one_of(PIECES, st.binary(max_size=3)))
    return bytes(data)


@settings(max_examples=1000)
@given(nearly_plain())
def test_what_is_taken_for_plain_is_the_same_request_to_aiohttp(data):
    request = express.read(data, NOBODY)
    if request is None:  # as most: not `assume`, which would look for a thousand that are
        return
    for parser in PARSERS:
        found = parsed(parser, data)
        assert found is not None, data
        message, body = found
        assert (message.method, message.path, body) == ("POST", "/v1/send", request.body)
        assert list(message.headers.items()) == list(request.headers.items())
        assert (message.should_close, message.chunked, message.upgrade) == (False, False, False)
        assert message.version == (1, 1)


def test_a_usual_request_is_plain():
    for headers in ((), ("Idempotency-Key: a",), ("Authorization: Bearer x", "Accept: */*")):
        assert express.read(send_request(SEND, *headers), NOBODY) is not None


@pytest.mark.parametrize(
    "data",
    [
        get_request("/v1/send"),
        send_request()[:-1],
        send_request() + b"x",
        send_request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        send_request().replace(b"/v1/send", b"/v1/send?a"),
        send_request(SEND, "Connection: close"),
        send_request(SEND, "connection: Keep-Alive", "Connection: close"),
        send_request(SEND, "Expect: 100-continue"),
        send_request(SEND, "Transfer-Encoding: chunked"),
        send_request(SEND, "Content-Length: 5"),
        send_request(SEND, f"Content-Length: {len(SEND)}"),
        send_request().replace(b"Host: localhost\r\n", b""),
        send_request(SEND, "Host: localhost"),
        send_request(SEND, "Idempotency-Key: a", "idempotency-key: a"),
        send_request(SEND, "X: a\r\n folded"),
        send_request(SEND, "X_Y: a"),
        send_request(SEND, f"X: {'a' * 5000}"),
        send_request(b'{"text": "' + b"a" * 20_000 + b'"}'),
        send_request(b""),
    ],
)
def test_what_leaves_a_doubt_is_aiohttps(data):
    assert express.read(data, NOBODY) is None


def test_a_head_that_comes_again_is_read_once_and_its_body_anew():
    one, other = (express.read(send_request(b'{"a": %d}' % n), NOBODY) for n in (1, 2))
    assert one.headers is other.headers
    assert (one.body, other.body) == (b'{"a": 1}', b'{"a": 2}')
    assert express.read(send_request(b'{"a": 1}') + b"x", NOBODY) is None
    assert express.read(send_request(b'{"a": 1}')[:-1], NOBODY) is None


@pytest.mark.parametrize("header", ["Authorization: Bearer x", "Idempotency-Key: a", "X-A: b"])
def test_no_head_is_remembered_with_what_may_be_a_secret(header):
    one, other = (express.read(send_request(SEND, header), NOBODY) for _ in range(2))
    assert one.headers is not other.headers
    assert one.headers == other.headers


def test_few_heads_are_remembered():
    for n in range(3 * express.KNOWN_HEADS):
        assert express.read(send_request(SEND, f"User-Agent: {n}"), NOBODY) is not None
        assert len(express._known_heads) <= express.KNOWN_HEADS


# What is answered


@pytest.fixture(scope="module")
def sidecar(begin, tmp_path_factory):
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN)
    return begin(f"token_file: {token}")


def exchange(connection, data):
    connection.sendall(data)
    received = b""
    while True:
        received += connection.recv(65536)
        head, end, body = received.partition(b"\r\n\r\n")
        size = re.search(rb"(?i)content-length: ([0-9]+)", head)
        if end and size and len(body) >= int(size[1]):
            (reply,) = replies(received)
            return reply


def both(sidecar, data):
    """The answers by the short way, and by aiohttp's."""
    with connect(sidecar) as connection:
        short = exchange(connection, data)
    with connect(sidecar) as connection:
        assert exchange(connection, get_request("/livez")).status == 200
        return short, exchange(connection, data)


def told(reply):
    """What of an answer does not change from one request to the next."""
    head = reply.head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in head[1:])}
    headers["date"] = len(headers["date"])
    if not re.fullmatch("given-.*", headers["x-request-id"]):
        headers["x-request-id"] = len(headers["x-request-id"])
    document = json.loads(reply.body)
    document.pop("id", None)
    for attempt in document.get("attempts", []):
        for name in ("started_at", "seconds", "provider_message_id"):
            attempt.pop(name)
    document.pop("provider_message_id", None)
    headers.pop("content-length")
    return head[0], headers, document


BEARER = f"Authorization: Bearer {TOKEN}"
TRACE = f"traceparent: 00-{'a' * 32}-{'b' * 16}-01"


def sms(*headers, **fields):
    body = json.dumps({"channel": "sms", "to": PHONE, "text": "Your code is 1", **fields}).encode()
    return send_request(body, BEARER, *headers)


ASKED = {
    "a text": sms(),
    "a mail": sms(channel="email", to=EMAIL, subject="Ä"),
    "a kept connection": sms("Connection: keep-alive"),
    "ids": sms("X-Request-Id: given-1", TRACE),
    "an id that is the number": sms(f"X-Request-Id: {PHONE[1:]}"),
    "no such channel": sms(channel="pigeon"),
    "no such field": sms(colour="red"),
    "no number": sms(to="+1"),
    "no JSON": send_request(b"{", BEARER),
    "a list": send_request(b"[]", BEARER),
    "a key twice": send_request(b'{"to": 1, "to": 2}', BEARER),
    "deep": send_request(b"[" * 5000, BEARER),
    "no token": send_request(),
    "another token": send_request(SEND, "Authorization: Bearer x"),
    "another host": sms().replace(b"Host: localhost", b"Host: evil.example"),
    "another site": sms("Origin: https://evil.example"),
    "a page": sms("Sec-Fetch-Site: cross-site"),
    "no type": sms().replace(b"application/json", b"text/plain"),
    "gzip": sms("Content-Encoding: gzip"),
    "an empty key": sms('Idempotency-Key: ""'),
    "no time": sms("Request-Timeout: 0"),
    "too little time": sms("Request-Timeout: 0.1"),
    "little time": sms("Request-Timeout: 0.000001"),
}


@pytest.mark.parametrize("name", ASKED)
def test_the_answer_is_the_same_by_either_way(sidecar, name):
    assert express.read(ASKED[name], NOBODY) is not None, "else both go the same way"
    short, long = both(sidecar, ASKED[name])
    assert told(short) == told(long)


def test_a_key_is_one_by_either_way(sidecar):
    first = sms("Idempotency-Key: k-1")
    short, long = both(sidecar, first)
    assert (b"Idempotency-Replayed: true" in short.head, short.status) == (False, 200)
    assert (b"Idempotency-Replayed: true" in long.head, long.status) == (True, 200)
    assert json.loads(short.body)["id"] == json.loads(long.body)["id"]
    other = sms("Idempotency-Key: k-1", text="Your code is 2")
    short, long = both(sidecar, other)
    assert told(short) == told(long)
    assert short.problem["code"] == "key_reused"


def test_requests_behind_one_another_are_answered_in_their_order(sidecar):
    with connect(sidecar) as connection:
        for number in range(3):
            connection.sendall(sms(f"X-Request-Id: given-{number}"))
        connection.sendall(get_request("/livez", "X-Request-Id: given-3", "Connection: close"))
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    ids = [re.search(rb"X-Request-Id: (\S+)", reply.head)[1] for reply in replies(received)]
    assert ids == [b"given-0", b"given-1", b"given-2", b"given-3"]


def test_many_on_one_connection(sidecar):
    with connect(sidecar) as connection:
        assert {exchange(connection, sms()).status for _ in range(50)} == {200}


def test_a_caller_that_hangs_up_is_served_to_the_end(sidecar):
    before = len(sidecar.events("delivery"))
    with connect(sidecar) as connection:
        connection.sendall(sms())
        connection.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: len(sidecar.events("delivery")) > before, "the delivery")
    assert sidecar.call("GET", "/livez").status == 200


def test_a_kept_connection_is_closed_in_its_time(begin):
    sidecar = begin("keep_alive: 1s")
    with connect(sidecar, PATIENCE) as connection:
        assert exchange(connection, send_request()).status == 200
        assert connection.recv(1) == b""


def test_a_request_behind_another_is_not_logged_under_the_others_trace(sidecar):
    with connect(sidecar) as connection:
        connection.sendall(sms("X-Request-Id: given-traced", TRACE))
        connection.sendall(sms("X-Request-Id: given-behind"))
        received = b""
        while received.count(b'"attempts"') < 2:
            received += connection.recv(65536)

    def line(name):
        found = [x for x in sidecar.events("delivery") if x.get("request_id") == name]
        return found[0] if found else None

    traced, behind = (
        wait_for(lambda name=name: line(name), "its line")
        for name in ("given-traced", "given-behind")
    )
    assert traced["trace_id"] == "a" * 32
    assert "trace_id" not in behind
