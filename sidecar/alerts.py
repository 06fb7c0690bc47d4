"""What an operator should hear of at once: a circuit open, a budget nearly spent, a bad account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that turned bad, or with `resolved` is good again.

    `event` is a stable word such as `budget` or `circuit_open`; `subject` says of what, a provider
    as a rule. Two alerts with the same event and subject are of the same thing. `summary` is a
    sentence to act on, `facts` what stands behind it. No secret, recipient or code is among it.
    """

    event: str
    subject: str
    summary: str
    resolved: bool = False
    facts: Mapping[str, str | int | float | bool] = field(
        default_factory=lambda: MappingProxyType({})
    )


Tell = Callable[[Alert], None]
"""Hears of alerts, at once and without waiting; it may hear of the same thing again and again."""
