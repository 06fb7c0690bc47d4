"""One SMTP session: dialled, made private, logged in, then one mail at a time.

aiosmtplib's own ways in are not taken: by default it sends in clear where STARTTLS is missing, its
`login` tries three methods on one wrong password, and its `send` waits for QUIT. Here every step is
a call of its own, so that it is known how far a mail came when something broke.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import aiosmtplib

from sidecar import DeliveryError, Misconfigured, Refused, Secret, Unavailable, open_socket
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


class Stale(Unavailable):
    """A kept session that had died before it took anything: a fresh one may be tried."""


class Session:
    """A session with the server; `alive` until something went wrong that no RSET mends."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client
        self._served = False
        self._unfinished = False
        self.rests_since = 0.0

    @property
    def alive(self) -> bool:
        return self._client.is_connected

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
        await self._mail(mail, until)
        async with self._step(Step.RCPT, until):
            await self._client.rcpt(mail.recipient, encoding="utf-8")
        async with self._step(Step.DATA, until):
            await self._client.data(mail.payload)
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
                await self._client.quit()
        self.abort()

    def abort(self) -> None:
        """Drop the connection at once; not `close`, which lets TLS wait for the peer's farewell."""
        if self._client.transport is not None:
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
        command: Callable[[], Awaitable[object]]
        if self._unfinished:
            command = self._client.rset
        elif now - self.rests_since >= NOOP_AFTER:
            command = self._client.noop
        else:
            return
        limit = asyncio.get_running_loop().time() + PROBE_TIMEOUT
        try:
            async with self._step(Step.PROBE, min(until, limit)):
                await command()
        except DeliveryError as error:
            self.abort()
            raise Stale(error.reason, code=error.code) from None

    async def _mail(self, mail: Mail, until: float) -> None:
        options = ["SMTPUTF8", "BODY=8BITMIME"] if mail.utf8 else []
        if self._client.supports_extension("size"):
            options.append(f"SIZE={len(mail.payload)}")
        again, self._served, self._unfinished = self._served, True, True
        try:
            async with self._step(Step.MAIL, until):
                await self._client.mail(mail.sender, options=options, encoding="utf-8")
        except Unavailable as error:
            if again and not self.alive:
                raise Stale(error.reason, code=error.code) from None
            raise

    @contextlib.asynccontextmanager
    async def _step(self, step: Step, until: float) -> AsyncIterator[None]:
        """Bound a step and make its failure ours; what ends without a reply ends the session."""
        try:
            async with asyncio.timeout_at(until):
                yield
        except aiosmtplib.SMTPResponseException as refusal:
            if refusal.code == 421 or not 400 <= refusal.code < 600:
                self.abort()
            raise error_for_reply(step, refusal.code, refusal.message) from None
        except BaseException as error:
            self.abort()
            if isinstance(error, aiosmtplib.SMTPException | OSError):
                raise error_for_loss(step, error) from error
            raise


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
