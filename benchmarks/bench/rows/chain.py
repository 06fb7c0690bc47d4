"""G10 and G11: what a failing provider, an open circuit and durable rows cost."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from bench.course import MAIL, SMS, Course, Run, Table, stopping
from bench.report import told
from bench.sidecars import Sidecar, configuration, provider
from bench.stats import Reading, differences, ratios

C = 32
ALONE, FAILING, OPEN = "one provider", "behind a failing one", "behind an open circuit"
PLAIN, LISTED = "the log in a file", "the log in memory"


def measure(course: Course) -> None:
    _failing(course)
    _rows(course)


def behind(course: Course, others: int, **breaker: Any) -> dict[str, Any]:
    """A configuration with `others` failing providers before the one that takes it."""
    first = {
        f"bad{n}": {**provider("ses", course.ports, "failing"), "breaker": breaker}
        for n in range(others)
    }
    chosen = {**first, "ses": provider("ses", course.ports), "sns": provider("sns", course.ports)}
    return configuration(chosen, {MAIL: [*first, "ses"], SMS: ["sns"]})


def opened(course: Course, others: int) -> Sidecar:
    """A sidecar whose first providers have all failed until their circuits opened."""
    sidecar = course.sidecar(behind(course, others, recovery_timeout="10m", failure_threshold=1))
    course.run(sidecar, connections=1, count=others + 20)
    return sidecar


def _failing(course: Course) -> None:
    course.say("G10: a failing provider first")
    post = course.findings.readings.get("post")
    started: dict[str, Any] = {}
    with stopping(started):
        started[ALONE] = course.sidecar(behind(course, 0))
        started[FAILING] = course.sidecar(behind(course, 1, enabled=False))
        started[OPEN] = opened(course, 1)
        runs = course.rounds(course.pick(5, 1), _jobs(course, started, 3.0))
        # It costs less than two runs of the same differ by: many short ones, side by side.
        near = {name: started[name] for name in (ALONE, OPEN)}
        close = course.rounds(course.pick(30, 1), _jobs(course, near, 1.0))
    cpu = {name: [run.cpu * 1e6 for run in found] for name, found in runs.items()}
    extra = differences(cpu[FAILING], cpu[ALONE])
    alone, behind_open = ([run.cpu for run in close[name]] for name in (ALONE, OPEN))
    readings = course.findings.readings
    if post is None:
        course.findings.missing["G10.failing"] = "one POST was not measured (part `clients`)"
    else:
        readings["G10.failing"] = Reading.of(
            [e / post.median for e in extra],
            f"one more POST is {post.median:.0f} us: SES's raw POST of G8, in process",
        )
    shares = [100 * (ratio - 1) for ratio in ratios(behind_open, alone)]
    readings["G10.open"] = Reading.of(shares, f"{len(shares)} pairs of short runs")
    rows = [(name, told(Reading.of(found))) for name, found in cpu.items()]
    note = (
        "The failing one answers 503 to everything; its circuit never opens"
        " (`breaker: {enabled: false}`), or has opened before the measurement."
    )
    course.findings.tables.append(Table("A failing provider", ("chain", "CPU us"), rows, note))


def _jobs(course: Course, targets: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    span = course.span(seconds, warm=min(1.0, seconds / 2))
    return {n: partial(course.run, t, connections=C, **span) for n, t in targets.items()}


def _rows(course: Course) -> None:
    course.say("G11: durable rows")
    # The log in memory keeps 10,000 deliveries, and all of them must be compared.
    count = course.pick(1500, 100)
    started: dict[str, Any] = {}
    with stopping(started):
        started[PLAIN] = course.simple()
        started[LISTED] = course.simple(log=":memory:")
        for target in started.values():
            course.run(target, connections=C, count=count)
        runs = course.rounds(
            course.pick(5, 1),
            {n: partial(course.run, t, connections=C, count=count) for n, t in started.items()},
        )
    cpu: dict[str, list[Run]] = runs
    durable, kept = ([run.cpu * 1e6 for run in cpu[name]] for name in (PLAIN, LISTED))
    course.findings.readings["G11"] = Reading.of(
        differences(durable, kept),
        "CPU of the whole process, its writer's thread too, with the log in a file (WAL,"
        " synchronous NORMAL) less that with `log: {path: ':memory:'}`, which keeps the same"
        " rows in memory",
    )
    rows = [(PLAIN, told(Reading.of(durable))), (LISTED, told(Reading.of(kept)))]
    course.findings.tables.append(Table("Durable rows", ("log", "CPU us a send"), rows))
