"""The desk: every alert comes by here, is written once, and goes on to the webhook."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from sidecar import logs
from sidecar.alerts.model import Alert, Fact
from sidecar.delivery.clock import Clock

ACTIVE = 1_000
"""Alerts that are remembered; with one more the oldest is forgotten."""
CALM = 300.0
"""Seconds after a resolved alert was sent in which the same one is held back."""
FACTS, WORDS = 32, 500
"""Facts of one alert, and characters of one of its texts; what is more is cut off."""
_NOT_IN_A_WORD = re.compile(r"[^a-z0-9_]")

Key = tuple[str, str]
Post = Callable[[Alert, float], None]


@dataclass(slots=True)
class Case:
    """An alert that is active, since a moment in Unix seconds.

    `due` is when it is sent to the webhook if it is active then, in monotonic seconds; None where
    it was sent.
    """

    alert: Alert
    since: float
    due: float | None = None


class Desk:
    """Remembers what is active. `post(alert, at)` sends on, `count(event)` counts what opened."""

    def __init__(self, clock: Clock, post: Post, count: Callable[[str], None]) -> None:
        self._clock = clock
        self._post = post
        self._count = count
        self._active: dict[Key, Case] = {}
        self._calm_until: dict[Key, float] = {}  # monotonic seconds, in their order

    def __len__(self) -> int:
        return len(self._active)

    def active(self) -> list[Case]:
        """What is active, the oldest first."""
        return list(self._active.values())

    def tell(self, told: Alert) -> None:
        """Hear of an alert: a `Tell`. What is known already, or was never bad, is passed over."""
        alert = _presentable(told)
        key = alert.event, alert.subject
        if alert.resolved:
            self._resolve(key, alert)
        elif key not in self._active:
            self._open(key, alert)

    def look(self) -> None:
        """Send on what was held back and is active still."""
        now = self._clock.monotonic()
        for case in self._active.values():
            if case.due is not None and case.due <= now:
                self._send(case)

    def _open(self, key: Key, alert: Alert) -> None:
        self._count(alert.event)
        getattr(structlog.get_logger(), alert.level)("alert", **_line(alert))
        _make_room(self._active)
        calm_until = self._calm_until.get(key, 0.0)
        case = self._active[key] = Case(alert, self._clock.time(), calm_until)
        if calm_until <= self._clock.monotonic():
            self._send(case)

    def _resolve(self, key: Key, alert: Alert) -> None:
        case = self._active.pop(key, None)
        if case is None:
            return
        alert, now = replace(alert, level=case.alert.level), self._clock.time()
        lasted = round(max(0.0, now - case.since), 1)
        structlog.get_logger().info("alert_resolved", **_line(alert), lasted=lasted)
        if case.due is None:  # else nobody out there heard that it was bad
            self._post(alert, now)
            self._calm_until.pop(key, None)
            _make_room(self._calm_until)
            self._calm_until[key] = self._clock.monotonic() + CALM

    def _send(self, case: Case) -> None:
        case.due = None
        self._post(case.alert, case.since)


def _make_room(kept: dict[Key, Any]) -> None:
    if len(kept) >= ACTIVE:
        del kept[next(iter(kept))]


def _line(alert: Alert) -> dict[str, object]:
    return {
        "alert": alert.event,
        "subject": alert.subject,
        "summary": alert.summary,
        "facts": dict(alert.facts),
    }


def _presentable(alert: Alert) -> Alert:
    """The same without a secret, cut to size, and safe from whoever made it changing it later."""
    facts = list(alert.facts.items())[:FACTS]
    return replace(
        alert,
        event=_NOT_IN_A_WORD.sub("_", alert.event.lower())[:64],
        subject=_clean(alert.subject),
        summary=_clean(alert.summary),
        facts={_clean(name): _clean_fact(value) for name, value in facts},
    )


def _clean(text: str) -> str:
    return logs.redactor.clean(text)[:WORDS]


def _clean_fact(value: Fact) -> Fact:
    return _clean(value) if isinstance(value, str) else value
