"""G14: a sidecar that has sent much, and a log that has grown."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

from bench.course import Chart, Course, Table, stopping
from bench.processes import memory_mb
from bench.report import told
from bench.rows.clients import inside
from bench.sidecars import Sidecar, configuration, provider
from bench.stats import Reading, ratios

C = 64
HALF = 50_000
SIZES = (1_000, 10_000, 100_000, 1_000_000)


def measure(course: Course) -> None:
    _memory(course)
    _logs(course)


def _memory(course: Course) -> None:
    course.say("G14: memory over 100,000 sends")
    half = course.pick(HALF, 300)
    with course.simple() as sidecar:
        read = []
        for _ in range(2):
            for _ in range(5):  # in pieces, so that no order to a worker takes minutes
                course.run(sidecar, connections=C, count=half // 5)
            read.append(memory_mb(sidecar.pid))
    course.findings.readings["G14.rss"] = Reading.of(
        [read[1] / read[0]],
        f"{read[0]:.1f} MB after {half:,} sends, {read[1]:.1f} MB after {2 * half:,};"
        " flat is 5 % more at most",
    )


def _logs(course: Course) -> None:
    course.say("G14: logs of 10^3 to 10^6 rows")
    sizes = course.pick(SIZES, (100, 1_000))
    folder = course.home / "logs"
    folder.mkdir()
    made = inside(course, "fill", str(folder), *map(str, sizes), patience=600.0)
    started: dict[str, Any] = {}
    with stopping(started):
        for size in sizes:
            started[str(size)] = _with_log(course, Path(made[str(size)]))
        span = course.span(3.0)
        runs = course.rounds(
            course.pick(3, 1),
            {n: partial(course.run, t, connections=C, **span) for n, t in started.items()},
        )
    cpu = {int(name): [run.cpu * 1e6 for run in found] for name, found in runs.items()}
    course.findings.readings["G14.rows"] = Reading.of(
        ratios(cpu[sizes[-1]], cpu[sizes[0]]),
        f"{sizes[-1]:,} deliveries, each with its attempt, against {sizes[0]:,}; written before"
        " through the project's own store, from 10,000 on as copies of such rows",
    )
    rows = [(f"{size:,}", told(Reading.of(values))) for size, values in cpu.items()]
    columns = ("deliveries in the log", "CPU us a send")
    course.findings.tables.append(Table("Rows in the log", columns, rows))
    points = [(float(size), Reading.of(values).median) for size, values in cpu.items()]
    course.findings.curves.append(
        Chart("rows", "CPU a send by the rows in the log", "deliveries in the log",
              "CPU us a send", {"otp-sidecar": points})
    )  # fmt: skip


def _with_log(course: Course, log: Path) -> Sidecar:
    target = log.with_name(f"run-{log.name}")
    shutil.copy(log, target)
    chosen = {name: provider(name, course.ports) for name in ("ses", "sns")}
    chains = {"email": ["ses"], "sms": ["sns"]}
    return course.sidecar(configuration(chosen, chains, log=str(target)))
