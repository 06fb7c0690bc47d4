"""The lean engine's connections: what is kept, what is not, what an end at any moment leaves."""

import asyncio
import gc
import socket
import ssl
import struct
import weakref
from pathlib import Path

import pytest
import trustme

from sidecar.delivery.errors import DeliveryError, LocalFault, Misconfigured, Refused, Unknown
from sidecar.network import connect_any, tls_context
from sidecar.transport import HttpTransport
from sidecar.wire.connection import Connection
from sidecar.wire.request import REQUEST_LIMIT

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(params=["lean"], autouse=True)
def engine():
    """This file looks inside one engine, the default."""


def ask(transport, port, method="POST", *, timeout=5.0, scheme="http", host="127.0.0.1", **more):
    url = f"{scheme}://{host}:{port}/send"
    body = b"text" if method == "POST" else b""
    return transport.request(method, url, headers={}, timeout=timeout, **{"body": body, **more})


class Peer:
    """A blocking socket server under the test's hand: nothing happens but what it says."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.accepted = []

    async def accept(self):
        loop = asyncio.get_running_loop()
        self.listener.setblocking(False)
        sock, _ = await asyncio.wait_for(loop.sock_accept(self.listener), 10.0)
        self.accepted.append(sock)
        sock.setblocking(False)
        return sock

    async def heard(self, sock):
        """The next request, as far as it comes at once."""
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.sock_recv(sock, 65536), 10.0)

    async def serve_one(self, transport, method="POST"):
        """One exchange over a new connection, which is kept; the server's end of it."""
        asking = asyncio.create_task(ask(transport, self.port, method))
        sock = await self.accept()
        await self.heard(sock)
        sock.send(OK)
        assert (await asking).status == 200
        return sock

    def close(self):
        for sock in [self.listener, *self.accepted]:
            sock.close()


@pytest.fixture
def peer():
    peer = Peer()
    yield peer
    peer.close()


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def kept(transport):
    return sum(len(idle) for idle in transport._engine._idle.values())


async def settled(transport, number):
    """Until this many connections are open; the loop alone decides when."""
    async with asyncio.timeout(5.0):
        while len(transport._engine._open) != number:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0)


# A kept connection that the peer has left


def say_something(sock):
    sock.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")


@pytest.mark.parametrize("steps", range(4))
@pytest.mark.parametrize(
    "leave", [socket.socket.close, reset, say_something], ids=["fin", "rst", "unasked"]
)
async def test_a_kept_connection_that_is_no_good_any_more_costs_no_post(
    transport, peer, leave, steps
):
    leave(await peer.serve_one(transport))
    # At first only the system knows, then the loop has read it, then the connection is closed.
    for _ in range(steps):
        await asyncio.sleep(0)
    asking = asyncio.create_task(ask(transport, peer.port))
    sock = await peer.accept()
    assert b"POST" in await peer.heard(sock)
    sock.send(OK)
    assert (await asking).status == 200


async def test_a_kept_connection_that_ends_leaves_the_pool_at_once(transport, peer):
    sock = await peer.serve_one(transport)
    assert kept(transport) == 1
    sock.close()
    await settled(transport, 0)
    assert kept(transport) == 0


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["fin", "rst"])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_an_end_after_the_request_is_unknown_for_a_post_and_one_more_try_for_a_get(
    transport, peer, leave, method
):
    sock = await peer.serve_one(transport, method)
    asking = asyncio.create_task(ask(transport, peer.port, method))
    await peer.heard(sock)
    leave(sock)
    if method == "POST":
        with pytest.raises(Unknown, match="was lost"):
            await asking
        return
    second = await peer.accept()
    await peer.heard(second)
    leave(second)
    with pytest.raises(Unknown):  # once more, and no more
        await asking


async def test_a_get_whose_reply_began_is_not_asked_again(transport, peer):
    sock = await peer.serve_one(transport, "GET")
    asking = asyncio.create_task(ask(transport, peer.port, "GET"))
    await peer.heard(sock)
    sock.send(OK[:10])
    sock.close()
    with pytest.raises(Unknown):
        await asking


async def test_the_connection_that_came_back_last_is_used_first(transport, peer):
    first = asyncio.create_task(ask(transport, peer.port))
    one = await peer.accept()
    second = asyncio.create_task(ask(transport, peer.port))
    two = await peer.accept()
    for sock, asking in ((one, first), (two, second)):
        await peer.heard(sock)
        sock.send(OK)
        await asking
    asking = asyncio.create_task(ask(transport, peer.port))
    assert b"POST" in await peer.heard(two)
    two.send(OK)
    await asking


async def test_an_idle_connection_is_closed_after_a_while(transport, peer, monkeypatch):
    monkeypatch.setattr("sidecar.wire.lean.KEPT_FOR", 0.05)
    sock = await peer.serve_one(transport)
    assert await peer.heard(sock) == b""
    await settled(transport, 0)
    assert transport._engine._idle == {}


async def test_one_that_is_too_old_is_not_used_though_nobody_closed_it(
    transport, peer, monkeypatch
):
    sock = await peer.serve_one(transport)
    monkeypatch.setattr("sidecar.wire.lean.KEPT_FOR", 0.0)  # as after a SIGSTOP
    asking = asyncio.create_task(ask(transport, peer.port))
    second = await peer.accept()
    await peer.heard(second)
    second.send(OK)
    assert (await asking).status == 200
    assert await peer.heard(sock) == b""


# Surplus, and an end at any moment


@pytest.mark.parametrize("surplus", [OK, b"x"])
async def test_a_reply_with_more_behind_it_is_valid_and_its_connection_is_not_kept(
    transport, peer, surplus
):
    asking = asyncio.create_task(ask(transport, peer.port))
    sock = await peer.accept()
    await peer.heard(sock)
    sock.send(OK + surplus)
    assert (await asking).body == b"{}"
    assert kept(transport) == 0
    await settled(transport, 0)


@pytest.mark.parametrize("place", range(len(OK)))
@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["fin", "rst"])
async def test_a_reply_that_breaks_off_anywhere_is_unknown(transport, peer, place, leave):
    asking = asyncio.create_task(ask(transport, peer.port))
    sock = await peer.accept()
    await peer.heard(sock)
    sock.send(OK[:place])
    leave(sock)
    with pytest.raises(Unknown):
        await asking


@pytest.mark.parametrize("steps", range(12))
async def test_a_cancellation_at_any_step_leaves_nothing_open_and_no_pool_poisoned(
    transport, peer, steps
):
    await peer.serve_one(transport)
    before = descriptors()
    asking = asyncio.create_task(ask(transport, peer.port))
    answered = False
    for _ in range(steps):
        await asyncio.sleep(0)
        if not answered and b"POST" in _peek(peer.accepted[0]):
            peer.accepted[0].send(OK)
            answered = True
    asking.cancel()
    done = (await asyncio.gather(asking, return_exceptions=True))[0]
    await settled(transport, kept(transport))
    assert descriptors() <= before
    if isinstance(done, BaseException):
        assert isinstance(done, asyncio.CancelledError)
    else:
        assert done.body == b"{}"
    again = asyncio.create_task(ask(transport, peer.port, timeout=2.0))
    sock = peer.accepted[0]
    if not kept(transport):
        sock = await peer.accept()
    elif answered:
        sock.recv(65536)
    await peer.heard(sock)
    sock.send(OK.replace(b"{}", b"[]"))
    assert (await again).body == b"[]", "the answer to another request"


def _peek(sock):
    try:
        return sock.recv(65536, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancellation_while_connecting_leaves_nothing_open(transport, peer, steps):
    await peer.serve_one(transport)  # uvloop opens some of its own at first
    before = descriptors()
    asking = asyncio.create_task(ask(transport, peer.port, host="localhost"))
    for _ in range(steps):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await settled(transport, 1)
    async with asyncio.timeout(5.0):
        while descriptors() > before:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0)


async def test_no_time_at_all_sends_nothing_over_a_kept_connection(transport, peer):
    sock = await peer.serve_one(transport)
    with pytest.raises(DeliveryError, match="time for connecting"):
        await ask(transport, peer.port, timeout=0.0)
    with pytest.raises(BlockingIOError):
        sock.recv(1)


# The end of it all


async def test_close_ends_what_is_kept_and_what_is_under_way(peer):
    transport = HttpTransport(allow_private=True)
    idle = await peer.serve_one(transport)
    before = descriptors()
    asking = [asyncio.create_task(ask(transport, peer.port)) for _ in range(2)]
    await peer.heard(idle)
    await peer.heard(await peer.accept())
    await transport.close()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(error, Unknown) for error in results)
    assert descriptors() == before, "one fewer of ours, one more of the peer's"
    with pytest.raises(LocalFault):
        await ask(transport, peer.port)


async def test_a_connection_that_comes_after_the_close_is_not_used(peer):
    transport = HttpTransport(allow_private=True)
    asking = asyncio.create_task(ask(transport, peer.port))
    await asyncio.sleep(0)  # connecting
    await transport.close()
    with pytest.raises(LocalFault):
        await asking


# TLS


@pytest.fixture
def secure(monkeypatch, tmp_path):
    """A server's context, trusted here."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls_context.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    yield context
    tls_context.cache_clear()


async def test_session_tickets_do_not_cost_a_tls_connection(transport, serve, secure):
    connections = []

    async def answer(reader, writer):
        connections.append(writer)
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(4)  # the body
            writer.write(OK)

    port = await serve(answer, ssl=secure)
    for _ in range(3):
        reply = await ask(transport, port, scheme="https", host="localhost")
        assert reply.status == 200
    assert len(connections) == 1


async def test_a_tls_connection_that_the_peer_has_left_costs_no_post(transport, serve, secure):
    served = []

    async def answer_once(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        served.append(writer)
        await left.wait()

    left = asyncio.Event()
    port = await serve(answer_once, ssl=secure)
    await ask(transport, port, scheme="https", host="localhost")
    served[0].transport.abort()
    await asyncio.sleep(0)  # its end is in the system's buffer now
    left.set()
    assert (await ask(transport, port, scheme="https", host="localhost")).status == 200
    assert len(served) == 2


async def test_a_peer_that_says_no_goodbye_does_not_hold_up_the_close(serve, secure):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        writer.transport.pause_reading()
        await asyncio.get_running_loop().create_future()

    transport = HttpTransport(allow_private=True)
    port = await serve(answer, ssl=secure)
    await ask(transport, port, scheme="https", host="localhost")
    async with asyncio.timeout(5.0):
        await transport.close()
    assert not transport._engine._open


# Several addresses, and what may leave at all


async def test_an_address_that_answers_is_reached_past_one_that_is_deaf(deaf_port):
    with socket.create_server(("127.0.0.2", deaf_port)) as listener:
        found = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2")]
        with await connect_any(found, deaf_port) as sock:
            assert sock.getpeername() == listener.getsockname()


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nB: c"},
        {"X": "a\nb"},
        {"X": "a\0b"},
        {"X\r\nB": "c"},
        {"X Y": "a"},
        {"": "a"},
        {"X:": "a"},
        {"Content-Length": "3"},
        {"transfer-encoding": "chunked"},
        {"Host": "a", "host": "b"},
    ],
)
@pytest.mark.parametrize("name", ["lean", "aiohttp"])
async def test_no_header_can_hold_another(closed_port, headers, name, engine_named):
    transport = engine_named(name)
    with pytest.raises(Misconfigured):
        await transport.request(
            "POST", f"http://127.0.0.1:{closed_port}/", headers=headers, body=b"x", timeout=5.0
        )
    await transport.close()


@pytest.fixture
def engine_named():
    from sidecar import transport as door  # noqa: PLC0415

    def make(name):
        door.use(name)
        return HttpTransport(allow_private=True)

    yield make
    door.use("lean")


async def test_a_method_is_a_token_and_a_url_carries_no_password(transport, closed_port):
    for method, user in (("GET / HTTP/1.1\r\nX:", ""), ("GET", "user:canary@")):
        with pytest.raises(Misconfigured):
            await ask(transport, closed_port, method, host=f"{user}127.0.0.1")


async def test_a_request_is_bounded(transport, closed_port):
    with pytest.raises(Refused):
        await ask(transport, closed_port, body=b"x" * (REQUEST_LIMIT + 1))


async def test_a_connection_that_failed_is_let_go_without_a_collection(
    peer, transport, monkeypatch
):
    # What TLS holds lies outside Python: the collector, which counts objects, would wait too long.
    seen = weakref.WeakSet()
    begin = Connection.connection_made

    def connection_made(self, to):
        seen.add(self)
        begin(self, to)

    monkeypatch.setattr(Connection, "connection_made", connection_made)
    gc.collect()
    gc.disable()
    try:
        asking = asyncio.create_task(ask(transport, peer.port))
        sock = await peer.accept()
        await peer.heard(sock)
        sock.send(b"HTTP/1.1 nonsense\r\n\r\n")
        with pytest.raises(Unknown):
            await asking
        del asking
        await asyncio.sleep(0)  # the loop tells of the end in its next step
        await asyncio.sleep(0)
        assert len(seen) == 0
    finally:
        gc.enable()
