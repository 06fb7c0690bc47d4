"""The front: the listeners, their seats for connections, and the applications behind them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import structlog
from aiohttp import web

from sidecar.api.connections import Express
from sidecar.api.door import Door
from sidecar.api.edge import Face, guard
from sidecar.api.express import ExpressLane
from sidecar.api.reception import Manners, Reception
from sidecar.api.routes import build_api, build_ops
from sidecar.config import Server, TcpAddress, UnixAddress
from sidecar.listeners import address_of, open_listener
from sidecar.process import Seats, share_seats, spare_descriptors

FOR_FILES = 64
"""Descriptors kept free for the log, its journals, and what is watched or read."""


class Front:
    """Where callers come in. `in_flight` is how many connections to providers there may be."""

    def __init__(
        self, face: Face, server: Server, in_flight: int, shed: Callable[[str], None]
    ) -> None:
        self.addresses: list[str] = []
        self._face = face
        self._server = server
        self._reserve = in_flight + FOR_FILES
        self._shed = shed
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Open the API's listener, and the second one for probes. Raises `ListenError`."""
        server, face = self._server, self._face
        main, *second = self._seats()
        lane = ExpressLane(face)
        listener = await self._serve(build_api(face), face.door, server.listen, main, lane)
        if listener.family != socket.AF_UNIX:
            face.door.ports.add(listener.getsockname()[1])
        if server.ops_listen is not None:
            await self._serve(build_ops(face), None, server.ops_listen, second[0])

    async def close(self) -> None:
        """Let what is being answered end, briefly, and close every connection."""
        await self._stack.aclose()

    def _seats(self) -> list[Seats]:
        wanted = self._server.connections
        listeners = 1 if self._server.ops_listen is None else 2
        seats = share_seats(wanted, self._reserve, spare_descriptors(), listeners)
        if seats[0].connections < wanted:
            structlog.get_logger().warning(
                "few_descriptors",
                connections=seats[0].connections,
                wanted=wanted,
                do="raise the limit of open files (ulimit -n), or lower server.connections",
            )
        return seats

    async def _serve(
        self,
        app: web.Application,
        door: Door | None,
        where: TcpAddress | UnixAddress,
        seats: Seats,
        express: Express | None = None,
    ) -> socket.socket:
        server = self._server
        listener = open_listener(where, shared=bool(server.peer_uids))
        uids = frozenset({0, os.geteuid(), *server.peer_uids})
        manners = Manners(server.header_timeout, server.body_timeout, server.keep_alive, uids)
        reception = Reception(
            app, partial(guard, door), listener, seats, manners, self._shed, express
        )
        await reception.open()
        self._stack.push_async_callback(reception.close)
        self.addresses.append(address_of(listener))
        return listener
