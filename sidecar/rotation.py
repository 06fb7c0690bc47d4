"""Secrets that change while the process runs: read again, tried out, and asked for once more.

A secret that has changed leads to a reload as a changed file does. Here is what comes before: when
secrets of sources are read again, what a new secret must pass before it takes the old one's place,
and the second look at a provider's secrets when the provider calls them wrong.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import structlog

from sidecar import logs
from sidecar.config import Config, ProviderSection
from sidecar.delivery.clock import Clock
from sidecar.delivery.errors import Misconfigured
from sidecar.delivery.provider import AccountReport, AccountState, Provider
from sidecar.guests import bounded, close_all, why_refused
from sidecar.registry import Registry
from sidecar.reload import Load, Reloader
from sidecar.settings import ProviderConfig
from sidecar.world import World, has_other_settings

LOOK_AGAIN_AFTER = 60.0
"""Seconds between two second looks at one provider's secrets."""
TRIAL = 3.0
"""Seconds for opening a provider with its new secret, and for each question to its account."""
SPREAD = 0.1
"""The share by which the time between two reads of a secret varies."""
AFTER_TROUBLE = 30.0
"""Seconds, at most, until a secret that could not be read is read again."""


class Rotation:
    """The secrets of the running configuration. `world` gives the version that sends walk through.

    `load` reads the configuration and blocks. `clock` is for the time between two second looks.
    """

    def __init__(
        self,
        registry: Registry,
        reloader: Reloader,
        load: Load,
        clock: Clock,
        world: Callable[[], World],
    ) -> None:
        self._registry = registry
        self._reloader = reloader
        self._load = load
        self._clock = clock
        self._world = world
        self._woken = asyncio.Event()
        self._told: dict[str, str] = {}  # the troubles that were told
        self._held_back: dict[str, ProviderConfig] = {}
        self._looks: dict[str, asyncio.Future[bool]] = {}
        self._looked_at: dict[str, float] = {}
        self._looking: set[asyncio.Task[None]] = set()

    # Reading again, in the background

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._pause()
                if await self._have_changed(self._world().config) or self._held_back:
                    self._reloader.ask()
        finally:
            for look in self._looking:
                look.cancel()

    async def _have_changed(self, config: Config) -> bool:
        if not config.references:
            return False
        return await asyncio.to_thread(self._registry.safe.refresh, config.references)

    def expire(self) -> None:
        """Have everything read anew by the next load."""
        if references := self._world().config.references:
            self._registry.safe.expire(references)

    async def _pause(self) -> None:
        """Until the secrets are to be read again; a version that asks for it sooner is heeded."""
        began = self._clock.monotonic()
        spread = 1 + random.uniform(-SPREAD, SPREAD)  # noqa: S311  # spreads calls in time
        while True:
            self._tell()
            left = began + self._interval() * spread - self._clock.monotonic()
            self._woken.clear()
            try:
                async with asyncio.timeout(max(0.0, left)):
                    await self._woken.wait()
            except TimeoutError:
                return

    def _interval(self) -> float:
        seconds = self._world().config.refresh
        return min(seconds, AFTER_TROUBLE) if self._told else seconds

    def _tell(self) -> None:
        """Say once of each secret that it cannot be read, and once that it can be again."""
        references = self._world().config.references
        troubles = self._registry.troubles(references)
        for name, reason in troubles.items():
            if self._told.get(name) != reason:
                structlog.get_logger().error(
                    "secret_not_read",
                    secret=name,
                    reason=logs.redactor.clean(reason),
                    do="mend it; the value read before it, if any, is used on",
                )
        for name in (self._told.keys() - troubles.keys()) & {str(one) for one in references}:
            structlog.get_logger().info("secret_read_again", secret=name)
        self._told = troubles

    # Trying out

    async def rehearse(self, wanted: Config) -> Config:
        """`wanted`, but with the old secrets of each provider that stands worse with the new ones.

        A provider of which values alone have changed, and not what the file says, is built with
        the new ones, opened, and asked for its account. Where that says that it is misconfigured
        or blocked, and the provider that is running does not, the latter stays.
        """
        before = self._world()
        rotated = [one for one in wanted.providers.values() if _is_rotated(one, before)]
        if not rotated:
            self._held_back = {}
            return wanted
        worse = await asyncio.gather(*(_why_worse(one, before) for one in rotated))
        refused = {one.name: why for one, why in zip(rotated, worse, strict=True) if why}
        self._tell_refused(wanted, refused)
        was = {name: before.config.providers[name] for name in refused}
        return replace(wanted, providers=MappingProxyType({**wanted.providers, **was}))

    def _tell_refused(self, wanted: Config, refused: dict[str, str]) -> None:
        known, self._held_back = self._held_back, {}
        for name, why in refused.items():
            settings = wanted.providers[name].settings
            assert settings is not None, "a provider without settings is not rehearsed"
            self._held_back[name] = settings
            if known.get(name) != settings:
                structlog.get_logger().error(
                    "secret_refused",
                    provider=name,
                    reason=why,
                    do="mend the new secret; the provider goes on with the old one",
                )

    # The second look

    def watch(self, world: World) -> None:
        """Let the links of `world` ask for a second look, where there is anything to look at."""
        for name, section in world.config.providers.items():
            watched = section.renewable and world.links[name].provider is not None
            world.links[name].second_look = partial(self._look, name) if watched else None
        self._woken.set()

    def _look(self, name: str) -> asyncio.Future[bool]:
        """Whether the secrets of `name` have changed: the look under way, or a new one.

        A look that found a change is good until the reload that follows has ended. After another
        one the answer is no for a minute.
        """
        now, look = self._clock.monotonic(), self._looks.get(name)
        if look is None or (
            look.done() and now >= self._looked_at.get(name, 0.0) + LOOK_AGAIN_AFTER
        ):
            look = self._looks[name] = asyncio.get_running_loop().create_future()
            self._looked_at[name] = now
            task = asyncio.create_task(self._answer(name, look), name=f"second look {name}")
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)
        return look

    async def _answer(self, name: str, look: asyncio.Future[bool]) -> None:
        changed = False
        try:
            changed = await asyncio.to_thread(self._has_changed, name)
            if changed:
                self._reloader.ask()
        except Exception:  # noqa: BLE001, S110  # a file with a fault: whoever reloads tells it
            pass
        finally:
            if not look.done():
                look.set_result(changed)
        if changed:
            await self._reloader.ended()
            self._looks[name] = _no()

    def _has_changed(self, name: str) -> bool:
        running = self._world().config.providers.get(name)
        if running is None:
            return True  # it is no more, and so is its circuit
        if running.references:
            self._registry.safe.expire(running.references)
        found = self._load().providers.get(name)
        return found is None or has_other_settings(found, running)


def _no() -> asyncio.Future[bool]:
    answer = asyncio.get_running_loop().create_future()
    answer.set_result(False)
    return answer


def _is_rotated(section: ProviderSection, before: World) -> bool:
    was, link = before.config.providers.get(section.name), before.links.get(section.name)
    return (
        was is not None
        and link is not None
        and link.provider is not None
        and section.enabled
        and section.settings is not None
        and section.cls is was.cls
        and section.written == was.written
        and has_other_settings(section, was)
    )


async def _why_worse(section: ProviderSection, before: World) -> str | None:
    """What the account says against the new settings and not against the old; None where nothing.

    The old provider is asked too: a key that may send and nothing else is told so at every check,
    and that says nothing of the change.
    """
    why = await _with_a_new_one(section)
    if why is None:
        return None
    running = before.links[section.name].provider
    assert running is not None, "a provider that is not there is not rehearsed"
    return None if await _fault_of(running) else why


async def _with_a_new_one(section: ProviderSection) -> str | None:
    found: list[str | None] = []
    one: list[Provider[Any]] = []

    async def ask() -> None:
        one.append(section.cls(section.name, section.settings))
        await one[0].__aenter__()
        found.append(await _fault_of(one[0]))

    # What cannot be opened is told by the reload itself: here it is nobody's verdict.
    await bounded(ask, f"rehearse {section.name}", 2 * TRIAL)
    await close_all(one)
    return next(iter(found), None)


async def _fault_of(provider: Provider[Any]) -> str | None:
    """Why the account cannot be used, in words that are safe to show; None where it can or may."""
    found: Sequence[object] = []

    async def ask() -> None:
        nonlocal found
        found = [await provider.check(timeout=TRIAL)]

    ended = await bounded(ask, f"check {provider.name}", TRIAL)
    if isinstance(ended, Misconfigured):
        return why_refused(ended)
    match found:
        case [AccountReport(AccountState.BLOCKED, str() as summary)]:
            return logs.redactor.clean(summary)
    return None
