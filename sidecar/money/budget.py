"""Budgets: how much may be spent in a window of time, and how far that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from sidecar.delivery.model import ZERO

LEVELS = (Decimal("0.5"), Decimal("0.8"), Decimal(1))
"""The parts of a budget at which an operator is told."""


class Window(StrEnum):
    """A stretch of time that a budget is for; UTC."""

    MONTH = "monthly"
    DAY = "daily"


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent, in one currency; None where nothing limits that window.

    `soft` is the part from which on the provider goes behind the others of its chain.
    """

    currency: str
    monthly: Decimal | None = None
    daily: Decimal | None = None
    soft: Decimal = Decimal("0.8")

    def limits(self, currency: str) -> dict[Window, Decimal]:
        """The windows that are limited for what is paid in `currency`: none but in its own."""
        if currency != self.currency:
            return {}
        both = {Window.MONTH: self.monthly, Window.DAY: self.daily}
        return {window: limit for window, limit in both.items() if limit is not None}


@dataclass(slots=True, eq=False)
class Account:
    """What was spent in one window by one provider, or by all, and what is kept aside."""

    spent: Decimal = ZERO
    held: Decimal = ZERO
    told: Decimal = ZERO
    """The highest of `LEVELS` that was told, and of what limit."""
    limit: Decimal = ZERO

    @property
    def taken(self) -> Decimal:
        return self.spent + self.held


@dataclass(slots=True)
class Units:
    """What one provider has counted this month, and what is kept aside."""

    used: int = 0
    held: int = 0


@dataclass(slots=True, eq=False)
class Slate:
    """Changes of several accounts alike that are not in them yet.

    Each send changes four accounts three times, and they are seldom looked at.
    """

    accounts: Sequence[Account] = ()
    spent: Decimal = ZERO
    held: Decimal = ZERO

    def wipe(self) -> None:
        """Write it into the accounts."""
        for account in self.accounts:
            account.spent += self.spent
            account.held += self.held
        self.spent = self.held = ZERO


@dataclass(frozen=True, slots=True)
class Today:
    """A day and its month, UTC; `ends` and `month_ends` are Unix times."""

    day: str
    month: str
    begins: float
    ends: float
    month_ends: float

    @classmethod
    def at(cls, now: float) -> Today:
        moment = datetime.fromtimestamp(now, UTC)
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        next_month = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        return cls(
            day.date().isoformat(),
            f"{day:%Y-%m}",
            day.timestamp(),
            (day + timedelta(days=1)).timestamp(),
            next_month.timestamp(),
        )

    def ends_of(self, window: Window) -> float:
        return self.ends if window is Window.DAY else self.month_ends
