"""What a provider has cost and may still cost, for `/health` and for people."""

from __future__ import annotations

from typing import Any

from sidecar.delivery.link import Link
from sidecar.delivery.model import Money, in_digits
from sidecar.delivery.tariff import Tariff
from sidecar.money.books import WHOLE, Books, ProviderTill
from sidecar.money.budget import Budget, Window


def dump_till(till: ProviderTill) -> dict[str, Any]:
    """One provider's part of the books, in its tariff's currency; amounts are strings."""
    tariff, books = till.tariff, till.books
    books.today()  # before anything is read: the month may have turned
    return {
        "price": in_words(tariff),
        "priced": tariff.dated or None,
        "free_left": till.free_left() if tariff.free_per_month else None,
        "units_this_month": books.units_of(till.name).used,
        **_spent(books, till.name, tariff.currency),
        "budget": None if till.budget is None else _budget(till, till.budget),
    }


def dump_whole(books: Books) -> dict[str, Any] | None:
    """The budget of all providers together; None where there is none."""
    budget = books.whole
    if budget is None:
        return None
    spent = _spent(books, WHOLE, budget.currency)
    return {**spent, **_limits(budget), "state": _state(books, WHOLE, budget)}


def spent_by(link: Link | None) -> Money | None:
    """What a provider has cost this month; None where no price is known."""
    if link is None or not isinstance(link.till, ProviderTill):
        return None
    books, currency = link.till.books, link.till.tariff.currency
    books.today()
    return Money(books.account(link.name, currency, Window.MONTH).spent, currency)


def in_words(tariff: Tariff) -> str:
    """The price as a person reads it: `0.0075 USD a segment, 1000 free a month`."""
    if tariff.price is None:
        told = f"no price known in {tariff.currency}"
    else:
        told = f"{in_digits(tariff.price)} {tariff.currency} a {tariff.per.value}"
    if tariff.countries:
        told += f", others for {', '.join(sorted(tariff.countries))}"
    return told + (f", {tariff.free_per_month} free a month" if tariff.free_per_month else "")


def _spent(books: Books, name: str, currency: str) -> dict[str, Any]:
    today = books.today()
    month, day = (books.account(name, currency, window) for window in Window)
    return {
        "currency": currency,
        "month": today.month,
        "spent_this_month": in_digits(month.spent),
        "spent_today": in_digits(day.spent),
        "kept_aside": in_digits(month.held),
    }


def _budget(till: ProviderTill, budget: Budget) -> dict[str, Any]:
    return {**_limits(budget), "state": _state(till.books, till.name, budget)}


def _limits(budget: Budget) -> dict[str, Any]:
    return {
        "monthly": None if budget.monthly is None else in_digits(budget.monthly),
        "daily": None if budget.daily is None else in_digits(budget.daily),
        "soft": float(budget.soft),
    }


def _state(books: Books, name: str, budget: Budget) -> str:
    """`ok`, `soft` where the others of a chain go first, `over` where nothing more fits."""
    state = "ok"
    for window, limit in budget.limits(budget.currency).items():
        taken = books.account(name, budget.currency, window).taken
        if taken >= limit:
            return "over"
        if taken >= limit * budget.soft:
            state = "soft"
    return state
