"""The chain: its providers in order, each asked at its gate, until one has taken the message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sidecar.delivery.attempt import attempt
from sidecar.delivery.breaker import Permit
from sidecar.delivery.clock import Clock
from sidecar.delivery.link import Link, Room, skipped
from sidecar.delivery.model import Attempt, Message, SkipReason
from sidecar.delivery.policy import ChainPolicy, Panic, Verdict

RESERVE = 0.25
"""Seconds of the delivery's deadline that no attempt may use up: the answer needs them."""
LEAST_TIME = 0.5
"""An attempt is not started with fewer seconds left than this."""
PANIC_INTERVAL = 1.0
"""Seconds between two panic probes of one chain."""


class Journal(Protocol):
    """Where the chain writes ahead: the delivery log, as one delivery sees it."""

    async def sending(self, link: Link, so_far: Sequence[Attempt]) -> bool:
        """Record durably that `link` is about to be called, after the attempts `so_far`.

        False where it cannot be recorded: the call is then not made.
        """


class Chain:
    """The ordered providers of one channel."""

    def __init__(
        self, channel: str, links: Sequence[Link], policy: ChainPolicy, room: Room, clock: Clock
    ) -> None:
        self.channel = channel
        self.links = tuple(links)
        self.policy = policy
        self.room = room
        self.clock = clock
        self._next_panic = float("-inf")
        self._probed: dict[str, float] = {}  # when each link was last probed in panic

    async def deliver(
        self, message: Message, deadline: float, journal: Journal
    ) -> tuple[Attempt, ...]:
        """Walk the chain until its policy ends the walk; every provider asked leaves an attempt.

        `deadline` is on the monotonic clock. Raises nothing that a provider does.
        """
        attempts: list[Attempt] = []
        patience = self.room.limits.queue_wait
        for link in self.links:
            asked_at = self.clock.monotonic()
            leave = await self._ask(link, message, deadline, patience)
            patience -= self.clock.monotonic() - asked_at
            if isinstance(leave, SkipReason):
                attempts.append(skipped(link, leave))
                continue
            attempts.append(await self._call(link, leave, message, deadline, journal, attempts))
            if not self.policy.goes_on(attempts):
                return tuple(attempts)
        probe = await self._panic_probe(message, attempts, deadline)
        if probe is not None:
            link, leave = probe
            attempts.append(await self._call(link, leave, message, deadline, journal, attempts))
        return tuple(attempts)

    def take_over(self, before: Chain) -> None:
        """Remember whom the chain of the configuration before probed in panic, and when."""
        self._next_panic = before._next_panic
        self._probed = before._probed

    def foresee(self, message: Message | None = None) -> tuple[tuple[Attempt, ...], Link] | None:
        """Who would be called first, and who would be passed by; None where nobody or not at once.

        It changes nothing and promises nothing: it lets a log write ahead in one go.
        """
        passed_by: list[Attempt] = []
        for link in self.links:
            reason = link.would_skip(message)
            if reason is None:
                return (tuple(passed_by), link) if self.room.has_room(link, self.channel) else None
            passed_by.append(skipped(link, reason))
        return None

    def retry_after(self) -> float | None:
        """Seconds until the first gate opens; None where no gate will without a person.

        A panic probe opens one too.
        """
        waits = [wait for link in self.links if (wait := link.opens_in()) is not None]
        circuits = any(link.would_skip() is SkipReason.CIRCUIT_OPEN for link in self.links)
        if circuits and self.policy.panic is Panic.PROBE:
            waits.append(max(0.0, self._next_panic - self.clock.monotonic()))
        return min(waits, default=None)

    async def _ask(
        self, link: Link, message: Message, deadline: float, patience: float
    ) -> Permit | SkipReason:
        """Every gate of one link: its own, then time, then a place among the sends in flight."""
        shut = link.would_skip(message) or self._no_time(deadline)
        if shut is not None:
            return shut
        patience = min(patience, self._left(deadline) - LEAST_TIME)
        if not await self.room.enter(link, patience, self.channel):
            return SkipReason.BUSY
        # Asked after the wait: no permit waits idly.
        leave = self._no_time(deadline) or link.ask(message)
        if isinstance(leave, SkipReason):
            self.room.leave(link, self.channel)
        return leave

    async def _call(
        self,
        link: Link,
        leave: Permit,
        message: Message,
        deadline: float,
        journal: Journal,
        so_far: Sequence[Attempt],
    ) -> Attempt:
        """Write ahead, then call; the place and the permit are given back whatever happens."""
        try:
            if not await journal.sending(link, tuple(so_far)):
                return skipped(link, SkipReason.LOG_UNAVAILABLE)
            late = self._no_time(deadline)  # the log may have taken its time
            if late is not None:
                return skipped(link, late)
            timeout = min(link.timeout, self._left(deadline) - RESERVE)
            return await attempt(link, leave, message, timeout)
        finally:
            link.breaker.cancel(leave)  # counts as nothing after a result was told
            self.room.leave(link, self.channel)

    async def _panic_probe(
        self, message: Message, attempts: Sequence[Attempt], deadline: float
    ) -> tuple[Link, Permit] | None:
        """A call through the circuit nearest to half-open, where open circuits are all there is."""
        now = self.clock.monotonic()
        if now < self._next_panic or self._no_time(deadline) or not self._is_panic(attempts):
            return None
        for link in sorted(self.links, key=self._turn):
            if not await self.room.enter(link, 0.0, self.channel):
                continue
            leave = link.ask_in_panic(message)
            if leave is not None:
                self._next_panic = now + PANIC_INTERVAL
                self._probed[link.name] = now
                return link, leave
            self.room.leave(link, self.channel)
        return None

    def _turn(self, link: Link) -> tuple[bool, float, float]:
        # First what may heal without a person, then whoever was probed longest ago, then the
        # circuit that is nearest to half-open.
        hopeless = link.breaker.reason == Verdict.MISCONFIGURED
        return hopeless, self._probed.get(link.name, 0.0), link.opens_in() or 0.0

    def _is_panic(self, attempts: Sequence[Attempt]) -> bool:
        reasons = {a.reason for a in attempts}
        return (
            self.policy.panic is Panic.PROBE
            and not any(a.tried for a in attempts)
            and SkipReason.CIRCUIT_OPEN in reasons
            and not reasons & {SkipReason.BUSY, SkipReason.LOG_UNAVAILABLE}  # a fault of our own
        )

    def _no_time(self, deadline: float) -> SkipReason | None:
        return SkipReason.DEADLINE if self._left(deadline) < LEAST_TIME else None

    def _left(self, deadline: float) -> float:
        return deadline - self.clock.monotonic()
