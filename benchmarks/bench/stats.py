"""Percentiles, medians, and what one run of the load generator found."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that `part` (0 to 1) of all values do not exceed; nearest rank, no guess.

    Raises ValueError where there are no values.
    """
    if not values:
        raise ValueError("no values, no percentile")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure as it was read in every round. `note` says what was measured, where it matters."""

    values: tuple[float, ...]
    note: str = ""

    @classmethod
    def of(cls, values: Sequence[float], note: str = "") -> Reading:
        return cls(tuple(values), note)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.values), max(self.values)


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """`over / under` of each round's pair."""
    return [a / b for a, b in zip(over, under, strict=True)]


def differences(more: Sequence[float], less: Sequence[float]) -> list[float]:
    """`more - less` of each round's pair."""
    return [a - b for a, b in zip(more, less, strict=True)]
