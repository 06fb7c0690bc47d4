"""The control port: JSON over HTTP, for `faultd.client`, and the trap for followed redirects."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from faultd.connection import Connection, Listener, open_streams
from faultd.ledger import counts_of
from faultd.vendors import Answer, Request
from faultd.web import read_request, render

if TYPE_CHECKING:
    from faultd.daemon import Daemon

JSON = {"Content-Type": "application/json"}


class Control:
    """`GET /ledger?since=N`, `/counts`, `/providers`; `POST /set`, `/account`, `/heal`, `/add`."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.listener = Listener(self._serve)

    async def _serve(self, sock: socket.socket) -> None:
        await open_streams(sock, None, self._speak)

    async def _speak(self, connection: Connection) -> None:
        while not connection.over:
            request = await read_request(connection)
            try:
                answer = Answer(200, JSON, json.dumps(await self._obey(request)).encode())
            except (ValueError, KeyError, TypeError) as error:
                said = f"{type(error).__name__}: {error}"
                answer = Answer(400, JSON, json.dumps({"error": said}).encode())
            await connection.send(render(answer))

    async def _obey(self, request: Request) -> Any:
        asked = json.loads(request.body) if request.body else {}
        path, _, query = request.path.partition("?")
        daemon = self._daemon
        match path:
            case "/ledger":
                return daemon.ledger.records[int(query.partition("=")[2] or 0) :]
            case "/counts":
                return {name: counts_of(one.counts) for name, one in daemon.standins.items()}
            case "/providers":
                return daemon.describe()
            case "/add":
                daemon.add(asked["name"], asked["kind"])
                return daemon.describe()
            case "/heal":
                named = asked.get("provider")
                for name in [named] if named else daemon.standins:
                    await daemon.standins[name].heal()
                return {}
            case "/account":
                daemon.standins[asked.pop("provider")].put(**asked)
                return {}
            case "/set":
                await daemon.standins[asked.pop("provider")].set(asked.pop("fault"), asked)
                return {}
        raise ValueError(f"no such command: {path}")


class Trap:
    """Where every redirect leads: `/NAME` counts as followed for the provider NAME."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.listener = Listener(self._serve)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.port}"

    async def _serve(self, sock: socket.socket) -> None:
        await open_streams(sock, None, self._speak)

    async def _speak(self, connection: Connection) -> None:
        request = await read_request(connection)
        name = request.path.strip("/").partition("/")[0]
        if name in self._daemon.standins:
            self._daemon.standins[name].counts.redirects_followed += 1
        await connection.send(render(Answer(200, JSON, b"{}")))
