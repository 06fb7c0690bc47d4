"""E-mail through any SMTP server: TLS always, one login attempt, and kept connections."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from sidecar import (
    AccountReport,
    AccountState,
    Message,
    Misconfigured,
    Provider,
    Receipt,
    Tariff,
    hookimpl,
    tls_context,
)
from sidecar_smtp.mime import compose, parse_sender
from sidecar_smtp.settings import SmtpConfig

if TYPE_CHECKING:
    from sidecar_smtp.pool import Pool


class Smtp(Provider[SmtpConfig]):
    """Sends through one server. The receipt's id is the Message-ID, the same for each attempt."""

    kind = "smtp"
    channels = frozenset({"email"})
    Config = SmtpConfig
    tariff = Tariff.per_message("0 USD", dated="2026-11-29", source="a mail server of one's own")

    def __init__(
        self, name: str, config: SmtpConfig, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(name, config)
        self._sender = parse_sender(config.sender)
        self._now = now
        self._pool: Pool | None = None

    async def __aenter__(self) -> Self:
        self._open_pool()
        return self

    async def __aexit__(self, *exc: object) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def send(self, message: Message, *, timeout: float) -> Receipt:
        until = asyncio.get_running_loop().time() + timeout
        mail = compose(message, self._sender)
        await self._open_pool().deliver(mail, until)
        return Receipt(mail.message_id)

    async def check(self, *, timeout: float) -> AccountReport:
        """Connect, encrypt and log in anew; `BLOCKED` where settings or account are at fault."""
        from sidecar_smtp.session import Session  # noqa: PLC0415  # see _open_pool

        until = asyncio.get_running_loop().time() + timeout
        try:
            session = await Session.open(self.config, self._tls(), until)
        except Misconfigured as error:
            said = f" ({error.code})" if error.code else ""
            told = f"{error.reason}{said}: mend the settings, or the account at the server"
            return AccountReport(AccountState.BLOCKED, told)
        facts = session.facts()
        await session.quit()
        done = "logged in" if self.config.username else "connected, without a login"
        return AccountReport(AccountState.READY, f"{done}; TLS: {facts['tls']}", facts)

    def _open_pool(self) -> Pool:
        # aiosmtplib costs 84 ms and 14 MiB, and the default configuration only offers to use it.
        from sidecar_smtp.pool import Pool  # noqa: PLC0415  # loads aiosmtplib

        if self._pool is None:
            self._pool = Pool(self.config, self._tls(), self._now)
        return self._pool

    def _tls(self) -> ssl.SSLContext:
        if self.config.ca_file is None:
            return tls_context()
        try:
            context = ssl.create_default_context(cafile=self.config.ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise Misconfigured("`ca_file` holds no certificate that can be read") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


@hookimpl
def register_providers() -> Sequence[type[Smtp]]:
    return (Smtp,)
