"""Whose fault was it? The one table that says what follows from each outcome.

Nothing else in the project decides whether the chain goes on, what the breaker hears, or whether
the message may be on its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar.delivery.model import Attempt, Money, Outcome, SkipReason, Status

DEFAULT_THROTTLE = 5.0
"""Seconds a throttled provider is skipped where it named no time."""
MAX_THROTTLE = 300.0
"""The longest a provider's own `Retry-After` is believed, in seconds."""


ABSENT = frozenset(
    {
        SkipReason.NOT_CONFIGURED,
        SkipReason.DISABLED,
        SkipReason.SOFT_BUDGET,
        SkipReason.DEARER,
    }
)
"""Skips that say nothing of a provider: it was never there, or it is asked later."""


class Verdict(StrEnum):
    """What the breaker hears of an attempt."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    MISCONFIGURED = "misconfigured"


class Next(StrEnum):
    """Whether the chain tries the next provider."""

    NO = "no"
    YES = "yes"
    IF_REJECTED_MAY = "on_rejected"
    IF_UNKNOWN_MAY = "on_unknown"


class OnUnknown(StrEnum):
    """What a chain does after an attempt that may have been taken."""

    FAILOVER = "failover"
    STOP = "stop"


class OnRejected(StrEnum):
    """What a chain does after the message itself was rejected."""

    STOP = "stop"
    FAILOVER = "failover"


class Panic(StrEnum):
    """What a chain does when an open circuit is all that keeps every provider out."""

    PROBE = "probe"
    OFF = "off"


class Order(StrEnum):
    """In which order a chain asks its providers."""

    DECLARED = "declared"
    CHEAPEST = "cheapest"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: whether the next is tried, what the breaker hears, whether it may be on its way."""

    next: Next
    verdict: Verdict
    maybe_sent: bool = False


RULES: dict[Outcome, Rule] = {
    Outcome.ACCEPTED: Rule(Next.NO, Verdict.SUCCESS, maybe_sent=True),
    Outcome.REJECTED: Rule(Next.IF_REJECTED_MAY, Verdict.NEUTRAL),
    Outcome.REFUSED: Rule(Next.YES, Verdict.NEUTRAL),
    Outcome.THROTTLED: Rule(Next.YES, Verdict.NEUTRAL),
    Outcome.UNAVAILABLE: Rule(Next.YES, Verdict.FAILURE),
    Outcome.UNKNOWN: Rule(Next.IF_UNKNOWN_MAY, Verdict.FAILURE, maybe_sent=True),
    Outcome.MISCONFIGURED: Rule(Next.YES, Verdict.MISCONFIGURED),
    # A plugin that raised something foreign cannot say whether its request had left.
    Outcome.CRASHED: Rule(Next.IF_UNKNOWN_MAY, Verdict.FAILURE, maybe_sent=True),
    Outcome.LOCAL: Rule(Next.YES, Verdict.NEUTRAL),
    Outcome.SKIPPED: Rule(Next.YES, Verdict.NEUTRAL),
}


@dataclass(frozen=True, slots=True)
class ChainPolicy:
    """What a chain's settings decide. Durations in seconds."""

    on_unknown: OnUnknown = OnUnknown.FAILOVER
    on_rejected: OnRejected = OnRejected.STOP
    panic: Panic = Panic.PROBE
    max_unknown_failovers: int = 1
    order: Order = Order.DECLARED

    def goes_on(self, attempts: Sequence[Attempt]) -> bool:
        """Whether the chain tries another provider after the last of `attempts`."""
        last = attempts[-1]
        match RULES[last.outcome].next:
            case Next.NO:
                return False
            case Next.IF_REJECTED_MAY:
                return self.on_rejected is OnRejected.FAILOVER and not last.final
            case Next.IF_UNKNOWN_MAY:
                # Each unknown is a possible text on its way; one more try risks one duplicate more.
                return (
                    self.on_unknown is OnUnknown.FAILOVER
                    and maybe_sent(attempts) <= self.max_unknown_failovers
                )
            case Next.YES:
                return True


def maybe_sent(attempts: Sequence[Attempt]) -> int:
    """How many of the attempts may have put a message on its way."""
    return sum([RULES[a.outcome].maybe_sent for a in attempts])


def duplicate_possible(attempts: Sequence[Attempt]) -> bool:
    """Whether the recipient may get the message more than once."""
    return len(attempts) > 1 and maybe_sent(attempts) > 1


def total_cost(attempts: Sequence[Attempt]) -> Money | None:
    """What the attempts cost together, in the currency of the last that has a price.

    None where none has one; amounts in other currencies are left to the trail.
    """
    if len(attempts) == 1:  # as nearly always
        return attempts[0].cost
    costs = [attempt.cost for attempt in attempts if attempt.cost is not None]
    if not costs:
        return None
    last = costs[-1]
    # What surely was not billed is zero, and nearly all but the last are.
    others = [c.amount for c in costs[:-1] if c.amount and c.currency == last.currency]
    return Money(sum(others, last.amount), last.currency) if others else last


def throttle_seconds(retry_after: float | None) -> float:
    """How long to leave a throttled provider alone, in seconds."""
    if not isinstance(retry_after, int | float) or not retry_after > 0:  # a NaN is not either
        return DEFAULT_THROTTLE
    return min(retry_after, MAX_THROTTLE)


def status_of(attempts: Sequence[Attempt]) -> Status:
    """The terminal status of a delivery with these attempts."""
    if attempts and attempts[-1].outcome is Outcome.ACCEPTED:  # as nearly always
        return Status.ACCEPTED
    outcomes = {a.outcome for a in attempts}
    skips = {a.reason for a in attempts if not a.tried}
    if Outcome.ACCEPTED in outcomes:
        return Status.ACCEPTED
    if maybe_sent(attempts):
        return Status.UNKNOWN
    if Outcome.REJECTED in outcomes:
        return Status.REJECTED
    if SkipReason.DEADLINE in skips:
        return Status.EXPIRED
    if outcomes - {Outcome.SKIPPED, Outcome.LOCAL}:
        return Status.FAILED
    if Outcome.LOCAL in outcomes or SkipReason.BUSY in skips:
        return Status.OVERLOADED
    return Status.UNAVAILABLE
