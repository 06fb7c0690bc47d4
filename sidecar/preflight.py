"""Pre-flight: every account is looked at, again and again, before a message needs it.

Checks run beside the sends, one at a time for each provider. What one finds stands in
`Standing.account`: there `/health` reads it, and the gate of a provider with `preflight: skip`. A
check that fails opens no circuit, and `/readyz` never hears of it.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import structlog

from sidecar.accounts import ask
from sidecar.alerts import Alert, Tell
from sidecar.delivery.account import UNKNOWN, UNREACHABLE, Account, Finding
from sidecar.delivery.clock import Clock
from sidecar.delivery.link import Link
from sidecar.delivery.model import Money
from sidecar.delivery.provider import AccountReport, AccountState, Provider
from sidecar.world import World

SPREAD = 0.1
"""The part of the interval by which it varies, so that many sidecars do not ask at once."""
NEARLY = Decimal("0.8")
"""The part of a monthly limit from which on its end is announced."""
_BAD = {AccountState.DEGRADED.value, AccountState.BLOCKED.value}
_STUCK = Finding(UNREACHABLE, "the check before has not ended: the plugin does not let go of it")
_FOREVER = 3600.0
_NUMBER = re.compile(r"[0-9][0-9.,]*")

Spent = Callable[[str], Money | None]
"""What this calendar month (UTC) has cost at the provider of this name, by the sidecar's own books;
None where they do not know."""


def _spread() -> float:
    return random.uniform(-SPREAD, SPREAD)  # noqa: S311  # spreads checks in time; no secret depends on it


@dataclass(slots=True, eq=False)
class _Watch:
    """One provider that is checked; entered for as long as its `check` runs, abandoned or not."""

    name: str
    provider: Provider[Any]
    account: Account
    task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Provider[Any]:
        self.account.busy = True
        return self.provider

    async def __aexit__(self, *exc: object) -> None:
        self.account.busy = False


class Preflight:
    """Checks whatever `world` has at the moment.

    `tell` hears once of what turns bad, and once when it is good again. `spent` gives what our own
    books say; `spread` a number between -0.1 and 0.1.
    """

    def __init__(
        self,
        world: Callable[[], World],
        clock: Clock,
        *,
        tell: Tell = lambda _: None,
        spent: Spent = lambda _: None,
        spread: Callable[[], float] = _spread,
    ) -> None:
        self._world = world
        self._clock = clock
        self._spent = spent
        self._spread = spread
        self._news = News(tell)
        self._watches: dict[str, _Watch] = {}
        self._woken: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._woken = asyncio.get_running_loop().create_future()
                await self._clock.wait(self._woken, self._begin_due())
        finally:
            tasks = [self._stopped(watch) for watch in self._watches.values()]
            if running := [task for task in tasks if task is not None]:
                await asyncio.wait(running)

    def look_again(self) -> None:
        """After a reload: what is new or changed is checked at once, and what was not well too.

        Whoever reloads may have mended the account.
        """
        for watch in self._watches.values():
            if watch.account.finding.state != AccountState.READY and watch.account.due is not None:
                watch.account.due = self._clock.monotonic()
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _begin_due(self) -> float:
        """Begin what is due; seconds until the next one is."""
        self._follow()
        settings = self._world().config.preflight
        now = self._clock.monotonic()
        soonest = now + _FOREVER
        for watch in self._watches.values():
            if watch.task is not None and not watch.task.done():  # it may have been cancelled
                continue
            account = watch.account
            account.due = min(
                now if account.due is None else account.due, now + settings.interval * (1 + SPREAD)
            )
            if account.due <= now and account.busy:
                self._heard(watch, _STUCK)
            elif account.due <= now:
                watch.task = asyncio.create_task(self._check(watch, settings.timeout))
                continue
            soonest = min(soonest, account.due)
        return max(0.0, soonest - now)

    def _follow(self) -> None:
        """Watch the providers of this version of the world, and forget all others."""
        world = self._world()
        reasons = {link.name: _why_not(link, world) for link in world.links.values()}
        for name, watch in list(self._watches.items()):
            if world.links.get(name) is None or reasons[name]:
                self._news.forget(name)
            if reasons.get(name, "") is not None or watch.account is not _account(world, name):
                self._stopped(watch)
                del self._watches[name]
        for link in world.links.values():
            account, why = link.standing.account, reasons[link.name]
            if why is not None:
                account.forget(why)
            elif link.name not in self._watches and link.provider is not None:
                self._watches[link.name] = _Watch(link.name, link.provider, account)

    async def _check(self, watch: _Watch, timeout: float) -> None:
        found = await ask(lambda: watch, watch.name, timeout, self._clock)
        watch.task = None
        with suppress(Exception):  # what a guest told may be odd: then it stands as it was told
            found = self._with_our_books(watch.name, found)
        try:
            self._heard(watch, found)
        finally:
            self._wake()

    def _heard(self, watch: _Watch, found: Finding) -> None:
        interval = self._world().config.preflight.interval
        watch.account.heard(found, self._clock, interval)
        watch.account.due = self._clock.monotonic() + interval * (1 + self._spread())
        self._news.heard(watch.name, found)

    def _with_our_books(self, name: str, found: Finding) -> Finding:
        report = found.report
        limit = report.monthly_limit if report else None
        if report is None or not isinstance(limit, Money) or not isinstance(limit.amount, Decimal):
            return found  # a plugin need not be typed
        if not limit.amount.is_finite():
            return found
        spent = self._spent(name)
        if spent is None or spent.currency != limit.currency:
            return found
        return _against(limit, spent, report)

    @staticmethod
    def _stopped(watch: _Watch) -> asyncio.Task[None] | None:
        if watch.task is not None:
            watch.task.cancel()
        return watch.task


def _why_not(link: Link, world: World) -> str | None:
    """Why `link` is not checked; None where it is."""
    settings = world.config.providers[link.name].settings
    if not link.enabled:
        return "not checked: `enabled: false`"
    if link.provider is None or settings is None:
        return (
            "not checked: it could not be started" if link.broken else "not checked: not configured"
        )
    return "not checked: `preflight: off`" if settings.preflight == "off" else None


def _account(world: World, name: str) -> Account | None:
    link = world.links.get(name)
    return None if link is None else link.standing.account


def _against(limit: Money, spent: Money, report: AccountReport) -> Finding:
    """The finding of `report` with what our books say of its limit before its own words."""
    state, words = report.state, ""
    if spent.amount >= limit.amount:
        state, words = AccountState.BLOCKED, "ask for a higher limit"
    elif spent.amount >= limit.amount * NEARLY:
        state = AccountState.BLOCKED if state is AccountState.BLOCKED else AccountState.DEGRADED
        words = "ask for a higher limit before it is used up"
    unit = limit.currency
    facts = {**report.facts, f"spent_this_month_{unit.lower()}": float(spent.amount)}
    summary = report.summary
    if words:
        amounts = f"{spent.amount:.2f} of {limit.amount:.2f} {unit}"
        words = f"{amounts} are spent this month, by the sidecar's own books: {words}"
        summary = words if report.state is AccountState.READY else f"{words}; {summary}"
    judged = replace(report, state=state, summary=summary, facts=facts)
    return Finding(state.value, summary, facts, judged)


class News:
    """What is told of accounts, and once only: one line of the log and one alert for a change.

    A finding is another one when its state or its sentence is, the numbers in it apart.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._known: dict[str, tuple[str, str]] = {}
        self._bad: dict[str, tuple[str, str]] = {}

    def heard(self, name: str, found: Finding) -> None:
        gist = (found.state, _NUMBER.sub("#", found.summary))
        before = self._known.get(name)
        self._known[name] = gist
        well = found.state in (AccountState.READY, UNKNOWN)
        if gist != before and not (before is None and well):
            say = structlog.get_logger().info if well else structlog.get_logger().warning
            was = before[0] if before else UNKNOWN
            say(
                "account_changed",
                provider=name,
                before=was,
                after=found.state,
                summary=found.summary,
            )
        if found.state in _BAD and self._bad.get(name) != gist:
            if name in self._bad and self._bad[name][0] != found.state:
                self._resolve(name, f"it is {found.state} now")  # worse or better: told anew
            self._bad[name] = gist
            self._tell(Alert("preflight", name, found.summary, facts=found.facts))
        elif well:
            self._resolve(name, found.summary)

    def forget(self, name: str) -> None:
        """It is not checked any more."""
        self._known.pop(name, None)
        self._resolve(name, "it is not checked any more")

    def _resolve(self, name: str, summary: str) -> None:
        if self._bad.pop(name, None) is not None:
            self._tell(Alert("preflight", name, summary, resolved=True))
