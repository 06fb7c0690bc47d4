"""The engine `lean`: an HTTP/1.1 client that does what a send needs, and nothing else.

A connection belongs to one exchange at a time. It comes back into the pool when the reply was
whole and nothing else came; in every other case, our own cancellation included, it is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sidecar.delivery.errors import LocalFault
from sidecar.delivery.timeouts import Timeouts
from sidecar.network import (
    CONNECT_TIMEOUT,
    Found,
    connect_any,
    connect_error,
    resolve,
    tls_context,
)
from sidecar.wire.connection import Connection, Unanswered
from sidecar.wire.engine import KEPT_FOR, NAMES_FOR, Answer
from sidecar.wire.request import request_bytes
from sidecar.wire.target import Origin, Target

GOODBYE = 0.25
"""Seconds that peers get to answer the goodbye of TLS when everything is closed."""
NAMES = 256
"""Names whose addresses are remembered."""
_AGAIN = ("GET", "HEAD")


class LeanClient:
    """An `Engine`. `allow_private` is for the names that it resolves."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: dict[Connection, Origin] = {}
        self._names: dict[tuple[str, bool], tuple[float, Found]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._timeouts: Timeouts | None = None
        self._closed: asyncio.Future[None] | None = None
        tls_context()  # made by now, or the first send would hold up the loop for 25 ms

    async def exchange(
        self, target: Target, method: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Answer:
        """See `Engine`."""
        deadline = asyncio.get_running_loop().time() + timeout
        request = request_bytes(target, method, headers, body)
        kept = self._kept(target.origin)
        while True:
            connection = kept or await self._connect(target, deadline)
            try:
                answer = await connection.exchange(method, request, deadline)
            except BaseException as error:
                connection.abort()
                if kept is None or method not in _AGAIN or not isinstance(error, Unanswered):
                    raise
                kept = None  # once more, over a fresh one
            else:
                self._keep(connection, target.origin)
                return answer

    # The pool

    def _kept(self, origin: Origin) -> Connection | None:
        """The connection that came back last, where it is still good."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            # A process that was stopped for a while finds the pool as it was; and one that the loop
            # is about to close lies here for one more step of it.
            young = connection.idle_since + KEPT_FOR > asyncio.get_running_loop().time()
            if young and connection.is_reusable and not connection.has_news:
                return connection
            connection.abort()
        return None

    def _keep(self, connection: Connection, origin: Origin) -> None:
        if self._closed is not None or not connection.is_reusable:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(origin, []).append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(KEPT_FOR, self._sweep)

    def _sweep(self) -> None:
        """Close what was idle for too long; the oldest lie at the bottom."""
        loop = asyncio.get_running_loop()
        for origin, idle in list(self._idle.items()):
            while idle and idle[0].idle_since + KEPT_FOR <= loop.time():
                idle.pop(0).close()
            if not idle:
                del self._idle[origin]
        oldest = min((idle[0].idle_since for idle in self._idle.values()), default=None)
        self._sweeper = None
        if oldest is not None:
            self._sweeper = loop.call_at(oldest + KEPT_FOR, self._sweep)

    def _lost(self, connection: Connection) -> None:
        idle = self._idle.get(self._open.pop(connection, (False, "", 0)), [])
        if connection in idle:
            idle.remove(connection)
        if self._closed is not None and not self._open and not self._closed.done():
            self._closed.set_result(None)

    async def close(self) -> None:
        """See `Engine`."""
        self._closed = asyncio.get_running_loop().create_future()
        if self._sweeper is not None:
            self._sweeper.cancel()
        resting = {connection for idle in self._idle.values() for connection in idle}
        self._idle.clear()
        for connection in list(self._open):
            if connection in resting:
                connection.close()
            else:
                connection.abort()
        if self._open:
            await asyncio.wait({self._closed}, timeout=GOODBYE)
        for connection in list(self._open):
            connection.abort()
        if self._open:
            await asyncio.wait({self._closed}, timeout=GOODBYE)

    # A new connection

    async def _connect(self, target: Target, deadline: float) -> Connection:
        left = deadline - asyncio.get_running_loop().time()
        if self._timeouts is None:
            self._timeouts = Timeouts(asyncio.get_running_loop())
        connection = Connection(self._lost, self._timeouts)
        try:
            async with asyncio.timeout(min(CONNECT_TIMEOUT, max(0.0, left))):
                sock = await connect_any(await self._addresses(target), target.port)
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, sock=sock, **_security(target)
                )
        except BaseException as error:
            connection.abort()
            if isinstance(error, OSError):  # TimeoutError is one
                raise connect_error(error) from error
            raise
        if self._closed is not None:
            connection.abort()
            raise LocalFault("the provider's connections were closed")
        self._open[connection] = target.origin
        return connection

    async def _addresses(self, target: Target) -> Found:
        if target.found is not None:
            return target.found
        now = asyncio.get_running_loop().time()
        key = target.host, target.plain  # what is admitted differs with `plain`
        until, found = self._names.get(key, (now, []))
        if until <= now:
            found = await resolve(
                target.host, allow_private=self._allow_private, plain=target.plain
            )
            if len(self._names) >= NAMES:
                self._names.clear()
            self._names[key] = (now + NAMES_FOR, found)
        return found


def _security(target: Target) -> dict[str, Any]:
    if target.plain:
        return {}
    return {
        "ssl": tls_context(),
        "server_hostname": target.host.rstrip("."),
        "ssl_shutdown_timeout": 1.0,
    }
