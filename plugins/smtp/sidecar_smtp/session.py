"""One SMTP session: dialled, made private, logged in, then one mail at a time.

aiosmtplib's own ways in are not taken: by default it sends in clear where STARTTLS is missing, its
`login` tries three methods on one wrong password, and its `send` waits for QUIT. Here every step
has its own reply, so that it is known how far a mail came when something broke.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator
from typing import NoReturn, cast

import aiosmtplib

from sidecar import DeliveryError, Misconfigured, Refused, Secret, Unavailable, open_socket
from sidecar_smtp.dialogue import Dialogue
from sidecar_smtp.errors import Step, error_for_loss, error_for_reply
from sidecar_smtp.mime import Mail
from sidecar_smtp.settings import SmtpConfig

CONNECT_TIMEOUT = 1.5
"""Seconds for DNS, TCP and TLS together."""
HANDSHAKE_TIMEOUT = 0.5
"""Seconds a TLS handshake gets even where DNS and TCP used up the time for all three."""
PROBE_TIMEOUT = 1.0
"""Seconds a kept session gets to show that it is alive."""
QUIT_TIMEOUT = 0.5
"""Seconds for QUIT, which no send waits for."""
NOOP_AFTER = 5.0
"""Seconds of rest after which a session is probed before it is used."""
AUTH_METHODS = ("plain", "login", "cram-md5")
"""In the order of choice: TLS is on, so the plain ones give nothing away and work everywhere."""


_FINE = {Step.MAIL: (250,), Step.RCPT: (250, 251), Step.DATA: (354,)}
"""The replies that let a mail go on."""


class Stale(Unavailable):
    """A kept session that had died before it took anything: a fresh one may be tried."""


class Session:
    """A session with the server; `alive` until something went wrong that no RSET mends."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client
        self._dialogue: Dialogue | None = None
        self._at = Step.MAIL
        self._served = False
        self._unfinished = False
        self.rests_since = 0.0

    @property
    def alive(self) -> bool:
        return self._dialogue is not None and self._dialogue.alive

    @classmethod
    async def open(cls, config: SmtpConfig, context: ssl.SSLContext, until: float) -> Session:
        """A session ready for mail by the loop's time `until`; raises a `DeliveryError`."""
        began = asyncio.get_running_loop().time()
        sock = await open_socket(
            config.host,
            config.port,
            allow_private=config.allow_private,
            timeout=min(CONNECT_TIMEOUT, until - began),
        )
        if config.tls == "none":
            _must_be_loopback(sock)
        used = asyncio.get_running_loop().time() - began
        handshake = max(HANDSHAKE_TIMEOUT, CONNECT_TIMEOUT - used)
        session = cls(_client(config, sock, context))
        try:
            await session._greet(until, handshake if config.tls == "implicit" else None)
            if config.tls == "starttls":
                await session._encrypt(until, handshake)
            if config.username and config.password:
                await session._login(config.username, config.password, until)
            async with session._step(Step.EHLO, until):
                session._dialogue = Dialogue(session._client)
        except BaseException:
            session.abort()
            raise
        return session

    async def deliver(self, mail: Mail, now: float, until: float) -> None:
        """Hand `mail` over or raise a `DeliveryError`; `Stale`: a fresh session may do better."""
        if mail.utf8 and not self._client.supports_extension("smtputf8"):
            raise Refused("the server takes no address outside ASCII (SMTPUTF8, RFC 6531)")
        if self._served:
            await self._wake(now, until)
        again, self._served, self._unfinished = self._served, True, True
        try:
            async with asyncio.timeout_at(until):
                await self._hand_over(mail)
        except BaseException as error:  # noqa: BLE001  # `_raise` gives back what is not ours
            try:
                self._raise(self._at, error)
            except Unavailable as told:
                if again and self._at is Step.MAIL and not self.alive:
                    raise Stale(told.reason, code=told.code) from None
                raise
        self._unfinished = False

    def facts(self) -> dict[str, str | int | bool]:
        """What is known of the server, safe to print; raises `Unavailable` where it is gone."""
        if not self.alive:
            raise Unavailable("the connection was lost after the login")
        limit = self._client.esmtp_extensions.get("size", "")
        tls = self._client.get_transport_info("ssl_object")
        return {
            "tls": (tls.version() or "unknown") if tls is not None else "none",
            "smtputf8": self._client.supports_extension("smtputf8"),
            **({"size_limit": int(limit)} if re.fullmatch("[0-9]{1,18}", limit) else {}),
        }

    async def quit(self) -> None:
        """Take leave, within half a second, whatever the server does."""
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            async with asyncio.timeout(QUIT_TIMEOUT):
                await self._ask(b"QUIT\r\n", 221)
        self.abort()

    def abort(self) -> None:
        """Drop the connection at once; not `close`, which lets TLS wait for the peer's farewell."""
        if self._dialogue is not None:
            self._dialogue.abort()
        elif self._client.transport is not None:
            cast(asyncio.WriteTransport, self._client.transport).abort()
        self._client.close()

    # The steps

    async def _greet(self, until: float, handshake: float | None) -> None:
        # aiosmtplib bounds the handshake and the greeting by one number, each; without a handshake
        # a server that holds its greeting back gets all the time there is.
        async with self._step(Step.GREETING, until):
            await self._client.connect(timeout=handshake)
        await self._say_hello(until)

    async def _say_hello(self, until: float) -> None:
        async with self._step(Step.EHLO, until):
            await self._client.ehlo()

    async def _encrypt(self, until: float, handshake: float) -> None:
        if not self._client.supports_extension("starttls"):
            raise Misconfigured("the server does not offer STARTTLS; nothing goes in clear")
        now = asyncio.get_running_loop().time()
        async with self._step(Step.STARTTLS, min(until, now + handshake)):
            await self._client.starttls()
        await self._say_hello(until)

    async def _login(self, username: str, password: Secret, until: float) -> None:
        offered = self._client.server_auth_methods
        method = next((m for m in AUTH_METHODS if m in offered), None)
        if method is None:
            raise Misconfigured("the server offers no login by PLAIN, LOGIN or CRAM-MD5")
        login = getattr(self._client, f"auth_{method.replace('-', '')}")
        async with self._step(Step.AUTH, until):
            await login(username, password.get_secret_value())

    async def _wake(self, now: float, until: float) -> None:
        if not self._unfinished and now - self.rests_since < NOOP_AFTER:
            return
        limit = asyncio.get_running_loop().time() + PROBE_TIMEOUT
        try:
            async with self._step(Step.PROBE, min(until, limit)):
                while self._talk.awaited:
                    # What a refused mail left behind: a server that began to take data from it
                    # (RFC 2920 section 3.1 lets it) gets none, and no dot either.
                    await self._expect(*range(400, 421), *range(422, 600), 250, 251)
                await self._ask(b"RSET\r\n" if self._unfinished else b"NOOP\r\n", 250)
        except DeliveryError as error:
            self.abort()
            raise Stale(error.reason, code=error.code) from None

    async def _hand_over(self, mail: Mail) -> None:
        options = " SMTPUTF8 BODY=8BITMIME" if mail.utf8 else ""
        if self._client.supports_extension("size"):
            options += f" SIZE={len(mail.payload)}"
        commands = {
            Step.MAIL: f"MAIL FROM:<{mail.sender}>{options}\r\n".encode(),
            Step.RCPT: f"RCPT TO:<{mail.recipient}>\r\n".encode(),
            Step.DATA: b"DATA\r\n",
        }
        # No reply tells of a mail before its content is sent, and that waits for each of them.
        at_once = self._client.supports_extension("pipelining")
        self._at = Step.MAIL
        if at_once:
            self._talk.say(*commands.values(), replies=len(commands))
        for self._at, command in commands.items():
            if not at_once:
                self._talk.say(command)
            await self._expect(*_FINE[self._at])
        # A dot at the beginning of a line is doubled (RFC 5321 section 4.5.2).
        await self._ask(mail.payload.replace(b"\r\n.", b"\r\n..") + b".\r\n", 250)

    async def _ask(self, command: bytes, fine: int) -> None:
        self._talk.say(command)
        await self._expect(fine)

    async def _expect(self, *fine: int) -> None:
        reply = await self._talk.reply()
        if reply.code not in fine:
            raise aiosmtplib.SMTPResponseException(reply.code, reply.text)

    @property
    def _talk(self) -> Dialogue:
        if self._dialogue is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        return self._dialogue

    @contextlib.asynccontextmanager
    async def _step(self, step: Step, until: float) -> AsyncIterator[None]:
        """Bound a step and make its failure ours."""
        try:
            async with asyncio.timeout_at(until):
                yield
        except BaseException as error:  # noqa: BLE001  # `_raise` gives back what is not ours
            self._raise(step, error)

    def _raise(self, step: Step, error: BaseException) -> NoReturn:
        """Raise our word for what broke `step`; what ends without a reply ends the session."""
        if isinstance(error, aiosmtplib.SMTPResponseException):
            if error.code == 421 or not 400 <= error.code < 600:
                self.abort()
            raise error_for_reply(step, error.code, error.message) from None
        self.abort()
        if isinstance(error, aiosmtplib.SMTPException | OSError):
            raise error_for_loss(step, error) from error
        raise error


def _client(config: SmtpConfig, sock: socket.socket, context: ssl.SSLContext) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=config.host,  # what the certificate must name
        sock=sock,
        local_hostname=_own_name(sock),
        use_tls=config.tls == "implicit",
        start_tls=False,  # not on its own: `_encrypt` does it
        tls_context=context,
        timeout=None,  # each step has its bound
    )


def _own_name(sock: socket.socket) -> str:
    # An address literal (RFC 5321 section 4.1.3): the host's name would cost a look-up in DNS, and
    # inside a container it is no name that a server could know.
    address = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _must_be_loopback(sock: socket.socket) -> None:
    try:
        address = ipaddress.ip_address(str(sock.getpeername()[0]).partition("%")[0])
    except OSError as error:  # reset in the meantime
        sock.close()
        raise Unavailable("the connection was lost at once") from error
    if not address.is_loopback:
        sock.close()
        raise Misconfigured("`tls: none` is for loopback only, and the host is elsewhere")
