"""Who may be connected, how many at once, and for how long without a request.

One timer looks after all connections: those that do not finish a head, do not read their answer,
or hold a seat for nothing. A request costs it a few look-ups in dictionaries, and no timer.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiohttp import web

from sidecar.api.asked import Asked
from sidecar.api.connections import Connection, Express
from sidecar.api.edge import Guard
from sidecar.api.problems import Problem
from sidecar.listeners import peer_uid
from sidecar.process import Seats

BACKLOG = 1024
BATCH = 8
"""Connections accepted, or cut as silent, in one turn of the event loop: some hundred at once would
hold everybody up for 10 ms and more."""
PATIENCE = 0.5
"""Of the head deadline: so long a seat may be held for nothing before another caller gets it."""
UNREAD = 10.0
"""Seconds that an answer may lie unread before the connection is cut."""
GRACE = 0.5
"""Seconds for which a seat is safe: in a burst all connect before the first one asks."""
RETRY = 0.02
"""Seconds until the next try to accept where there was no seat, or no descriptor."""
LAST_ANSWERS = 1.0
"""Seconds, at the end, for answers that are being written."""
_ALWAYS_ANSWERED = frozenset({"/livez", "/readyz", "/health", "/health/messaging", "/metrics"})


@dataclass(frozen=True, slots=True)
class Manners:
    """How long, in seconds, a caller may take; and the uids that may use a Unix socket."""

    header_timeout: float
    body_timeout: float
    keep_alive: float
    uids: frozenset[int]


class Reception:
    """Accepts the callers of one listener and serves them an application.

    `express` is offered what comes first on a connection (see `sidecar.api.express`).

    Over `seats.connections` the one goes that has waited longest for its own head, or for its
    answer to be read, or for its own body, or else for its next request. Where all are busy, up to
    `seats.most` are taken in all the same: probes get their answer, everything else gets 503.
    """

    def __init__(
        self,
        app: web.Application,
        guard: Guard,
        listener: socket.socket,
        seats: Seats,
        manners: Manners,
        shed: Callable[[str], None],
        express: Express | None = None,
    ) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=LAST_ANSWERS)
        self._guard = guard
        self._listener = listener
        self._seats = seats
        self._manners = manners
        self._shed = shed
        self._express = express
        self._patience = manners.header_timeout * PATIENCE
        self.body_timeout = manners.body_timeout
        self._open = self._busy = 0
        self._told_at = float("-inf")
        self._coming: set[asyncio.Task[None]] = set()
        self._transports: dict[Connection, asyncio.Transport] = {}
        # Each holds since when, and is in the order of that: the oldest is always the first.
        self._heads: dict[Connection, float] = {}
        self._unread: dict[Connection, float] = {}
        self._bodies: dict[Connection, float] = {}
        self._idle: dict[Connection, float] = {}
        self._leaving: dict[Connection, float] = {}

    async def open(self) -> None:
        """Accept from now on."""
        self._loop = asyncio.get_running_loop()
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        server.request_handler = self._guard(server.request_handler)
        self._server = server
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        self._loop.add_reader(self._listener.fileno(), self._accept)
        self._pause: asyncio.TimerHandle | None = None
        self._round = min(0.5, self._manners.header_timeout / 4)
        self._timer = self._loop.call_later(self._round, self._look_round)

    async def close(self) -> None:
        """Accept nothing more, let answers end, and close every connection."""
        self._timer.cancel()
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        if self._coming:
            await asyncio.wait(self._coming)
        await self._runner.cleanup()

    # Accepting

    def _accept(self) -> None:
        """Take in those who wait at the listener; asyncio's own loop knows no limit."""
        for _ in range(BATCH):
            if self._open >= self._seats.most:
                # A seat is free in the next turn, when its connection was closed.
                if not self._make_room(self._open - self._seats.most + 1, patience=GRACE):
                    self._accept_later()
                return
            try:
                connected, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptor, or no memory
                self._cannot_accept(error)
                return
            connected.setblocking(False)
            self._open += 1
            task = self._loop.create_task(self._welcome(connected))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)
            self._make_room(self._over(), self._patience)

    def _cannot_accept(self, error: OSError) -> None:
        now = self._loop.time()
        if now - self._told_at >= UNREAD:  # not for every try
            structlog.get_logger().warning("cannot_accept", error=error.strerror)
            self._told_at = now
        self._make_room(1, patience=GRACE)
        self._accept_later()

    def _accept_later(self) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(RETRY, self._accept_again)

    def _accept_again(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    async def _welcome(self, connected: socket.socket) -> None:
        try:
            uid = peer_uid(connected)
            connection = Connection(
                self,
                self._server,
                self._manners.keep_alive,
                stranger=uid is not None and uid not in self._manners.uids,
                express=self._express,
            )
            await self._loop.connect_accepted_socket(lambda: connection, connected)
        except OSError:  # it has gone already
            connected.close()
            self._open -= 1

    def _over(self) -> int:
        return self._open - len(self._leaving) - self._seats.connections

    def _make_room(self, wanted: int, patience: float) -> bool:
        """Close up to so many connections that have held their seat for nothing for `patience`.

        Says whether there were as many.
        """
        if wanted <= 0:
            return True
        until = self._loop.time() - patience
        for group in (self._heads, self._unread, self._bodies, self._idle):
            for connection in _since(group, until):
                if self._is_for_nothing(group, connection):
                    self._forget(connection)
                    self._leaving[connection] = self._loop.time()
                    self._transports[connection].abort()
                    wanted -= 1
                    if wanted == 0:
                        return True
        return False

    def _is_for_nothing(self, group: dict[Connection, float], connection: Connection) -> bool:
        if group is self._heads:
            idle = connection.waiting
        else:
            idle = group is not self._idle or connection.quiet
        # In a burst a whole request may lie there: cut, its caller knows not what became of it.
        return idle and (group is self._unread or not _has_news(self._transports[connection]))

    # What a connection tells

    def arrived(self, connection: Connection, transport: asyncio.Transport) -> None:
        self._transports[connection] = transport
        self._heads[connection] = self._loop.time()

    def left(self, connection: Connection) -> None:
        self._forget(connection)
        self._leaving.pop(connection, None)
        if self._transports.pop(connection, None) is not None:
            self._open -= 1

    def begun_a_head(self, connection: Connection) -> None:
        if connection not in self._leaving:
            self._idle.pop(connection, None)
            self._heads.setdefault(connection, self._loop.time())

    def reading(self, connection: Connection, *, ended: bool = False) -> None:
        self._note(self._bodies, connection, ended=ended)

    def stuck(self, connection: Connection, *, ended: bool = False) -> None:
        self._note(self._unread, connection, ended=ended)

    def begin(self, request: Asked, connection: Connection) -> None:
        """A head is complete. Raises `Problem` where it is not to be served."""
        self._heads.pop(connection, None)
        self._idle.pop(connection, None)
        self._busy += 1
        if connection.stranger:
            raise Problem(403, "foreign_user", "this user is not one of server.peer_uids")
        if self._busy > self._seats.connections and not (
            request.method == "GET" and request.raw_path in _ALWAYS_ANSWERED
        ):
            self._shed("connections")
            raise Problem(
                503,
                "overloaded",
                "too many connections are busy; nothing was begun",
                retry_after=1.0,
                close=True,
            )

    def end(self, connection: Connection) -> None:
        self._busy -= 1
        self._note(self._idle, connection)

    def _note(
        self, group: dict[Connection, float], connection: Connection, *, ended: bool = False
    ) -> None:
        if ended:
            group.pop(connection, None)
        elif connection in self._transports and connection not in self._leaving:
            group[connection] = self._loop.time()

    def _forget(self, connection: Connection) -> None:
        for group in (self._heads, self._unread, self._bodies, self._idle):
            group.pop(connection, None)

    # Looking after all of them

    def _look_round(self) -> None:
        now = self._loop.time()
        cut = 0
        for connection in _since(self._heads, now - self._manners.header_timeout):
            if connection.waiting:  # where the loop was held up, its head may just have come
                self._forget(connection)
                connection.end_waiting()
                cut += 1
                if cut == BATCH:
                    break
        rest = 0.0 if cut == BATCH else self._round
        self._timer = self._loop.call_later(rest, self._look_round)
        for connection, transport in self._transports.items():
            if transport.is_closing():
                self._leaving.setdefault(connection, now)
        late = now - UNREAD
        for connection in [*_since(self._unread, late), *_since(self._leaving, late)]:
            self._transports[connection].abort()
        self._make_room(self._over(), self._patience)


def _has_news(transport: asyncio.Transport) -> bool:
    """Whether something has come that the loop has not read yet."""
    if transport.is_closing():
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _since(group: dict[Connection, float], until: float) -> list[Connection]:
    """Those that are in it since `until` or longer."""
    found = []
    for connection, since in group.items():
        if since > until:
            break
        found.append(connection)
    return found
