"""The books as Prometheus gauges, computed when scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.delivery.link import Link
from sidecar.money.books import WHOLE, Books, ProviderTill
from sidecar.money.budget import Budget, Window

Links = Callable[[], Iterable[Link]]

_LABELS = ["provider", "window", "currency"]


class BudgetGauges(Collector):
    """What every provider has cost, and what each budget allows; the whole's provider is empty."""

    def __init__(self, books: Books, links: Links) -> None:
        self._books = books
        self._links = links

    def collect(self) -> Iterator[Metric]:
        limits = GaugeMetricFamily("otp_budget_limit", "What a budget allows.", labels=_LABELS)
        spent = GaugeMetricFamily("otp_spent", "What is spent in this window.", labels=_LABELS)
        self._books.today()
        for name, currency, budget in self._accounts():
            for window in Window:
                account = self._books.account(name, currency, window)
                spent.add_metric([name, window.value, currency], float(account.spent))
            for window, limit in budget.limits(currency).items() if budget is not None else ():
                limits.add_metric([name, window.value, currency], float(limit))
        yield limits
        yield spent

    def _accounts(self) -> Iterator[tuple[str, str, Budget | None]]:
        for link in self._links():
            if isinstance(link.till, ProviderTill):
                yield link.name, link.till.tariff.currency, link.till.budget
        if self._books.whole is not None:
            yield WHOLE, self._books.whole.currency, self._books.whole
