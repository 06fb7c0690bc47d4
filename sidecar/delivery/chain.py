"""The chain: its providers in order, each asked at its gate, until one has taken the message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sidecar.delivery.attempt import attempt
from sidecar.delivery.breaker import Permit
from sidecar.delivery.clock import Clock
from sidecar.delivery.gate import Hold
from sidecar.delivery.link import Link, Room, skipped
from sidecar.delivery.model import Attempt, Bill, Message, SkipReason
from sidecar.delivery.order import arranged
from sidecar.delivery.policy import RULES, ChainPolicy, Order, Panic, Verdict

RESERVE = 0.25
"""Seconds of the delivery's deadline that no attempt may use up: the answer needs them."""
LEAST_TIME = 0.5
"""An attempt is not started with fewer seconds left than this."""
PANIC_INTERVAL = 1.0
"""Seconds between two panic probes of one chain."""


class Journal(Protocol):
    """Where the chain writes ahead: the delivery log, as one delivery sees it."""

    async def sending(self, link: Link, so_far: Sequence[Attempt], bill: Bill | None) -> bool:
        """Record durably that `link` is about to be called, after the attempts `so_far`.

        `bill` is what the call costs where the message may have been taken. False where it cannot
        be recorded: the call is then not made.
        """

    def ended(self, attempts: Sequence[Attempt]) -> None:
        """The call that was announced is over, or was not made: these are the attempts."""


class _Leave(NamedTuple):
    """Leave for one call, and the money kept aside for it."""

    permit: Permit
    hold: Hold | None


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
        self._tills = [link.till for link in self.links if link.till is not None]

    async def deliver(
        self,
        message: Message,
        deadline: float,
        journal: Journal,
        ahead: Sequence[Attempt] = (),
    ) -> tuple[Attempt, ...]:
        """Walk the chain until its policy ends the walk; every provider asked leaves an attempt.

        `deadline` is on the monotonic clock. What was foreseen (`ahead`) of a provider that is
        passed by is not told anew where it comes so. Raises nothing that a provider does.
        """
        links, attempts = self._order(message)
        patience = self.room.limits.queue_wait
        for link in links:
            leave = self._ask_at_once(link, message, deadline)
            if leave is None:
                asked_at = self.clock.monotonic()
                leave = await self._ask(link, message, deadline, patience)
                patience -= self.clock.monotonic() - asked_at
            if isinstance(leave, SkipReason):
                attempts.append(_passed_by(link, leave, attempts, ahead))
                continue
            attempts.append(await self._call(link, leave, message, deadline, journal, attempts))
            journal.ended(attempts)
            if not self.policy.goes_on(attempts):
                return tuple(attempts)
        probe = await self._panic_probe(message, attempts, deadline)
        if probe is not None:
            link, leave = probe
            attempts.append(await self._call(link, leave, message, deadline, journal, attempts))
            journal.ended(attempts)
        return tuple(attempts)

    def take_over(self, before: Chain) -> None:
        """Remember whom the chain of the configuration before probed in panic, and when."""
        self._next_panic = before._next_panic
        self._probed = before._probed

    def foresee(self, message: Message | None = None) -> tuple[tuple[Attempt, ...], Link] | None:
        """Who would be called first, and who would be passed by; None where nobody or not at once.

        It changes nothing and promises nothing: it lets a log write ahead in one go.
        """
        links, passed_by = self._order(message)
        for link in links:
            reason = link.would_skip(message)
            if reason is None:
                return (tuple(passed_by), link) if self.room.has_room(link, self.channel) else None
            passed_by.append(skipped(link, reason))
        return None

    def retry_after(self, message: Message | None = None) -> float | None:
        """Seconds until the first gate opens for `message`, or for the usual one.

        None where no gate will without a person. A panic probe opens one too.
        """
        waits = [wait for link in self.links if (wait := link.opens_in(message)) is not None]
        circuits = any(link.would_skip() is SkipReason.CIRCUIT_OPEN for link in self.links)
        if circuits and self.policy.panic is Panic.PROBE:
            waits.append(max(0.0, self._next_panic - self.clock.monotonic()))
        return min(waits, default=None)

    def _order(self, message: Message | None) -> tuple[Sequence[Link], list[Attempt]]:
        """Whom to ask one after the other, and what is said of those that others go before."""
        declared = self.policy.order is Order.DECLARED
        if declared and not self._is_limited():  # as nearly always
            return self.links, []
        links, moved = arranged(self.links, self.policy.order, message)
        return links, [skipped(link, why) for link, why in moved]

    def _is_limited(self) -> bool:
        for till in self._tills:  # noqa: SIM110  # twice a send: `any` costs three times as much
            if till.is_limited:
                return True
        return False

    def _ask_at_once(
        self, link: Link, message: Message, deadline: float
    ) -> _Leave | SkipReason | None:
        """Every gate of one link: its own, then time, then a place among the sends in flight.

        None where a place must be waited for.
        """
        late = self._no_time(deadline)
        if late is not None or not self.room.has_room(link, self.channel):
            # No permit: it would take a trial from a call that has outlived its lease.
            return link.would_skip(message) or late
        leave = _paid(link, message, link.ask(message))
        if isinstance(leave, _Leave):
            self.room.take(link, self.channel)
        return leave

    async def _ask(
        self, link: Link, message: Message, deadline: float, patience: float
    ) -> _Leave | SkipReason:
        """The same after a wait for a place, of at most `patience` seconds."""
        patience = min(patience, self._left(deadline) - LEAST_TIME)
        if not await self.room.enter(link, patience, self.channel):
            return SkipReason.BUSY
        leave: _Leave | SkipReason | None = None
        try:  # asked after the wait: no permit waits idly
            leave = self._no_time(deadline) or _paid(link, message, link.ask(message))
        finally:
            if not isinstance(leave, _Leave):
                self.room.leave(link, self.channel)
        return leave

    async def _call(
        self,
        link: Link,
        leave: _Leave,
        message: Message,
        deadline: float,
        journal: Journal,
        so_far: Sequence[Attempt],
    ) -> Attempt:
        """Write ahead, then call; place, permit and money are given back whatever happens."""
        bill = None if leave.hold is None else leave.hold.bill
        billable = False
        try:
            if not await journal.sending(link, tuple(so_far), bill):
                return skipped(link, SkipReason.LOG_UNAVAILABLE)
            left = self._left(deadline)  # the log may have taken its time
            if left < LEAST_TIME:
                return skipped(link, SkipReason.DEADLINE)
            timeout = min(link.timeout, left - RESERVE)
            billable = True  # also where the drain cuts it off: it may have been taken
            ended = await attempt(link, leave.permit, message, timeout, bill)
            billable = RULES[ended.outcome].maybe_sent
            return ended
        finally:
            link.breaker.cancel(leave.permit)  # counts as nothing after a result was told
            self.room.leave(link, self.channel)
            if leave.hold is not None:
                leave.hold.settle(billable=billable)

    async def _panic_probe(
        self, message: Message, attempts: Sequence[Attempt], deadline: float
    ) -> tuple[Link, _Leave] | None:
        """A call through the circuit nearest to half-open, where open circuits are all there is."""
        now = self.clock.monotonic()
        if now < self._next_panic or self._no_time(deadline) or not self._is_panic(attempts):
            return None
        for link in sorted(self.links, key=self._turn):
            if not await self.room.enter(link, 0.0, self.channel):
                continue
            leave: _Leave | SkipReason | None = None
            try:
                permit = link.ask_in_panic(message)
                leave = None if permit is None else _paid(link, message, permit)
            finally:
                if not isinstance(leave, _Leave):
                    self.room.leave(link, self.channel)
            if isinstance(leave, _Leave):
                self._next_panic = now + PANIC_INTERVAL
                self._probed[link.name] = now
                return link, leave
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


def _passed_by(
    link: Link, why: SkipReason, so_far: Sequence[Attempt], ahead: Sequence[Attempt]
) -> Attempt:
    """The record of it: the one that was foreseen where all has come so, up to this one.

    After anything else, such as a call, it would be dated before what it follows.
    """
    at = len(so_far)
    if at < len(ahead) and (not at or so_far[-1] is ahead[at - 1]):
        one = ahead[at]
        if one.provider == link.name and one.reason is why:
            return one
    return skipped(link, why)


def _paid(link: Link, message: Message, permit: Permit | SkipReason) -> _Leave | SkipReason:
    """The permit with the money for it; where there is none, the permit is given back."""
    if isinstance(permit, SkipReason):
        return permit
    if link.till is None:
        return _Leave(permit, None)
    hold: Hold | SkipReason | None = None
    try:
        hold = link.till.reserve(message)
    finally:
        if hold is None or isinstance(hold, SkipReason):
            link.breaker.cancel(permit)
    return hold if isinstance(hold, SkipReason) else _Leave(permit, hold)
