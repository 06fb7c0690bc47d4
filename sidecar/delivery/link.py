"""One link of a chain: a provider with its gates - enabled, throttled, circuit, room."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.delivery.account import Account
from sidecar.delivery.breaker import Breaker, Permit, State
from sidecar.delivery.clock import Clock
from sidecar.delivery.gate import Gate, Till
from sidecar.delivery.model import Attempt, Message, Outcome, SkipReason
from sidecar.delivery.policy import throttle_seconds
from sidecar.delivery.provider import Provider
from sidecar.delivery.shares import fits, may_wait

NEVER = float("-inf")
LEASE_MARGIN = 1.0
"""Seconds a half-open trial may outlive its attempt's timeout before another may start."""

_CIRCUIT_REASONS = {
    State.OPEN: SkipReason.CIRCUIT_OPEN,
    State.HALF_OPEN: SkipReason.TRIAL_UNDER_WAY,
    State.ISOLATED: SkipReason.ISOLATED,
}


@dataclass(slots=True, eq=False)
class Standing:
    """What is known of a provider from the calls and the checks so far, its circuit apart.

    Every version of the configuration that leaves the provider as it is shares it.
    """

    in_flight: int = 0
    abandoned: set[asyncio.Task[Any]] = field(default_factory=set)  # held, or they may vanish
    last_error: Attempt | None = None
    last_success_at: float | None = None
    throttled_until: float = NEVER
    account: Account = field(default_factory=Account)


class Link:
    """A provider as every chain that names it sees it; its state is shared between them.

    `provider` is None where the environment lacks what `missing` names, or where it could not be
    started, for the reason in `broken`: such a link stays visible and is skipped. `timeout` bounds
    one attempt, in seconds. `told_late(name, outcome)` hears of a call that ended after its
    attempt was over. `strike` takes secrets out of what the provider says. `standing` is handed on
    where another link had the same provider before. `gates` are asked after the link's own. `till`
    knows what its messages cost, and is one more gate.

    `second_look`, where there is one, begins to read the provider's secrets anew, or joins whoever
    does; its future tells, and never raises, whether they are others than the provider has.
    """

    second_look: Callable[[], asyncio.Future[bool]] | None = None

    def __init__(
        self,
        name: str,
        kind: str,
        provider: Provider[Any] | None,
        breaker: Breaker,
        clock: Clock,
        *,
        timeout: float = 4.0,
        enabled: bool = True,
        missing: Sequence[str] = (),
        broken: str | None = None,
        told_late: Callable[[str, str], None] = lambda *_: None,
        strike: Callable[[str], str] = str,
        standing: Standing | None = None,
        till: Till | None = None,
        gates: Sequence[Gate] = (),
    ) -> None:
        self.name = name
        self.kind = kind
        self.provider = provider
        self.breaker = breaker
        self.clock = clock
        self.timeout = timeout
        self.enabled = enabled
        self.missing = tuple(missing)
        self.broken = broken
        self.strike = strike
        self.standing = standing or Standing()
        self.till = till
        self.gates = tuple(gates) if till is None else (*gates, till)
        self._told_late = told_late

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return self.standing.in_flight

    @property
    def zombies(self) -> int:
        """Calls that outlived their cancellation and are still running."""
        return len(self.standing.abandoned)

    @property
    def last_error(self) -> Attempt | None:
        """The latest attempt that was not accepted."""
        return self.standing.last_error

    @property
    def last_success_at(self) -> float | None:
        """When a message was accepted last; Unix time in seconds."""
        return self.standing.last_success_at

    def abandon(self, call: asyncio.Task[Any]) -> None:
        """Let a call run on that outlived its cancellation; how it ends is told, and no more."""
        self.standing.abandoned.add(call)
        call.add_done_callback(self._bury)

    def _bury(self, call: asyncio.Task[Any]) -> None:
        self.standing.abandoned.discard(call)
        ended = not call.cancelled() and call.exception() is None
        self._told_late(self.name, str(call.result().outcome) if ended else "cancelled")

    def ask(self, message: Message | None = None) -> Permit | SkipReason:
        """Leave for one call, to be given back through the breaker, or why there is none."""
        shut = self._shut(message)
        if shut is not None:
            return shut
        permit = self.breaker.start(self.timeout + LEASE_MARGIN)
        return permit or _CIRCUIT_REASONS[self.breaker.state]

    def ask_in_panic(self, message: Message | None = None) -> Permit | None:
        """Leave for one call through an open circuit, where no other gate is shut."""
        return (
            None if self._shut(message) else self.breaker.start_panic(self.timeout + LEASE_MARGIN)
        )

    def would_skip(self, message: Message | None = None) -> SkipReason | None:
        """Why `message` would pass this link by, or the next one; None where it would be tried."""
        shut = self._shut(message)
        if shut is not None:
            return shut
        state = self.breaker.barred_by()
        return None if state is None else _CIRCUIT_REASONS[state]

    def heard(self, attempt: Attempt, retry_after: float | None = None) -> None:
        """Remember how an attempt ended; `retry_after` in seconds, where it was throttled."""
        if attempt.outcome is Outcome.ACCEPTED:
            self.standing.last_success_at = attempt.started_at + attempt.seconds
        else:
            self.standing.last_error = attempt
        if attempt.outcome is Outcome.THROTTLED:
            until = self.clock.monotonic() + throttle_seconds(retry_after)
            self.standing.throttled_until = max(self.standing.throttled_until, until)

    def throttled_for(self) -> float | None:
        """Seconds until the provider's own rate limit lets us in; None where it does not hold."""
        left = self.standing.throttled_until - self.clock.monotonic()
        return left if left > 0 else None

    def opens_in(self, message: Message | None = None) -> float | None:
        """Seconds until this link would be tried again; None where only a person can open it."""
        if self.provider is None or not self.enabled or self.breaker.state is State.ISOLATED:
            return None
        waits = [self.throttled_for(), self.breaker.seconds_to_half_open()]
        for gate in self.gates:
            if (wait := gate.opens_in(message)) is None:
                return None
            waits.append(wait)
        return max(wait or 0.0 for wait in waits)

    def _shut(self, message: Message | None) -> SkipReason | None:
        if not self.enabled:
            return SkipReason.DISABLED
        if self.provider is None:
            return SkipReason.BROKEN if self.broken else SkipReason.NOT_CONFIGURED
        until = self.standing.throttled_until
        if until > NEVER and until > self.clock.monotonic():  # the clock is asked if need be alone
            return SkipReason.THROTTLED
        for gate in self.gates:
            if (reason := gate.shut(message)) is not None:
                return reason
        return None


@dataclass(frozen=True, slots=True)
class Limits:
    """How many sends may be under way; `queue_wait` in seconds."""

    in_flight: int = 256
    in_flight_per_provider: int = 64
    queue: int = 256
    queue_wait: float = 1.0


class Room:
    """The places for attempts in flight, per link and in all, with one short queue before them.

    A send waits here for its own provider only, so a slow provider fills its own places; of those
    in all every channel keeps a part (`shares.fits`), and in the queue each finds room for its part
    (`shares.may_wait`).
    """

    def __init__(self, limits: Limits, clock: Clock, channels: Iterable[str] = ()) -> None:
        self.limits = limits
        self.clock = clock
        self._channels = frozenset(channels)
        self._taken = dict.fromkeys(self._channels, 0)
        self._queued = dict.fromkeys(self._channels, 0)
        self._waiting: deque[tuple[Link, str, asyncio.Future[None]]] = deque()

    @property
    def in_flight(self) -> int:
        return sum(self._taken.values())

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def enter(self, link: Link, patience: float, channel: str = "") -> bool:
        """Take a place at `link`, waiting at most `patience` seconds; False where there is none."""
        if self.has_room(link, channel):  # never while another waits for it: those are served first
            self.take(link, channel)
            return True
        if patience <= 0 or not may_wait(self.limits.queue, {channel: 0, **self._queued}, channel):
            return False
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (link, channel, place)
        self._waiting.append(entry)
        self._queued[channel] = self._queued.get(channel, 0) + 1
        try:
            await self.clock.wait(place, patience)
        except BaseException:
            if place.done():  # the place was given in the very moment the waiter was cancelled
                self.leave(link, channel)
            raise
        finally:
            if not place.done():
                self._dequeue(entry)
        return place.done()

    def leave(self, link: Link, channel: str = "") -> None:
        """Give a place back; the first one who waits and fits takes it."""
        link.standing.in_flight -= 1
        self._lower(self._taken, channel)
        if self._waiting:
            self._serve()

    def resize(self, limits: Limits, channels: Iterable[str] = ()) -> None:
        """Other limits and channels from now on. What is under way stays, also where it is much."""
        self.limits = limits
        self._channels = frozenset(channels)
        for counts in (self._taken, self._queued):
            for gone in [name for name, n in counts.items() if not n]:
                del counts[gone]
            counts.update({name: 0 for name in self._channels if name not in counts})
        self._serve()

    def has_room(self, link: Link, channel: str = "") -> bool:
        """Whether an attempt at `link` would begin without waiting."""
        limits = self.limits
        if link.standing.in_flight >= limits.in_flight_per_provider:
            return False
        # As nearly always: nobody's part is touched.
        if sum(self._taken.values()) < limits.in_flight // 2:
            return True
        return fits(limits.in_flight, {channel: 0, **self._taken}, channel)

    def _serve(self) -> None:
        for entry in list(self._waiting):
            link, channel, place = entry
            if self.has_room(link, channel):
                self._dequeue(entry)
                self.take(link, channel)
                place.set_result(None)

    def _dequeue(self, entry: tuple[Link, str, asyncio.Future[None]]) -> None:
        self._waiting.remove(entry)
        self._lower(self._queued, entry[1])

    def _lower(self, counts: dict[str, int], channel: str) -> None:
        counts[channel] -= 1
        if not counts[channel] and channel not in self._channels:
            del counts[channel]  # the last one of a channel that is no more: no part is kept for it

    def take(self, link: Link, channel: str) -> None:
        """Take a place that `has_room` has just seen."""
        link.standing.in_flight += 1
        self._taken[channel] = self._taken.get(channel, 0) + 1


def skipped(link: Link, reason: SkipReason) -> Attempt:
    """The record of a provider that was not tried."""
    return Attempt(link.name, link.kind, Outcome.SKIPPED, link.clock.time(), reason=reason)
