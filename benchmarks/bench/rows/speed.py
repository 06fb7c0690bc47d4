"""G1 to G3: sends a second at 64 in flight, against proxies, peers and the vendors' own SDKs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bench import peers
from bench.course import MAIL, SMS, Course, Run, Table, stopping
from bench.peers import Missing, Peer
from bench.rows import usual_columns
from bench.stats import Reading, ratios

C = 64
COLUMNS = ("server", "sends/s", "CPU us a send", "p50 ms", "p99 ms", "stub", "load generator")
SDKS = {"ses": MAIL, "sns": SMS, "twilio": SMS, "sendgrid": MAIL}
OURS = "otp-sidecar"
THREADS, PLAIN = "SDK in 64 threads", "SDK in 64 threads, plain text"
NOTES = {
    "sendgrid": "the SDK reads the whole bundle of authorities for every mail; the next row is"
    " without that"
}


def measure(course: Course) -> None:
    _proxies(course)
    _sdks(course)


def row(name: str, runs: list[Run]) -> tuple[str, ...]:
    """A line of a table: medians with spread, and how busy the tools were at the most."""
    return (
        name,
        *usual_columns(runs),
        f"{max(run.stub_share for run in runs):.0%}",
        f"{max(run.load_share for run in runs):.0%}",
    )


def rates(runs: list[Run]) -> list[float]:
    return [run.per_second for run in runs]


def _job(course: Course, target: Any, channel: str = MAIL) -> Callable[[], Run]:
    return partial(course.run, target, channel, connections=C, **course.span(3.0))


def _proxies(course: Course) -> None:
    course.say("G1, G2: against proxies and notifme-sdk")
    plain = f"http://127.0.0.1:{course.ports['plain']}/raw"
    tls = f"https://127.0.0.1:{course.ports['tls']}/raw"
    environ = course.certificates.environ()
    python = sys.executable
    started: dict[str, Any] = {}
    with stopping(started):
        started[OURS] = course.simple()
        started["bare aiohttp proxy"] = Peer([python, "proxy.py", plain], environ)
        started["bare aiohttp proxy, TLS upstream"] = Peer([python, "proxy.py", tls], environ)
        started["bare aiohttp proxy, asyncio's loop"] = Peer(
            [python, "proxy.py", plain, "asyncio"], environ
        )
        started["bare aiohttp handler, static"] = Peer([python, "static.py"], environ)
        try:
            node = peers.prepare_node(install=not course.quick)
            started["notifme-sdk"] = Peer([node, "notifme.js", plain], environ)
            started["notifme-sdk, TLS upstream"] = Peer([node, "notifme.js", tls], environ)
        except Missing as missing:
            course.findings.missing["G2"] = str(missing)
        runs = course.rounds(
            course.pick(5, 1), {name: _job(course, target) for name, target in started.items()}
        )
    _tell(course, runs)


def _tell(course: Course, runs: Mapping[str, list[Run]]) -> None:
    findings, ours = course.findings, rates(runs[OURS])
    findings.readings["G1"] = Reading.of(
        ratios(ours, rates(runs["bare aiohttp proxy"])), "the proxy runs on uvloop"
    )
    if "notifme-sdk" in runs:
        findings.readings["G2"] = Reading.of(
            ratios(ours, rates(runs["notifme-sdk"])),
            "its provider is hand-made and POSTs in plain text over kept connections; no log",
        )
    rows = [row(name, found) for name, found in runs.items()]
    if why := findings.missing.get("G2"):
        rows.append((f"notifme-sdk: not measured: {why}", *[""] * (len(COLUMNS) - 1)))
    note = (
        f"{C} callers in closed loops, upstream at once. `stub` and `load generator` are the"
        " shares of their core that the tools used at the most, by their own accounting."
    )
    findings.tables.append(Table("Sends a second", COLUMNS, rows, note))


def _sdks(course: Course) -> None:
    course.say("G3: against the SDKs")
    rows: list[tuple[str, ...]] = []
    try:
        python = peers.prepare_python(install=not course.quick)
        for kind in SDKS:
            rows += _sdk(course, python, kind)
    except Missing as missing:
        for key in (*SDKS, "sendgrid_plain", "apprise"):
            if f"G3.{key}" not in course.findings.readings:
                course.findings.missing[f"G3.{key}"] = str(missing)
        rows.append((f"not measured: {missing}", *[""] * (len(COLUMNS) - 1)))
    note = "All over TLS unless said; each group took turns. Apprise runs in one gunicorn worker."
    course.findings.tables.append(Table("Against the official SDKs", COLUMNS, rows, note))


def _sdk(course: Course, python: str, kind: str) -> list[tuple[str, ...]]:
    mail, sms = ("sendgrid", "twilio") if kind in ("sendgrid", "twilio") else ("ses", "sns")
    environ = course.certificates.environ()
    started: dict[str, Any] = {}
    with stopping(started):
        started[OURS] = course.simple(mail, sms)
        for name, command in _rivals(course, python, kind).items():
            started[name] = Peer(command, environ)
        runs = course.rounds(
            course.pick(3, 1),
            {name: _job(course, target, SDKS[kind]) for name, target in started.items()},
        )
    _judge(course, kind, runs)
    return [row(f"{kind}: {name}", found) for name, found in runs.items()]


def _rivals(course: Course, python: str, kind: str) -> dict[str, list[str]]:
    """The commands of the servers that send by the SDK of this kind."""
    url = f"https://127.0.0.1:{course.ports['tls']}"
    plain = f"http://127.0.0.1:{course.ports['plain']}"
    rivals = {THREADS: [python, "sdk_threads.py", kind, url]}
    if kind == "sendgrid":
        rivals[PLAIN] = [python, "sdk_threads.py", kind, plain]
        rivals["Apprise"] = [python, "apprise_app.py", url]
    return rivals


def _judge(course: Course, kind: str, runs: Mapping[str, list[Run]]) -> None:
    readings, ours = course.findings.readings, rates(runs[OURS])
    readings[f"G3.{kind}"] = Reading.of(ratios(ours, rates(runs[THREADS])), NOTES.get(kind, ""))
    if kind == "sendgrid":
        readings["G3.sendgrid_plain"] = Reading.of(ratios(ours, rates(runs[PLAIN])))
        readings["G3.apprise"] = Reading.of(ratios(ours, rates(runs["Apprise"])))
