"""What deliveries cost, summed up a day: the books as the log has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from sidecar.delivery.model import ZERO, Attempt, Outcome
from sidecar.delivery.policy import maybe_sent

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class DayCosts:
    """What one provider cost on one day (UTC, ISO 8601), in one currency; "" where unpriced.

    `tried` counts its attempts, `accepted` those that were, `billed` those that may be billed, and
    `units` what the vendor counts for them. `after_failover` is what of `amount` went to attempts
    that came after another one of the same delivery.
    """

    day: str
    provider: str
    currency: str
    tried: int = 0
    accepted: int = 0
    billed: int = 0
    units: int = 0
    amount: Decimal = ZERO
    after_failover: Decimal = ZERO

    @property
    def key(self) -> Key:
        return self.day, self.provider, self.currency

    def __add__(self, other: DayCosts) -> DayCosts:
        return DayCosts(
            *self.key,
            self.tried + other.tried,
            self.accepted + other.accepted,
            self.billed + other.billed,
            self.units + other.units,
            self.amount + other.amount,
            self.after_failover + other.after_failover,
        )


class Sums:
    """Adds up."""

    def __init__(self, known: Iterable[DayCosts] = ()) -> None:
        self._days: dict[Key, DayCosts] = {}
        for one in known:
            self.add(one)

    def __iter__(self) -> Iterator[DayCosts]:
        return iter(self._days.values())

    def add(self, one: DayCosts) -> None:
        before = self._days.get(one.key)
        self._days[one.key] = one if before is None else before + one

    def add_trail(self, attempts: Iterable[Attempt]) -> None:
        """The attempts of one delivery, in order."""
        tried = [attempt for attempt in attempts if attempt.tried]
        for number, attempt in enumerate(tried):
            self.add(_entry(attempt, is_fallback=number > 0))


def day_of(at: float) -> str:
    """The day of a moment (Unix time): UTC, ISO 8601."""
    return _day(int(at // 86400))


@lru_cache(8)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86400, UTC).date().isoformat()


def _entry(attempt: Attempt, *, is_fallback: bool) -> DayCosts:
    cost = attempt.cost
    amount = cost.amount if cost else ZERO
    return DayCosts(
        day_of(attempt.started_at),
        attempt.provider,
        cost.currency if cost else "",
        1,
        int(attempt.outcome is Outcome.ACCEPTED),
        maybe_sent([attempt]),
        attempt.units,
        amount,
        amount if is_fallback else ZERO,
    )
