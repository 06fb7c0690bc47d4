"""Budgets as Prometheus gauges, computed when scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.delivery.link import Link
from sidecar.money.books import WHOLE, Books, ProviderTill
from sidecar.money.budget import Budget

Links = Callable[[], Iterable[Link]]

_LABELS = ["provider", "window", "currency"]


class BudgetGauges(Collector):
    """What is spent of every budget, and what each allows; the whole's provider is empty."""

    def __init__(self, books: Books, links: Links) -> None:
        self._books = books
        self._links = links

    def collect(self) -> Iterator[Metric]:
        limits = GaugeMetricFamily("otp_budget_limit", "What a budget allows.", labels=_LABELS)
        spent = GaugeMetricFamily("otp_budget_spent", "What of it is spent.", labels=_LABELS)
        self._books.today()
        for name, budget in self._budgets():
            for window, limit in budget.limits().items():
                labels = [name, window.value, budget.currency]
                account = self._books.account(name, budget.currency, window)
                limits.add_metric(labels, float(limit))
                spent.add_metric(labels, float(account.spent))
        yield limits
        yield spent

    def _budgets(self) -> Iterator[tuple[str, Budget]]:
        for link in self._links():
            if isinstance(link.till, ProviderTill) and link.till.budget is not None:
                yield link.name, link.till.budget
        if self._books.whole is not None:
            yield WHOLE, self._books.whole
