"""One provider that can be broken: its two listeners, its fault, its counts."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from faultd.accounts import Account
from faultd.connection import Connection, Gone, Listener, linger_none, open_streams, silence
from faultd.faults import EARLY, Fault
from faultd.ledger import Counts, Ledger, Letter
from faultd.web import blanks

GARBAGE = b"HTTP/1.1 400 Bad Request\r\n\r\nplain HTTP, not TLS\r\n"


class Speaker(Protocol):
    """What is spoken once a connection stands: HTTP of one vendor, or SMTP."""

    protocol: str

    async def serve(self, standin: StandIn, connection: Connection, *, private: bool) -> None: ...


CLOSING = 5.0
"""Seconds for the kept connections of a provider that breaks to be closed."""


class StandIn:
    """A named provider of `kind`, on two listeners.

    `plain` is HTTP, or SMTP that offers STARTTLS; `tls` begins with the handshake.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        speaker: Speaker,
        contexts: Mapping[str, ssl.SSLContext],
        ledger: Ledger,
    ) -> None:
        self.name = name
        self.kind = kind
        self.fault: Fault | None = None
        self.account = Account(kind)
        self.counts = Counts()
        self.trap_url = ""
        self._speaker = speaker
        self._contexts = contexts
        self._ledger = ledger
        self._connections: set[Connection] = set()
        self.plain = Listener(self._door(tls=False))
        self.tls = Listener(self._door(tls=True))

    def open(self) -> None:
        self.plain.open()
        self.tls.open()

    async def set(self, name: str, options: Mapping[str, Any]) -> None:
        """Break; raises ValueError for a fault that makes no sense here."""
        fault = Fault(self._speaker.protocol, name, **options)
        await self.heal()
        if name == "bomb":  # now, and not while somebody waits for an answer
            await asyncio.to_thread(blanks, fault.options["size"])
        self.fault = fault
        if fault.stage == "listen":
            await asyncio.gather(self.plain.refuse(), self.tls.refuse())
        if fault.stage in EARLY:
            dropped = [one for one in self._connections if one.idle]
            for connection in dropped:
                connection.drop()
            # Closed when this is answered: else the next request may still be put on one of them.
            closed = (connection.writer.wait_closed() for connection in dropped)
            await asyncio.wait_for(asyncio.gather(*closed, return_exceptions=True), CLOSING)

    def put(self, state: str, verified: Sequence[str] = ()) -> None:
        """Put the account into a state; raises ValueError for one that it cannot have."""
        self.account = Account(self.kind, state, tuple(verified))

    async def heal(self) -> None:
        self.fault = None
        self.open()

    async def close(self) -> None:
        await asyncio.gather(self.plain.close(), self.tls.close())

    def take(self, stage: str) -> Fault | None:
        """The fault that strikes at `stage` now, if one does."""
        fault = self.fault
        return fault if fault and fault.stage == stage and fault.strikes() else None

    def accept(self, id_: str, letter: Letter, fault: Fault | None) -> None:
        lost = fault is not None and fault.name != "slow"
        self._ledger.accept(self.name, letter.message_id or id_, letter, lost=lost)

    async def choose_context(self, connection: Connection | None) -> ssl.SSLContext | None:
        """The context for a handshake; where it is to be garbage or silence on `connection`, none.

        Raises `Gone` after that.
        """
        fault = self.take("tls")
        how = fault.options["how"] if fault else "good"
        if how in self._contexts or connection is None:
            return self._contexts.get(how)
        if how == "garbage":
            await connection.send(GARBAGE)
            connection.finish()
        return await connection.hold()

    # A connection

    def _door(self, *, tls: bool) -> Callable[[socket.socket], Awaitable[None]]:
        async def serve(sock: socket.socket) -> None:
            self.counts.connections += 1
            await self._strike_at_connect(sock)
            context = await self.choose_context(None) if tls else None
            if tls and context is None:
                await self._break_handshake(sock)
            await open_streams(sock, context, lambda connection: self._speak(connection, tls=tls))

        return serve

    async def _speak(self, connection: Connection, *, tls: bool) -> None:
        self._connections.add(connection)
        try:
            await self._speaker.serve(self, connection, private=tls)
        finally:
            self._connections.discard(connection)

    async def _strike_at_connect(self, sock: socket.socket) -> None:
        fault = self.take("connect")
        if fault is None:
            return
        await asyncio.sleep(fault.delay)
        if fault.name == "silence":
            await silence(sock)
        if fault.name == "reset":
            linger_none(sock)
        raise Gone

    async def _break_handshake(self, sock: socket.socket) -> None:
        assert self.fault is not None
        if self.fault.options["how"] == "garbage":
            await asyncio.get_running_loop().sock_sendall(sock, GARBAGE)
            raise Gone
        await silence(sock)
