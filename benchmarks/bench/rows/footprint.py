"""G12 and G13: memory and time of a start, and what they are spent on."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from bench.course import MAIL, SMS, Course, Table
from bench.processes import memory_mb
from bench.report import told
from bench.sidecars import configuration, provider
from bench.stats import Reading

SETTLED = 2.0
"""Seconds after `ready` until memory is read: SDKs are loaded behind the first line."""
KINDS = ("ses", "sns", "sendgrid", "smtp", "twilio", "console")
TOP = 12
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)")


def measure(course: Course) -> None:
    course.say("G12, G13: start and memory")
    cases: dict[str, Mapping[str, Any] | str] = {
        "default": _default(course),
        "six": _configured(course, KINDS),
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in cases}
    for _ in range(course.pick(7, 1)):
        for name, config in cases.items():
            found[name].append(_start(course, config))
    for name, starts in found.items():
        readings = course.findings.readings
        readings[f"G13.{name}"] = Reading.of([ms for ms, _, _ in starts])
        readings[f"G12.{name}"] = Reading.of(
            [settled for _, _, settled in starts],
            f"VmRSS {SETTLED:.0f} s after `ready`, when what is loaded behind it is there",
        )
    _kinds(course, found["default"])
    _imports(course)


def _default(course: Course) -> str:
    """The default file of the tree, on a free port."""
    text = (course.tree.path / "providers.yaml").read_text()
    assert "127.0.0.1:8780" in text
    return text.replace("127.0.0.1:8780", "127.0.0.1:0")


def _configured(course: Course, kinds: tuple[str, ...]) -> dict[str, Any]:
    sections = {kind: provider(kind, course.ports) for kind in kinds}
    mail = [k for k in kinds if k not in ("sns", "twilio")]
    sms = [k for k in kinds if k in ("sns", "twilio", "console")]
    chains = {name: chain for name, chain in ((MAIL, mail), (SMS, sms)) if chain}
    return configuration(sections, chains)


def _start(course: Course, config: Mapping[str, Any] | str) -> tuple[float, float, float]:
    """Milliseconds to ready, MB then, and MB when it has settled."""
    with course.sidecar(config) as sidecar:
        at_once = memory_mb(sidecar.pid)
        time.sleep(course.pick(SETTLED, 0.2))
        return sidecar.seconds * 1e3, at_once, memory_mb(sidecar.pid)


def _kinds(course: Course, default: list[tuple[float, float, float]]) -> None:
    rows = [_line("the default file", default)]
    for kind in KINDS:
        config = _configured(course, (kind,))
        starts = [_start(course, config) for _ in range(course.pick(3, 1))]
        rows.append(_line(f"`{kind}` alone", starts))
    rows.append(_line("all six", [_start(course, _configured(course, KINDS))]))
    columns = ("configured", "exec to ready ms", "RSS at ready MB", "RSS settled MB")
    course.findings.tables.append(Table("Start and memory, by kind", columns, rows))


def _line(name: str, starts: list[tuple[float, float, float]]) -> tuple[str, ...]:
    return (name, *(told(Reading.of(column)) for column in zip(*starts, strict=True)))


def _imports(course: Course) -> None:
    with course.sidecar(_default(course), PYTHONPROFILEIMPORTTIME="1") as sidecar:
        time.sleep(course.pick(SETTLED, 0.2))
        rows = heaviest(sidecar.said())
    note = (
        "`python -X importtime -m sidecar run` with the default file, until it has settled: time in"
        f" ms with all that a module imports, the {TOP} heaviest packages."
    )
    columns = ("package", "cumulative ms")
    course.findings.tables.append(Table("Imports", columns, rows, note))


def heaviest(told_by_python: str) -> list[tuple[str, str]]:
    """The packages whose import took longest, from what `-X importtime` says."""
    packages: dict[str, int] = {}
    for line in told_by_python.splitlines():
        if (match := _IMPORT.match(line)) is not None:
            package = match[4].partition(".")[0]
            packages[package] = max(packages.get(package, 0), int(match[2]))
    ordered = sorted(packages.items(), key=lambda item: -item[1])
    return [(f"`{name}`", f"{us / 1000:.1f}") for name, us in ordered[:TOP]]
