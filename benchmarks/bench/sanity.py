"""What a smoke test looks for: every row is there, and no figure is absurd. Never a time."""

from __future__ import annotations

import math

from bench.course import Findings
from bench.goals import GOALS


def amiss(findings: Findings, page: str, *, whole: bool) -> list[str]:
    """Sentences for what is wrong; `whole` says that every part was run."""
    found = []
    for goal in GOALS:
        reading = findings.readings.get(goal.key)
        if f"| {goal.key} |" not in page:
            found.append(f"{goal.key} has no row")
        if reading is None:
            if whole and goal.key not in findings.missing:
                found.append(f"{goal.key} was not measured, and nobody says why")
            continue
        if not all(math.isfinite(value) for value in reading.values):
            found.append(f"{goal.key} is no number: {reading.values}")
        if goal.unit in ("x", "MB") and min(reading.values) <= 0:
            found.append(f"{goal.key} must be more than nothing: {reading.values}")
    if not findings.compared:
        found.append("no ledger was compared with a log")
    return found
