"""An alert, and the way to tell one: a budget nearly spent, a circuit open, an account gone bad."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Fact = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that turned bad, or with `resolved` is good again.

    `event` is a stable word such as `budget` or `circuit_open`; `subject` says of what, a provider
    as a rule. Two alerts with the same event and subject are of the same thing. `summary` is a
    sentence to act on, `facts` what stands behind it: neither has a secret, a recipient or a code.
    `level` is that of the log line; `error` where nothing mends itself without a person.
    """

    event: str
    subject: str
    summary: str
    resolved: bool = False
    facts: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))
    level: Literal["warning", "error"] = "warning"


Tell = Callable[[Alert], None]
"""Hears of alerts, at once and without waiting; it may hear of the same thing again and again."""
