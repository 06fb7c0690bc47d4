"""G6, G7 and a part of G12: two thousand at once."""

from __future__ import annotations

from functools import partial

from bench.course import Course, Run, Table
from bench.processes import memory_mb
from bench.report import told
from bench.rows import usual_columns
from bench.stats import Reading, ratios

CROWD, FEW, UPSTREAM = 2000, 100, 0.5
COLUMNS = ("case", "sends/s", "CPU us a send", "p50 ms", "p99 ms", "never served", "least / mean",
           "not 2xx")  # fmt: skip


def measure(course: Course) -> None:
    _waiting(course)
    _overload(course)


def _row(name: str, runs: list[Run]) -> tuple[str, ...]:
    return (
        name,
        *usual_columns(runs),
        told(Reading.of([run.never for run in runs])),
        told(Reading.of([run.fair for run in runs])),
        told(Reading.of([run.refused for run in runs])),
    )


def _waiting(course: Course) -> None:
    course.say("G6: 2,000 in flight")
    crowd, few = course.pick(CROWD, 100), course.pick(FEW, 10)
    with course.simple(room=2 * crowd) as sidecar:
        runs = course.rounds(
            course.pick(3, 1),
            {
                f"{CROWD:,} in flight at 500 ms": partial(
                    course.run, sidecar, connections=crowd, delay=UPSTREAM,
                    **course.span(8.0, warm=4.0, count=4 * crowd),
                ),
                f"{FEW} in flight at 500 ms": partial(
                    course.run, sidecar, connections=few, delay=UPSTREAM,
                    **course.span(10.0, warm=2.0, count=4 * few),
                ),
            },
        )  # fmt: skip
        peak = memory_mb(sidecar.pid, "VmHWM")
    many, less = runs.values()
    readings = course.findings.readings
    ideal = crowd / UPSTREAM
    note = f"limits.in_flight, in_flight_per_provider {2 * crowd}, server.connections raised too"
    readings["G6.goodput"] = Reading.of([run.per_second / ideal for run in many], note)
    readings["G6.cpu"] = Reading.of(ratios([r.cpu for r in many], [r.cpu for r in less]))
    readings["G12.crowd"] = Reading.of([peak], "VmHWM of the sidecar that did G6")
    rows = [_row(name, found) for name, found in runs.items()]
    course.findings.tables.append(Table("Many in flight", COLUMNS, rows))


def _overload(course: Course) -> None:
    course.say("G7: an overload of 2,000 connections")
    crowd = course.pick(CROWD, 100)
    runs = []
    for _ in range(course.pick(3, 1)):
        with course.simple(room=2 * crowd) as sidecar:
            span = course.span(8.0, count=4 * crowd)
            runs.append(course.run(sidecar, connections=crowd, rush=True, delay=0.05, **span))
    readings = course.findings.readings
    readings["G7.never"] = Reading.of([run.never for run in runs])
    readings["G7.fair"] = Reading.of([run.fair for run in runs])
    note = (
        "All connect at once to a fresh sidecar, whose limits admit them all, and send for 8 s,"
        " each again when it is answered; upstream 50 ms. Served is what was answered with 2xx."
    )
    rows = [_row(f"{CROWD:,} connections at once", runs)]
    course.findings.tables.append(Table("Overload", COLUMNS, rows, note))
