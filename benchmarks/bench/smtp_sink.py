"""An SMTP server that takes every mail and keeps whom it was for; STARTTLS, AUTH PLAIN."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from typing import cast

_HELLO = b"250-sink\r\n%b250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 10485760\r\n"
_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


class SmtpSink(asyncio.Protocol):
    """One session. `ledger` gets `("smtp", Message-ID, recipient)` for each mail taken."""

    def __init__(self, ledger: list[tuple[str, str, bytes]], tls: ssl.SSLContext) -> None:
        self._ledger = ledger
        self._tls = tls
        self._private = False
        self._rest = b""
        self._recipient = b""
        self._in_data = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        if not self._private:
            self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while True:
            end, after = self._next()
            if end < 0:
                return
            piece, self._rest = self._rest[:end], self._rest[end + len(after) :]
            if self._in_data:
                self._take(piece)
            else:
                self._obey(piece)

    def _next(self) -> tuple[int, bytes]:
        after = b"\r\n.\r\n" if self._in_data else b"\r\n"
        return self._rest.find(after), after

    def _take(self, mail: bytes) -> None:
        self._in_data = False
        found = _MESSAGE_ID.search(mail)
        self._ledger.append(("smtp", found[1].decode() if found else "", self._recipient))
        self._transport.write(b"250 taken\r\n")

    def _obey(self, line: bytes) -> None:
        word = line[:4].upper()
        if word == b"EHLO":
            offer = b"250-AUTH PLAIN\r\n" if self._private else b"250-STARTTLS\r\n"
            self._transport.write(_HELLO % offer)
        elif word == b"STAR":
            self._transport.write(b"220 go on\r\n")
            self._upgrade = asyncio.get_running_loop().create_task(self._encrypt())
        elif word == b"AUTH":
            self._transport.write(b"235 welcome\r\n")
        elif word == b"DATA":
            self._in_data = True
            self._transport.write(b"354 go on\r\n")
        elif word == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
        else:
            if word == b"RCPT":
                self._recipient = line.partition(b"<")[2].partition(b">")[0]
            self._transport.write(b"250 fine\r\n")

    async def _encrypt(self) -> None:
        self._private = True
        with contextlib.suppress(OSError):  # the client has gone
            upgraded = await asyncio.get_running_loop().start_tls(
                self._transport, self, self._tls, server_side=True
            )
            assert upgraded is not None
            self._transport = upgraded
