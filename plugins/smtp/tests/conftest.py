"""Two servers to send to: aiosmtpd, which none of us wrote, and a scripted one that misbehaves."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from sidecar import Message
from sidecar.testing import ManualClock
from sidecar_smtp import Smtp

PASSWORD = "canary-password"
REPLIES = {
    "GREETING": "220 stand-in",
    "EHLO": "250-stand-in\r\n250-SIZE 1000000\r\n250 AUTH CRAM-MD5 LOGIN PLAIN",
    "STARTTLS": "220 go ahead",
    "AUTH": "235 2.7.0 welcome",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go ahead",
    "DOT": "250 2.0.0 queued as 42",
    "RSET": "250 2.0.0 ok",
    "NOOP": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
}


class HangUp(Exception):
    """The stand-in leaves this connection."""


class StandIn:
    """Says what its script has for a step: a reply, `drop` or `silence`; a list, one at a time.

    Plain TCP; `commands` has the verbs it was given, `mails` the raw bytes after DATA.
    """

    port = 0

    def __init__(self, **script: str | list[str]) -> None:
        self.script = {**REPLIES, **script}
        self.commands: list[str] = []
        self.lines: list[bytes] = []
        self.mails: list[bytes] = []
        self.connections = 0
        self.took_one = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, HangUp, asyncio.IncompleteReadError):
            await self._say("GREETING", reader, writer)
            while line := await reader.readline():
                await self._obey(line, reader, writer)
        writer.close()

    async def _obey(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        verb = line.split()[0].decode("ascii", "replace").upper() if line.split() else ""
        self.commands.append(verb)
        self.lines.append(line)
        reply = await self._say(verb, reader, writer)
        if verb == "DATA" and reply.startswith("354"):
            self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
            self.took_one.set()
            await self._say("DOT", reader, writer)

    async def _say(
        self, step: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str:
        reply = self.script.get(step, "500 5.5.1 what?")
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        if reply not in ("drop", "silence"):
            writer.write(reply.encode() + b"\r\n")
            await writer.drain()
        if reply == "silence" or reply.startswith("421"):
            await self._only_listen(reader)
        if reply in ("drop", "silence") or reply.startswith(("221", "421")):
            raise HangUp
        return reply

    async def _only_listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self.commands.append(line.split()[0].decode("ascii", "replace"))


@dataclass
class RealServer:
    """aiosmtpd, with what it took and counted."""

    port: int = 0
    mails: list[Envelope] = field(default_factory=list)
    mechanisms: list[str] = field(default_factory=list)
    connections: int = 0
    encrypted: list[bool] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's
        self.mails.append(envelope)
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 2.0.0 queued"

    def authenticate(self, server: Any, session: Any, envelope: Any, mech: str, data: Any) -> Any:
        self.mechanisms.append(mech)
        right = data.login == b"user" and data.password == PASSWORD.encode()
        return AuthResult(success=right, handled=False)


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Awaitable[int]]]:
    """Serve a protocol factory on a free loopback port until the test ends."""
    async with AsyncExitStack() as stack:

        async def start(
            factory: Callable[[], asyncio.BaseProtocol], host: str = "127.0.0.1", **options: Any
        ) -> int:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(factory, host, 0, **options)
            stack.callback(server.close)
            port: int = server.sockets[0].getsockname()[1]
            return port

        yield start


@pytest.fixture
def stand_in(listen: Any) -> Callable[..., Awaitable[StandIn]]:
    async def start(**script: str | list[str]) -> StandIn:
        server = StandIn(**script)

        def connection() -> asyncio.BaseProtocol:
            reader = asyncio.StreamReader()
            return asyncio.StreamReaderProtocol(reader, server.serve)

        server.port = await listen(connection)
        return server

    return start


@pytest.fixture
def real_server(listen: Any, authority: trustme.CA) -> Callable[..., Awaitable[RealServer]]:
    """Start aiosmtpd with `name` in its certificate; `implicit` chooses TLS from the first byte."""

    async def start(
        *, implicit: bool = False, name: str = "localhost", **options: Any
    ) -> RealServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        server = RealServer()
        chosen: dict[str, Any] = {"hostname": "real", "authenticator": server.authenticate}
        chosen |= {"loop": asyncio.get_running_loop(), **options}
        chosen |= {"auth_require_tls": False} if implicit else {"auth_required": True}
        chosen |= {} if implicit else {"tls_context": context, "require_starttls": True}

        def connection() -> asyncio.BaseProtocol:
            server.connections += 1
            return SMTP(server, **chosen)

        server.port = await listen(connection, ssl=context if implicit else None)
        return server

    return start


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def connect(clock: ManualClock) -> AsyncIterator[Callable[..., Awaitable[Smtp]]]:
    """An open provider for `server`; without `tls` it speaks plain to a stand-in."""
    async with AsyncExitStack() as stack:

        async def start(server: Any, **changes: Any) -> Smtp:
            config = Smtp.Config.model_validate(_settings(server, **changes))
            return await stack.enter_async_context(Smtp("mail", config, now=clock.monotonic))

        yield start


@pytest.fixture
def message() -> Callable[..., Message]:
    def make(**changes: Any) -> Message:
        chosen = {
            "id": "m-1",
            "channel": "email",
            "to": "ada@example.org",
            "text": "Your code is 739184620517",
            "subject": "Your code",
        }
        return Message(**{**chosen, **changes})

    return make


@pytest.fixture(scope="module")
def over_the_wire() -> Iterator[Callable[[str], tuple[list[str], bytes]]]:
    """Send a text: what the server then took for commands, and what for the mail.

    A loop of its own, because hypothesis calls plain functions.
    """
    server = StandIn()

    async def begin() -> tuple[asyncio.Server, Smtp]:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        return listening, Smtp("mail", Smtp.Config.model_validate(_settings(server)))

    def send(text: str) -> tuple[list[str], bytes]:
        server.commands.clear()
        server.mails.clear()
        message = Message(id="m", channel="email", to="ada@example.org", text=text)
        runner.run(smtp.send(message, timeout=20.0))
        (mail,) = server.mails
        return [command for command in server.commands if command != "EHLO"], mail

    with asyncio.Runner() as runner:
        listening, smtp = runner.run(begin())
        yield send
        runner.run(smtp.__aexit__(None, None, None))
        listening.close()
        runner.run(listening.wait_closed())


def _settings(server: StandIn | RealServer, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "smtp",
        "host": "localhost" if "ca_file" in changes else "127.0.0.1",
        "port": server.port,
        "tls": "none",
        "sender": "Example <otp@example.com>",
        "allow_private": True,
        **changes,
    }
