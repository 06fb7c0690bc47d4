"""The sessions of one provider, kept for the next mail: a login costs ten times a mail.

No timer runs here: a session that rested too long is found out, and let go, by the next mail.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from sidecar import LocalFault
from sidecar_smtp.mime import Mail
from sidecar_smtp.session import Session, Stale
from sidecar_smtp.settings import SmtpConfig

REST_LIMIT = 30.0
"""Seconds a session may rest; then it is not used again."""


class Pool:
    """At most `config.pool` sessions at a time. `now` returns monotonic seconds."""

    def __init__(
        self, config: SmtpConfig, context: ssl.SSLContext, now: Callable[[], float]
    ) -> None:
        self._config = config
        self._context = context
        self._now = now
        self._places = asyncio.Semaphore(config.pool)
        self._resting: list[Session] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    async def deliver(self, mail: Mail, until: float) -> None:
        """Hand `mail` over by the loop's time `until`, or raise a `DeliveryError`.

        A kept session that turns out to have died is replaced: nothing was taken by it.
        """
        await self._enter(until)
        try:
            kept = self._take()
            if kept is not None:
                try:
                    return await self._use(kept, mail, until)
                except Stale:
                    self._dismiss_all()  # the same server, the same fate
            fresh = await Session.open(self._config, self._context, until)
            return await self._use(fresh, mail, until)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Take leave of every session; bounded by `session.QUIT_TIMEOUT`."""
        self._closed = True
        self._dismiss_all()
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def _use(self, session: Session, mail: Mail, until: float) -> None:
        try:
            await session.deliver(mail, self._now(), until)
        finally:
            self._put_back(session)

    def _take(self) -> Session | None:
        # The one that rested least, so that those a quiet hour does not need grow old and go.
        while self._resting:
            session = self._resting.pop()
            if session.alive and self._now() - session.rests_since < REST_LIMIT:
                return session
            self._dismiss(session)
        return None

    def _put_back(self, session: Session) -> None:
        session.rests_since = self._now()
        if not session.alive:
            session.abort()
        elif self._closed:
            self._dismiss(session)
        else:
            self._resting.append(session)

    def _dismiss(self, session: Session) -> None:
        leaving = asyncio.create_task(session.quit())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _dismiss_all(self) -> None:
        while self._resting:
            self._dismiss(self._resting.pop())

    async def _enter(self, until: float) -> None:
        if not self._places.locked():
            await self._places.acquire()  # at once, and so without a bound
            return
        patience = (until - asyncio.get_running_loop().time()) / 2  # the mail needs time, too
        try:
            async with asyncio.timeout(patience):
                await self._places.acquire()
        except TimeoutError as error:
            raise LocalFault("no SMTP connection became free; `pool` limits them") from error
