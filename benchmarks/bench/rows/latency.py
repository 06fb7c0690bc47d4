"""G4 and G5: what the sidecar adds to a call, alone and at a steady rate."""

from __future__ import annotations

from functools import partial

from bench.course import Course, Direct, Run, Table
from bench.report import told
from bench.stats import Reading, differences

RATE, UPSTREAM = 500.0, 0.1
DIRECT, THROUGH = "the stub, called directly", "through the sidecar"
COLUMNS = ("case", "way", "p50 ms", "p99 ms")


def measure(course: Course) -> None:
    course.say("G4, G5: added latency")
    direct = Direct(course.ports["tls"], course.stub.pid)
    authority = str(course.certificates.authority)
    with course.simple(room=512) as sidecar:
        alone = course.span(3.0, count=50)
        one = course.rounds(
            course.pick(5, 1),
            {
                THROUGH: partial(course.run, sidecar, **alone),
                DIRECT: partial(course.run, direct, tls=authority, **alone),
            },
        )
        steady = {"rate": course.pick(RATE, 20.0), "delay": UPSTREAM, "connections": 400}
        steady |= {"seconds": course.pick(8.0, 1.0), "warm": course.pick(2.0, 0.5)}
        many = course.rounds(
            course.pick(3, 1),
            {
                THROUGH: partial(course.run, sidecar, **steady),
                DIRECT: partial(course.run, direct, tls=authority, **steady),
            },
        )
    readings = course.findings.readings
    note = "both ways the stub is reached over TLS"
    readings["G4"] = Reading.of(_added(one, "p50"), note)
    readings["G5.p50"] = Reading.of(_added(many, "p50"))
    readings["G5.p99"] = Reading.of(_added(many, "p99"), "the difference of the two p99s")
    _tell(course, one, many)


def _added(runs: dict[str, list[Run]], which: str) -> list[float]:
    through, direct = ([getattr(r, which) * 1e3 for r in runs[way]] for way in (THROUGH, DIRECT))
    return differences(through, direct)


def _tell(course: Course, one: dict[str, list[Run]], many: dict[str, list[Run]]) -> None:
    rows = [
        (
            case,
            way,
            told(Reading.of([run.p50 * 1e3 for run in runs])),
            told(Reading.of([run.p99 * 1e3 for run in runs])),
        )
        for case, found in (("one in flight", one), ("500/s, upstream 100 ms", many))
        for way, runs in found.items()
    ]
    note = (
        "At a steady rate every send has its moment, and its latency counts from there, whether or"
        " not a connection was free."
    )
    course.findings.tables.append(Table("Latency", COLUMNS, rows, note))
