"""The results as one page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.course import Findings, Table
from bench.goals import GOALS, Goal
from bench.stats import Reading


def page(findings: Findings, facts: Mapping[str, str]) -> str:
    """The whole report; `facts` says what ran where, when, and how to repeat it."""
    parts = [
        "# Results",
        _HEAD,
        _table(("what", ""), [(name, fact) for name, fact in facts.items()]),
        "## Goals",
        _GOALS,
        goals(findings),
        *(_section(table) for table in findings.tables),
        "## Growth",
        *(f"![{c.title}](results/{c.name}.svg)" for c in findings.curves),
    ]
    return "\n\n".join(parts) + "\n"


def goals(findings: Findings) -> str:
    """One row for each figure of each goal, measured or not."""
    rows = [_row(goal, findings) for goal in GOALS]
    columns = ("#", "what", "must", "target", "stretch", "median", "lowest - highest", "reached")
    notes = [
        f"- {goal.key}: {reading.note}"
        for goal in GOALS
        if (reading := findings.readings.get(goal.key)) is not None and reading.note
    ]
    return "\n\n".join([_table(columns, rows), "\n".join(notes)]).strip()


def number(value: float) -> str:
    """Three digits that count, and no more of a fraction than that."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def told(reading: Reading, unit: str = "") -> str:
    """Median and spread in one cell."""
    low, high = reading.spread
    return f"{number(reading.median)}{unit} ({number(low)} - {number(high)})"


def _row(goal: Goal, findings: Findings) -> Sequence[str]:
    reading = findings.readings.get(goal.key)
    bounds = [
        "" if bound is None else f"{number(bound)} {goal.unit}".strip()
        for bound in (goal.must, goal.target, goal.stretch)
    ]
    if reading is None:
        why = findings.missing.get(goal.key, "nothing was measured")
        return (goal.key, goal.what, *bounds, "", "", f"not measured: {why}")
    low, high = reading.spread
    spread = f"{number(low)} - {number(high)}"
    reached = goal.reached(reading)
    shown = f"**{reached}**" if reached.startswith("MISSED") else reached
    return (
        goal.key,
        goal.what,
        *bounds,
        f"{number(reading.median)} {goal.unit}".strip(),
        spread,
        shown,
    )


def _section(table: Table) -> str:
    parts = [f"## {table.title}", table.note, _table(table.columns, table.rows)]
    return "\n\n".join(part for part in parts if part)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


_HEAD = (
    "Written by `make bench`. The sidecar under test has one core; the stub and the load generator"
    " share the other. What is compared takes turns in one run. Absolute figures move by a fifth"
    " between runs and machines; the ratios are those of pairs in one run."
)
_GOALS = (
    "Median of the rounds, with the lowest and the highest. `reached` is the best column that the"
    " median keeps. The sidecar has everything on: validation, door, breaker, write-ahead log,"
    " canonical line, metrics, TLS to the vendor."
)
