"""Counters and histograms that a send counts with: a dictionary, and no lock.

What prometheus_client shows of its own, to the byte. Its objects check every label and take a lock
for every number; here one thread counts, the event loop's, which also writes the page. The values
of labels come from the configuration and from enumerations, so the dictionaries stay small.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

# A wish that prometheus_client reads too, once, when it is imported.
_CREATED = os.environ.get("PROMETHEUS_DISABLE_CREATED_SERIES", "").lower() not in {"true", "1", "t"}


class Tally(Collector):
    """A counter with labels."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self._about = (name, text)
        self._labels = labels
        self._counts: dict[tuple[str, ...], int | Decimal] = {}
        self._created: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def add(self, *values: str, by: int | Decimal = 1) -> None:
        """Count one more, or `by`, with these values of the labels."""
        try:
            self._counts[values] += by
        except KeyError:
            self._counts[values] = by
            self._created[values] = time.time()

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(*self._about, labels=self._labels)
        for values, count in self._counts.items():
            family.add_metric(values, float(count), self._created[values] if _CREATED else None)
        yield family


class _Series:
    """What was observed with the same values of the labels."""

    __slots__ = ("counts", "created", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0
        self.created = time.time()


class Durations(Collector):
    """A histogram of seconds with labels. `bounds` are those of its buckets, ascending."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._about = (name, text)
        self._labels = labels
        self._bounds = [*bounds, float("inf")]
        self._series: dict[tuple[str, ...], _Series] = {}
        registry.register(self)

    def observe(self, seconds: float, *values: str) -> None:
        """Count one more that took so long, with these values of the labels."""
        try:
            series = self._series[values]
        except KeyError:
            series = self._series[values] = _Series(len(self._bounds))
        series.total += seconds
        series.counts[bisect_left(self._bounds, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(*self._about, labels=self._labels)
        bounds = [str(floatToGoString(bound)) for bound in self._bounds]  # type: ignore[no-untyped-call]
        for values, series in self._series.items():
            buckets = list(zip(bounds, map(float, accumulate(series.counts)), strict=True))
            family.add_metric(values, buckets, series.total)
            if _CREATED:
                labels = dict(zip(self._labels, values, strict=True))
                family.add_sample(f"{self._about[0]}_created", labels, series.created)
        yield family
