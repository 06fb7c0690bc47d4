"""One request over the wire: what leaves, what comes back, and what is called lost."""

import asyncio
import gzip
import socket
import struct

import pytest

from sidecar.delivery.errors import Misconfigured, Unavailable, Unknown
from sidecar.testing import Answer, StubServer, stub_server
from sidecar.transport import REPLY_LIMIT, BodyLost, Reply


def post(transport, port, *, timeout=5.0, scheme="http", host="127.0.0.1"):
    return transport.request(
        "POST",
        f"{scheme}://{host}:{port}/send?x=1",
        headers={"Authorization": "Bearer key", "Content-Type": "application/json"},
        body=b'{"text": "hello"}',
        timeout=timeout,
    )


async def read_request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(17)


# What leaves


async def test_a_request_arrives_as_it_was_given_and_carries_nothing_else(transport):
    async with stub_server(Answer(200, {"X-Id": "1"}, b'{"id": "m-1"}')) as stub:
        reply = await post(transport, stub.url.rsplit(":", 1)[1])
    (request,) = stub.requests
    assert (request.method, request.path) == ("POST", "/send?x=1")
    assert request.body == b'{"text": "hello"}'
    assert dict(request.headers) == {
        "host": stub.url.removeprefix("http://"),
        "authorization": "Bearer key",
        "content-type": "application/json",
        "content-length": "17",
        "accept": "*/*",
    }
    assert (reply.status, reply.headers["x-ID"], reply.json()) == (200, "1", {"id": "m-1"})


@pytest.mark.parametrize("value", [None, 7, b"token"])
async def test_a_header_that_is_no_text_is_never_made_one(transport, serve, value):
    reached = []

    async def note(_reader, writer):
        reached.append(1)
        writer.close()

    port = await serve(note)
    with pytest.raises(TypeError):
        await transport.request(
            "POST", f"http://127.0.0.1:{port}/", headers={"Authorization": value}, timeout=2.0
        )
    await asyncio.sleep(0)
    assert not reached


async def test_connections_are_kept_and_used_again(transport):
    class Counting(StubServer):
        connections = 0

        async def serve(self, reader, writer):
            self.connections += 1
            await super().serve(reader, writer)

    stub = Counting(Answer(200, {}, b"{}"))
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for _ in range(5):
        assert (await post(transport, port)).status == 200
    await transport.close()
    server.close()
    assert (len(stub.requests), stub.connections) == (5, 1)


async def test_two_hundred_requests_at_once_wait_for_no_pool(transport, serve):
    arrived, all_here = 0, asyncio.Event()

    async def barrier(reader, writer):
        nonlocal arrived
        await read_request(reader)
        arrived += 1
        if arrived == 200:
            all_here.set()
        await all_here.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    port = await serve(barrier, backlog=256)
    replies = await asyncio.gather(*[post(transport, port, timeout=20.0) for _ in range(200)])
    assert {reply.status for reply in replies} == {200}


async def test_cookies_are_not_kept(transport):
    async with stub_server(Answer(200, {"Set-Cookie": "session=canary"}, b"{}")) as stub:
        port = stub.url.rsplit(":", 1)[1]
        await post(transport, port, host="localhost")
        await post(transport, port, host="localhost")
    assert len(stub.requests) == 2
    assert not [r for r in stub.requests if "cookie" in r.headers]


async def test_proxies_of_the_environment_are_not_asked(transport, monkeypatch):
    async with stub_server(Answer(200, {}, b"proxied")) as proxy:
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]:
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with stub_server(Answer(200, {}, b"direct")) as stub:
            reply = await post(transport, stub.url.rsplit(":", 1)[1])
    assert (reply.body, proxy.requests) == (b"direct", [])


# What comes back


@pytest.mark.parametrize("status", [200, 202, 400, 401, 429, 500, 503])
async def test_any_complete_answer_is_a_reply(transport, status):
    async with stub_server(Answer(status, {}, b"whatever")) as stub:
        reply = await post(transport, stub.url.rsplit(":", 1)[1])
    assert (reply.status, reply.body) == (status, b"whatever")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(transport, status):
    async with stub_server(Answer(200)) as elsewhere:
        async with stub_server(Answer(status, {"Location": elsewhere.url})) as stub:
            reply = await post(transport, stub.url.rsplit(":", 1)[1])
        assert (reply.status, elsewhere.requests) == (status, [])


async def test_a_compressed_answer_is_left_as_it_is(transport):
    bomb = gzip.compress(b"0" * 2**24)
    async with stub_server(Answer(200, {"Content-Encoding": "gzip"}, bomb)) as stub:
        reply = await post(transport, stub.url.rsplit(":", 1)[1])
    assert reply.body == bomb


@pytest.mark.parametrize("extra", [0, 1])
async def test_an_answer_is_read_up_to_256_kib(transport, extra):
    async with stub_server(Answer(200, {}, b"x" * (REPLY_LIMIT + extra))) as stub:
        port = stub.url.rsplit(":", 1)[1]
        if extra:
            with pytest.raises(Unknown, match="longer than 256 KiB"):
                await post(transport, port)
        else:
            assert len((await post(transport, port)).body) == 256 * 1024


# What is lost after the request left


@pytest.mark.parametrize("fault", ["eof", "truncate", "endless"])
async def test_an_answer_that_breaks_off_or_never_ends_is_unknown(transport, fault):
    async with stub_server(Answer(200, {}, b"{}", fault)) as stub:
        with pytest.raises(Unknown):
            await post(transport, stub.url.rsplit(":", 1)[1])
    assert len(stub.requests) == 1


async def test_silence_is_unknown_when_the_time_is_over(transport):
    async with stub_server(Answer(fault="silence")) as stub:
        with pytest.raises(Unknown, match="in time"):
            await post(transport, stub.url.rsplit(":", 1)[1], timeout=0.2)
    assert len(stub.requests) == 1


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"])
async def test_a_drip_does_not_lengthen_the_time(transport, serve, begin):
    async def drip(reader, writer):
        await read_request(reader)
        writer.write(begin or b"HTTP/1.1 200 OK\r\nX-Drip: ")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    port = await serve(drip)
    async with asyncio.timeout(10.0):
        with pytest.raises(Unknown, match="in time"):
            await post(transport, port, timeout=0.4)


def hang_up(reader, writer):
    return asyncio.sleep(0)


async def hang_up_after_the_request(reader, writer):
    await read_request(reader)


async def reset_after_the_request(reader, writer):
    await read_request(reader)
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )


async def reset_within_the_answer(reader, writer):
    await reset_after_the_request(reader, writer)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")


def answering(raw):
    async def answer(reader, writer):
        await read_request(reader)
        writer.write(raw)
        await writer.drain()

    return answer


@pytest.mark.parametrize(
    "handler",
    [
        hang_up,
        hang_up_after_the_request,
        reset_after_the_request,
        reset_within_the_answer,
        answering(b"hello, this is no HTTP\r\n\r\n"),
        answering(b"HTTP/1.1 OK\r\n\r\n"),
        answering(b"\x00\xff" * 100),
        answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
        answering(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n"),
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}"),
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
        answering(b"HTTP/1.1 100 Continue\r\n\r\n" * 10),
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"),
    ],
)
async def test_what_cannot_be_read_after_the_request_left_is_unknown(transport, serve, handler):
    port = await serve(handler)
    with pytest.raises(Unknown) as caught:
        await post(transport, port)
    assert "127.0.0.1" not in str(caught.value)


HEAD = b"HTTP/1.1 299 OK\r\nX-Said: yes\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 9\r\n\r\nabc",
        b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000,
        b"\r\n" + b"x" * 300_000,
        CHUNKED + b"2\r\n{}\r\n",
    ],
    ids=["broken off", "too long", "too long, no length", "no last chunk"],
)
async def test_a_lost_body_leaves_the_head(transport, serve, body):
    port = await serve(answering(HEAD + body))
    with pytest.raises(BodyLost) as caught:
        await post(transport, port)
    head = Reply(*caught.value.head)
    assert (head.status, head.headers["x-said"], head.body) == (299, "yes", b"")
    assert caught.value.outcome == "unknown"


async def test_a_body_that_is_no_chunk_leaves_the_head(transport, serve, engine):
    port = await serve(answering(HEAD + CHUNKED + b"zz\r\n"))
    with pytest.raises(Unknown) as caught:
        await post(transport, port)
    # The parser of aiohttp throws a head away that came in one piece with what it cannot read.
    assert isinstance(caught.value, BodyLost) is (engine == "lean")


async def test_a_body_that_takes_too_long_leaves_the_head(transport, serve):
    async def hang(reader, writer):
        await answering(HEAD + b"Content-Length: 9\r\n\r\nabc")(reader, writer)
        await reader.read()

    port = await serve(hang)
    with pytest.raises(BodyLost, match="in time") as caught:
        await post(transport, port, timeout=0.4)
    assert caught.value.head[0] == 299


@pytest.mark.parametrize(
    "said",
    [b"", HEAD, HEAD + b"Content-Length: x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"no HTTP"],
)
async def test_a_lost_head_leaves_nothing(transport, serve, said):
    port = await serve(answering(said))
    with pytest.raises(Unknown) as caught:
        await post(transport, port)
    assert not isinstance(caught.value, BodyLost)


async def test_a_kept_connection_that_breaks_is_not_tried_again(transport, serve):
    received = []

    async def answers_once(reader, writer):
        received.append(await read_request(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        received.append(await read_request(reader))

    port = await serve(answers_once)
    await post(transport, port)
    with pytest.raises(Unknown):
        await post(transport, port)
    assert len(received) == 2, "a message must be put on the wire once"


# What surely did not leave


async def test_a_refused_connection_is_unavailable(transport, closed_port):
    with pytest.raises(Unavailable, match="was refused"):
        await post(transport, closed_port)


async def test_a_name_that_does_not_resolve_is_unavailable(transport):
    with pytest.raises(Unavailable):
        await post(transport, 443, scheme="https", host="no-such-host.invalid")


async def test_a_dropped_syn_is_unavailable_after_the_time_for_connecting(transport, deaf_port):
    async with asyncio.timeout(15.0):
        with pytest.raises(Unavailable, match="time for connecting"):
            await post(transport, deaf_port, timeout=30.0)


async def test_an_attempt_shorter_than_the_time_for_connecting_bounds_it(transport, deaf_port):
    with pytest.raises(Unavailable, match="time for connecting"):
        await post(transport, deaf_port, timeout=0.1)


async def test_a_look_up_without_an_answer_is_unavailable(transport, getaddrinfo):
    getaddrinfo.answers["hung.example"] = getaddrinfo.hang
    with pytest.raises(Unavailable, match="time for connecting"):
        await post(transport, 443, scheme="https", host="hung.example", timeout=0.1)


async def test_our_own_cancellation_passes_through(transport, serve):
    async def silence(reader, writer):
        await read_request(reader)
        arrived.set()
        await reader.read()

    arrived = asyncio.Event()
    running = asyncio.create_task(post(transport, await serve(silence)))
    await arrived.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    "url",
    ["", "provider", "http://[::1", "ftp://127.0.0.1/", "file:///etc/passwd", "https://a..b/"],
)
async def test_an_address_that_is_no_url_for_https_is_misconfigured(transport, url):
    with pytest.raises(Misconfigured):
        await transport.request("POST", url, headers={}, timeout=5.0)
