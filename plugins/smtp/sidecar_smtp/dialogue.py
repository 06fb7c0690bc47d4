"""Commands and replies of a session that aiosmtplib has dialled, encrypted and logged in.

aiosmtplib sends one command at a time and drops a reply that nobody waits for. Here several may be
on their way (PIPELINING, RFC 2920), and each reply goes to the command it answers.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import NamedTuple, cast

import aiosmtplib

REPLY_LIMIT = 32 * 1024
"""Bytes of replies that are kept; a server that says more is not understood."""
_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


class Reply(NamedTuple):
    """One reply; the lines of a longer one are joined by line feeds. Its text is the server's."""

    code: int
    text: str


class Dialogue(asyncio.Protocol):
    """Takes the connection of `client` over. Make it when no command is on its way.

    `awaited` is the number of replies that are still to be read.
    """

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        transport = client.transport
        if transport is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        self._transport = cast(asyncio.Transport, transport)
        self._buffer = bytearray()
        self._lines: list[bytes] = []
        self._code = b""
        self._held = 0
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.awaited = 0
        self._lost: Exception | None = None
        self._transport.set_protocol(self)

    @property
    def alive(self) -> bool:
        return self._lost is None and not self._transport.is_closing()

    def say(self, *lines: bytes, replies: int = 1) -> None:
        """Send `lines` as they are, in one write; so many replies are to come.

        Raises `SMTPServerDisconnected` where the connection is lost already.
        """
        if not self.alive:
            raise self._lost or aiosmtplib.SMTPServerDisconnected("Connection lost")
        self.awaited += replies
        self._transport.write(b"".join(lines))

    async def reply(self) -> Reply:
        """The next one; raises `SMTPServerDisconnected`, for nonsense `SMTPResponseException`."""
        while not self._replies:
            if self._lost is not None:
                raise self._lost
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self.awaited -= 1
        return self._replies.popleft()

    def abort(self) -> None:
        """Drop the connection at once; not `close`, which lets TLS wait for the peer's farewell."""
        self._end(aiosmtplib.SMTPServerDisconnected("Connection dropped"))

    def data_received(self, data: bytes) -> None:
        if self._lost is not None:
            return
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if not self._take(line.rstrip(b"\r")):
                return
        if len(self._buffer) + self._held > REPLY_LIMIT:
            self._misunderstood()
        elif len(self._replies) > self.awaited:
            # A farewell between two mails, mostly: nothing that is sent now would be answered.
            self.abort()
        elif self._replies:
            self._wake()

    def eof_received(self) -> None:
        self._lose(aiosmtplib.SMTPServerDisconnected("Unexpected EOF received"))

    def connection_lost(self, exc: Exception | None) -> None:
        error = aiosmtplib.SMTPServerDisconnected("Connection lost")
        error.__cause__ = exc
        self._lose(error)

    def _take(self, line: bytes) -> bool:
        match = _LINE.fullmatch(line)
        # Every line of a reply has its code (RFC 5321, 4.2.1): of two, neither is an answer.
        if match is None or (self._lines and match[1] != self._code):
            self._misunderstood()
            return False
        self._code = match[1]
        self._lines.append((match[3] or b"").strip())
        self._held += len(line)
        if match[2] != b"-":
            self._held = 0
            text = b"\n".join(self._lines).decode("utf-8", "surrogateescape")
            self._lines.clear()
            self._replies.append(Reply(int(match[1]), text))
        return True

    def _misunderstood(self) -> None:
        self._end(aiosmtplib.SMTPResponseException(-1, "Malformed SMTP response"))

    def _end(self, error: Exception) -> None:
        self._transport.abort()
        self._lose(error)

    def _lose(self, error: Exception) -> None:
        if self._lost is None:
            self._lost = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
