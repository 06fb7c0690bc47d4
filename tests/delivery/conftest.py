"""A chain in a box: links with scripted providers, a clock turned by hand, a journal that notes."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from sidecar.delivery.breaker import Breaker, BreakerSettings
from sidecar.delivery.chain import Chain
from sidecar.delivery.link import Limits, Link, Room
from sidecar.delivery.model import Attempt, Bill, Message
from sidecar.delivery.policy import ChainPolicy, Verdict
from sidecar.testing import ManualClock, ScriptedProvider, Step

MESSAGE = Message("m-1", "sms", "+14155552671", "Your code is 739184620517")


class NotedJournal:
    """Notes every call; `says` is what it answers, or the exception that it raises."""

    def __init__(self, says: bool | Exception = True) -> None:
        self.says = says
        self.calls: list[tuple[str, tuple[Attempt, ...]]] = []
        self.ends: list[tuple[Attempt, ...]] = []

    def ended(self, attempts: Sequence[Attempt]) -> None:
        self.ends.append(tuple(attempts))

    async def sending(self, link: Link, so_far: Sequence[Attempt], bill: Bill | None) -> bool:
        self.calls.append((link.name, tuple(so_far)))
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


class Box:
    """One chain with everything that belongs to it."""

    def __init__(self, clock: ManualClock, limits: Limits) -> None:
        self.clock = clock
        self.room = Room(limits, clock)
        self.journal = NotedJournal()
        self.policy = ChainPolicy()
        self.links: dict[str, Link] = {}
        self._chain: Chain | None = None

    def link(
        self, name: str, *script: Step, timeout: float = 4.0, enabled: bool = True, **breaker: float
    ) -> Link:
        """Add a link to the end of the chain."""
        self.links[name] = Link(
            name,
            "scripted",
            ScriptedProvider(name, script),
            Breaker(BreakerSettings(**breaker), self.clock.monotonic),
            self.clock,
            timeout=timeout,
            enabled=enabled,
        )
        return self.links[name]

    @property
    def chain(self) -> Chain:
        if self._chain is None:
            links = tuple(self.links.values())
            self._chain = Chain("sms", links, self.policy, self.room, self.clock)
        return self._chain

    async def deliver(self, seconds: float = 10.0) -> tuple[Attempt, ...]:
        """Send one message with this deadline; a chain that hangs fails the test."""
        deadline = self.clock.monotonic() + seconds
        async with asyncio.timeout(20.0):
            return await self.chain.deliver(MESSAGE, deadline, self.journal)

    def start(self, seconds: float = 10.0) -> "asyncio.Task[tuple[Attempt, ...]]":
        """Send one message, not waiting for its end."""
        return asyncio.create_task(self.deliver(seconds))

    def sent(self, name: str) -> int:
        """How many messages the provider of a link was given."""
        provider = self.links[name].provider
        assert isinstance(provider, ScriptedProvider)
        return len(provider.sent)

    def break_down(self, *names: str) -> None:
        """Open these circuits, each a millisecond after the one before."""
        for name in names:
            breaker = self.links[name].breaker
            for _ in range(breaker.settings.failure_threshold):
                permit = breaker.start(5.0)
                assert permit is not None
                breaker.finish(permit, Verdict.FAILURE)
            self.clock.advance(0.001)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def message() -> Message:
    return MESSAGE


@pytest.fixture
def make_box(clock: ManualClock) -> Callable[..., Box]:
    def make(**limits: float) -> Box:
        return Box(clock, Limits(**limits))

    return make


@pytest.fixture
def box(make_box: Callable[..., Box]) -> Box:
    return make_box()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], "asyncio.Future[None]"]:
    """Let the event loop turn until a condition holds."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5.0):
            while not condition():  # noqa: ASYNC110 - one turn of the loop, not a span of time
                await asyncio.sleep(0)

    return wait


@pytest.fixture
def settle() -> Callable[[], "asyncio.Future[None]"]:
    """Let the event loop turn until whatever could go on has gone on."""

    async def turn() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    return turn


@pytest.fixture
def trail() -> Callable[[Sequence[Attempt]], list[str]]:
    """Attempts as `name:outcome`, or `name:reason` where skipped: short enough to compare."""

    def shorten(attempts: Sequence[Attempt]) -> list[str]:
        return [f"{a.provider}:{a.outcome if a.tried else a.reason}" for a in attempts]

    return shorten
