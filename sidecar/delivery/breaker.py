"""The circuit breaker: after repeated failures a provider is left alone for a while, then tested.

    closed --5 consecutive failures--> open --60 s--> half_open --2 successes--> closed
                                        ^                 |
                                        +---- failure ----+

A value machine: no I/O, no timer, the clock is handed in, and the state is computed from it when
asked. Every permit carries the epoch in which it was given; a result from an older epoch changes
nothing, so a late answer cannot close or open a circuit that has moved on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from sidecar.delivery.model import Transition
from sidecar.delivery.policy import Verdict


class State(StrEnum):
    """The states; `isolated` and `disabled` are the operator's."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    ISOLATED = "isolated"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """The numbers; durations in seconds, `jitter` and `failure_rate` as fractions of 1.

    `failure_rate` (over the calls of the last `window` seconds, from `minimum` calls on) and
    `slow_call` (an answer that took longer counts as a failure) are off where None.
    """

    failure_threshold: int = 5
    recovery_timeout: float = 60.0
    success_threshold: int = 2
    growth: float = 2.0
    max_recovery_timeout: float = 300.0
    jitter: float = 0.0
    failure_rate: float | None = None
    window: float = 60.0
    minimum: int = 20
    slow_call: float | None = None
    enabled: bool = True


class Permit(NamedTuple):
    """Leave to make one call. Give it back with `finish` or `cancel`."""

    number: int
    epoch: int
    panic: bool = False


class Breaker:
    """One provider's breaker. Not thread-safe: it lives on one event loop.

    `now` returns monotonic seconds; `spread` returns a number from -1 to 1 for the jitter.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        now: Callable[[], float],
        spread: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.settings = settings
        self._now = now
        self._spread = spread
        self._initial = State.CLOSED if settings.enabled else State.DISABLED
        self._mode = self._initial
        self._epoch = 0
        self._permits = 0
        self._failures = 0
        self._successes = 0
        self._open_time = 0.0  # the latest, jitter apart, since the last close; the next one grows
        self._opens_until = 0.0
        self._trial: tuple[int, float] | None = None  # the probe's permit number, its lease's end
        self._calls: deque[list[int]] = deque()  # a bucket per second: [second, calls, failures]
        self.reason: str | None = None

    @property
    def state(self) -> State:
        """The state at this moment, computed from the clock."""
        if self._mode is State.OPEN and self._now() >= self._opens_until:
            return State.HALF_OPEN
        return self._mode

    @property
    def consecutive_failures(self) -> int:
        return self._failures

    def seconds_to_half_open(self) -> float | None:
        """Seconds until a trial is allowed; None unless open."""
        return self._opens_until - self._now() if self.state is State.OPEN else None

    def summary(self) -> str:
        """State and count for a person: `closed 1/5`."""
        return _summary(self.state, self._failures, self.settings.failure_threshold)

    def barred_by(self) -> State | None:
        """The state in which `start` would give no leave now, None where it would; no change."""
        state = self.state
        if state is State.CLOSED or state is State.DISABLED:
            return None
        return None if state is State.HALF_OPEN and not self._trial_is_out() else state

    # Asking for leave, and giving the result back

    def start(self, lease: float) -> Permit | None:
        """Leave for one call, or None. In half_open one trial at a time, for `lease` seconds."""
        state = self.state
        if state is State.CLOSED or state is State.DISABLED:
            return self._permit()
        if state is not State.HALF_OPEN or self._trial_is_out():
            return None
        return self._lease(self._permit(), lease)

    def start_panic(self, lease: float) -> Permit | None:
        """Leave for one call through an open circuit, for a chain that has nothing else left."""
        if self.state is not State.OPEN or self._trial_is_out():
            return None
        return self._lease(self._permit(panic=True), lease)

    def finish(self, permit: Permit, verdict: Verdict, seconds: float = 0.0) -> Transition | None:
        """Tell the result of the call that `permit` allowed; `seconds` is how long it took."""
        if permit.epoch != self._epoch:
            return None
        slow = self.settings.slow_call
        if slow is not None and seconds > slow and verdict is Verdict.SUCCESS:
            verdict = Verdict.FAILURE
        if self._mode is State.CLOSED:
            return self._in_closed(verdict)
        if self._trial is None or self._trial[0] != permit.number:
            return None  # disabled; or a probe whose lease ran out: another holds the trial now
        self._trial = None
        return self._in_trial(self.state, verdict, permit)

    def cancel(self, permit: Permit) -> None:
        """Give the permit back; the call counts as nothing."""
        if self._trial is not None:  # else nothing is held by it
            self.finish(permit, Verdict.NEUTRAL)

    # The operator's hand

    def isolate(self, reason: str = "isolated by the operator") -> Transition:
        """Out until `reset`, whatever the calls in flight will say."""
        return self._move(State.ISOLATED, self.state, reason)

    def disable(self) -> Transition:
        """Never opens, until `reset`."""
        return self._move(State.DISABLED, self.state)

    def look_again(self) -> None:
        """Let an open circuit be tried now: somebody says that the cause was mended."""
        self._opens_until = min(self._opens_until, self._now())

    def reset(self) -> Transition:
        """Back to where the settings start it, with clean counters."""
        return self._move(self._initial, self.state)

    # What a result changes

    def _in_closed(self, verdict: Verdict) -> Transition | None:
        match verdict:
            case Verdict.SUCCESS:  # first, as nearly always
                self._failures = 0
            case Verdict.FAILURE:
                self._failures += 1
            case Verdict.NEUTRAL:
                return None
            case Verdict.MISCONFIGURED:
                return self._open(Verdict.MISCONFIGURED)
        if self._failures >= self.settings.failure_threshold:
            return self._open(f"{self._failures} consecutive failures")
        rate = self.settings.failure_rate
        if rate is not None and self._rate_reached(rate, failed=verdict is Verdict.FAILURE):
            return self._open("failure rate")
        return None

    def _in_trial(self, before: State, verdict: Verdict, permit: Permit) -> Transition | None:
        match verdict:
            case Verdict.NEUTRAL:
                return None
            case Verdict.SUCCESS:
                return self._trial_succeeded(before)
            case Verdict.FAILURE | Verdict.MISCONFIGURED if permit.panic:
                self._failures += 1
                return None  # a panic probe's failure leaves the open time as it was
            case Verdict.MISCONFIGURED:
                return self._open(Verdict.MISCONFIGURED, before)
            case Verdict.FAILURE:
                return self._open("the trial call failed", before)

    def _trial_succeeded(self, before: State) -> Transition | None:
        self._failures = 0
        self._successes += 1
        if self._successes >= self.settings.success_threshold:
            return self._move(State.CLOSED, before)
        if before is State.OPEN:  # a panic probe: the first success ends the open time
            self._opens_until = self._now()
            return Transition(before.value, State.HALF_OPEN.value)
        return None

    def _open(self, reason: str, before: State = State.CLOSED) -> Transition:
        failures = self._failures + (before is not State.CLOSED)
        open_time = self._next_open_time()
        transition = self._move(State.OPEN, before, reason)
        self._failures = failures
        self._open_time = open_time
        jitter = 1.0 + self.settings.jitter * self._spread()
        self._opens_until = self._now() + open_time * jitter
        return transition

    def _next_open_time(self) -> float:
        chosen = self.settings
        longest = max(chosen.max_recovery_timeout, chosen.recovery_timeout)
        return min(self._open_time * chosen.growth or chosen.recovery_timeout, longest)

    def _move(self, to: State, before: State, reason: str | None = None) -> Transition:
        self._mode = to
        self._epoch += 1
        self._failures = self._successes = 0
        self._open_time = 0.0
        self._trial = None
        self._calls.clear()
        self.reason = reason
        return Transition(before.value, to.value, reason)

    # Small things

    def _permit(self, *, panic: bool = False) -> Permit:
        self._permits += 1
        return Permit(self._permits, self._epoch, panic)

    def _lease(self, permit: Permit, seconds: float) -> Permit:
        self._trial = (permit.number, self._now() + seconds)
        return permit

    def _trial_is_out(self) -> bool:
        return self._trial is not None and self._now() < self._trial[1]

    def _rate_reached(self, rate: float, *, failed: bool) -> bool:
        second = int(self._now())
        if not self._calls or self._calls[-1][0] != second:
            self._calls.append([second, 0, 0])
        self._calls[-1][1] += 1
        self._calls[-1][2] += failed
        while self._calls[0][0] <= second - self.settings.window:
            self._calls.popleft()
        calls = sum(bucket[1] for bucket in self._calls)
        failures = sum(bucket[2] for bucket in self._calls)
        return calls >= self.settings.minimum and failures / calls >= rate


@lru_cache(maxsize=64)
def _summary(state: State, failures: int, threshold: int) -> str:
    return f"{state} {failures}/{threshold}"
