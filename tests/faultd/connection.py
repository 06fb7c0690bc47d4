"""Listeners and connections over raw sockets, so that every step of a connection can be broken."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Any

HOLD = 60.0
"""Seconds that a silence lasts at most; the peer's farewell ends it before."""
HANDSHAKE = 10.0
FAREWELL = 1.0
CHUNK = 65_536
READ_LIMIT = 16 * 1024 * 1024


class Gone(Exception):
    """This connection is over, by a fault or by the peer."""


class Listener:
    """A listening socket of 127.0.0.1 that can refuse, and come back on the same port."""

    def __init__(self, serve: Callable[[socket.socket], Awaitable[None]]) -> None:
        self._serve = serve
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._socket = _bound(0)
        self.port: int = self._socket.getsockname()[1]

    def open(self) -> None:
        if self._accepting is None:
            self._socket.listen(512)
            self._accepting = asyncio.create_task(self._accept(self._socket))

    async def refuse(self) -> None:
        """Stop listening. The port stays bound, so that nobody else can take it meanwhile."""
        if self._accepting is not None:
            await _cancelled(self._accepting)
            self._accepting = None
            self._socket.close()
            self._socket = _bound(self.port)

    async def close(self) -> None:
        for task in (self._accepting, *self._tasks):
            if task is not None:
                await _cancelled(task)
        self._socket.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listening)
            except OSError:  # no descriptor, or the peer has gone already
                await asyncio.sleep(0.01)
                continue
            task = asyncio.create_task(self._run(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, Gone, EOFError), sock:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._serve(sock)


class Connection:
    """One accepted connection with its streams. `idle` while nothing of a request is here."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.idle = True

    @property
    def over(self) -> bool:
        return self.writer.transport.is_closing()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def drip(self, data: bytes, interval: float) -> None:
        """A byte, a pause, a byte; raises `Gone` when the peer has had enough."""
        for number in range(len(data)):
            if self.over or self.reader.at_eof():
                raise Gone
            await self.send(data[number : number + 1])
            await asyncio.sleep(interval)

    async def flood(self, data: bytes, limit: int, seconds: float) -> None:
        """`data` again and again, until `limit` bytes, `seconds`, or the peer's end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for _ in range(0, limit, len(data)):
                    if self.over or self.reader.at_eof():
                        break
                    await self.send(data)
                    await asyncio.sleep(0)
        raise Gone

    async def hold(self) -> None:
        """Say nothing until the peer goes away."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOLD):
                while await self.reader.read(CHUNK):
                    pass
        raise Gone

    def reset(self) -> None:
        """End with RST."""
        linger_none(self.writer.get_extra_info("socket"))
        self.writer.transport.abort()
        raise Gone

    def finish(self) -> None:
        """End with FIN, after what was written."""
        self.writer.close()
        raise Gone

    def drop(self) -> None:
        """End at once, from outside."""
        if not self.over:
            self.writer.transport.abort()


async def open_streams(
    sock: socket.socket,
    context: ssl.SSLContext | None,
    serve: Callable[[Connection], Awaitable[None]],
) -> None:
    """Streams over an accepted socket, with TLS where `context` is given; until `serve` ends."""
    loop = asyncio.get_running_loop()
    connected: asyncio.Future[Connection] = loop.create_future()

    def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set_result(Connection(reader, writer))

    def protocol() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=READ_LIMIT), arrived)

    handshake: Any = {"ssl": context, "ssl_handshake_timeout": HANDSHAKE} if context else {}
    await loop.connect_accepted_socket(protocol, sock, **handshake)
    connection = await connected
    try:
        await serve(connection)
    finally:
        if not connection.over:
            connection.writer.close()
        try:
            async with asyncio.timeout(FAREWELL):
                await connection.writer.wait_closed()
        except TimeoutError:  # TLS would wait for the peer's farewell
            connection.writer.transport.abort()
        except OSError:
            pass


async def silence(sock: socket.socket) -> None:
    """Hold a raw socket without a word until the peer goes away."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HOLD):
            while await asyncio.get_running_loop().sock_recv(sock, CHUNK):
                pass
    raise Gone


def linger_none(sock: socket.socket) -> None:
    """What follows is an RST, not a FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
