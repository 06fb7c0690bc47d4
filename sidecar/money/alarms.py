"""Telling when a budget is half spent, nearly spent, and spent; and when it is not any more."""

from __future__ import annotations

from decimal import Decimal

from sidecar.alerts import Alert, Tell
from sidecar.delivery.model import ZERO, Money, in_digits
from sidecar.money.budget import LEVELS, Account, Window

_THIS = {Window.MONTH: "this month", Window.DAY: "today"}


class Alarms:
    """Remembers in each account which level was told."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def look(
        self, whose: str, window: Window, account: Account, limit: Money, *, refused: bool = False
    ) -> None:
        """Tell of the highest level that is reached, or that a raised limit left some behind.

        `refused` says that a message did not fit: the budget is spent, but for small change.
        """
        levels = LEVELS if refused else (one for one in LEVELS if _is_at(one, account, limit))
        reached = max(levels, default=ZERO)
        if account.limit == limit.amount:  # what was told stays true, but for another limit
            reached = max(reached, account.told)
        if reached > account.told:
            self._tell(_alert(whose, window, reached, account, limit))
        elif reached < account.told:
            self._withdraw(whose, window, reached, account.told)
        account.told, account.limit = reached, limit.amount

    def gone(self, whose: str, window: Window, account: Account) -> None:
        """Nothing limits it any more."""
        self._withdraw(whose, window, ZERO, account.told)
        account.told = ZERO

    def window_turned(self, whose: str, window: Window, account: Account) -> None:
        """Its budget is whole again."""
        self._withdraw(whose, window, ZERO, account.told)

    def _withdraw(self, whose: str, window: Window, kept: Decimal, told: Decimal) -> None:
        for level in LEVELS:
            if kept < level <= told:
                subject = _subject(whose, window, level)
                self._tell(Alert("budget", subject, f"{subject}: not reached any more", True))


def _is_at(level: Decimal, account: Account, limit: Money) -> bool:
    return account.spent >= level * limit.amount and bool(account.spent)


def _subject(whose: str, window: Window, level: Decimal) -> str:
    return f"{whose or 'all providers'}, {window} budget, {level:.0%}"


def _alert(whose: str, window: Window, level: Decimal, account: Account, limit: Money) -> Alert:
    who = whose or "all providers together"
    what = f"{who}: {in_digits(account.spent)} of {limit} are spent {_THIS[window]}"
    if level == LEVELS[-1]:
        what += "; what does not fit is not sent there until the window turns: raise the budget?"
    return Alert(
        "budget",
        _subject(whose, window, level),
        what,
        facts={
            "provider": whose,
            "window": window.value,
            "level": f"{level:.0%}",
            "spent": in_digits(account.spent),
            "limit": in_digits(limit.amount),
            "currency": limit.currency,
        },
    )
