"""From the sections of the file to tills and budgets."""

from __future__ import annotations

from decimal import Decimal

from sidecar.config import Config, ProviderSection
from sidecar.delivery.gate import Till
from sidecar.money.books import Books
from sidecar.money.budget import Budget
from sidecar.settings import BudgetSection


def till_of(section: ProviderSection, books: Books) -> Till | None:
    """The till of a provider; None where no price is known, so that there is nothing to count."""
    if section.tariff is None:
        return None
    return books.till(section.name, section.tariff, budget_of(section.budget))


def set_budgets(books: Books, config: Config) -> None:
    """From here on these budgets hold."""
    books.whole = budget_of(config.budget)
    books.budgets = {name: budget_of(one.budget) for name, one in config.providers.items()}
    books.review()


def budget_of(section: BudgetSection | None) -> Budget | None:
    """A budget of the file as the books know it."""
    if section is None:
        return None
    monthly, daily = section.monthly, section.daily
    return Budget(
        next(iter(section.currencies())),
        None if monthly is None else monthly.amount,
        None if daily is None else daily.amount,
        Decimal(str(section.soft)),
    )
