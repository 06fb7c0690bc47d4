"""How cost grows: with callers and the upstream's time, with the chain, and with the text."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from bench.course import Chart, Course, Run, Table, stopping
from bench.peers import Peer
from bench.report import number, told
from bench.rows.chain import opened
from bench.stats import Reading

CALLERS = (1, 8, 64, 512, 2000)
DELAYS = (0.0, 0.05, 0.5)
CHAINS = (1, 5, 20)
TEXTS = (50, 500, 2_000, 8_000)
"""Characters; 8,192 is the most that the API takes."""
C = 64
Points = dict[str, list[tuple[float, float]]]


def measure(course: Course) -> None:
    _callers(course)
    _chains(course)
    _texts(course)


def _callers(course: Course) -> None:
    course.say("growth: callers and upstream")
    plain = f"http://127.0.0.1:{course.ports['plain']}/raw"
    callers, delays = course.pick((CALLERS, DELAYS), ((1, 8), (0.0, 0.05)))
    rate, cpu, p99 = Points(), Points(), Points()
    rows = []
    started: dict[str, Any] = {}
    with stopping(started):
        started["sidecar"] = course.simple(room=4000)
        started["bare proxy"] = Peer(
            [sys.executable, "proxy.py", plain], course.certificates.environ()
        )
        for delay in delays:
            for count in callers:
                span = course.span(2.5, warm=1.0 + 2 * delay + count / 1000, count=4 * count)
                for name, target in started.items():
                    run = course.run(target, connections=count, delay=delay, **span)
                    line = f"{name}, {delay * 1e3:.0f} ms"
                    for points, value in ((rate, run.per_second), (cpu, run.cpu * 1e6),
                                          (p99, run.p99 * 1e3)):  # fmt: skip
                        points.setdefault(line, []).append((float(count), value))
                    rows.append(_row(name, delay, count, run))
    for key, title, y, points, log in (
        ("throughput", "Sends a second by callers at once", "sends/s", rate, True),
        ("cpu", "CPU a send by callers at once", "CPU us a send", cpu, False),
        ("p99", "p99 by callers at once", "p99 ms", p99, True),
    ):
        course.findings.curves.append(Chart(key, title, "callers at once", y, points, log))
    columns = ("server", "upstream ms", "callers", "sends/s", "CPU us a send", "p50 ms", "p99 ms")
    course.findings.tables.append(Table("Callers and upstream", columns, rows))


def _row(name: str, delay: float, count: int, run: Run) -> tuple[str, ...]:
    figures = (run.per_second, run.cpu * 1e6, run.p50 * 1e3, run.p99 * 1e3)
    return (name, f"{delay * 1e3:.0f}", f"{count:,}", *map(number, figures))


def _chains(course: Course) -> None:
    course.say("growth: providers in a chain")
    chains = course.pick(CHAINS, (1, 5))
    started: dict[str, Any] = {}
    with stopping(started):
        for length in chains:
            started[str(length)] = opened(course, length - 1)
        span = course.span(2.5)
        runs = course.rounds(
            course.pick(3, 1),
            {n: partial(course.run, t, connections=C, **span) for n, t in started.items()},
        )
    _cost(course, "chain", "providers in the chain, all circuits but the last one's open", runs)


def _texts(course: Course) -> None:
    course.say("growth: texts")
    texts = course.pick(TEXTS, (50, 8_000))
    span = course.span(2.5)
    with course.simple() as sidecar:
        runs = course.rounds(
            course.pick(3, 1),
            {
                str(size): partial(course.run, sidecar, text="c" * size, connections=C, **span)
                for size in texts
            },
        )
    _cost(course, "text", "characters of the text", runs)


def _cost(course: Course, name: str, what: str, runs: dict[str, list[Run]]) -> None:
    cpu = {int(n): Reading.of([run.cpu * 1e6 for run in found]) for n, found in runs.items()}
    title = f"CPU a send by {what.partition(',')[0]}"
    points = [(float(x), reading.median) for x, reading in cpu.items()]
    chart = Chart(name, title, what, "CPU us a send", {"otp-sidecar": points})
    course.findings.curves.append(chart)
    rows = [(f"{x:,}", told(reading)) for x, reading in cpu.items()]
    course.findings.tables.append(Table(title, (what, "CPU us a send"), rows))
