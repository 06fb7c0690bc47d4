"""G8 and G9: the providers in process, against a raw POST and against `aiosmtplib.send()`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import peers
from bench.course import Course, Table
from bench.peers import Missing
from bench.processes import cores, end, read_line, spawn
from bench.report import told
from bench.stats import Reading, ratios

SCRIPT = Path(__file__).parents[1] / "inside.py"
KINDS = ("ses", "twilio", "sendgrid")


def inside(course: Course, *arguments: str, patience: float = 300.0) -> Any:
    """What `bench.inside` answers, run by the tree's own Python on the sidecar's core."""
    environ = course.tree.environ(HOME=str(course.home), **course.certificates.environ())
    process = spawn([course.tree.python, "-P", str(SCRIPT), *arguments], cores()[0], environ)
    try:
        return json.loads(read_line(process, patience))
    finally:
        end(process)


def measure(course: Course) -> None:
    course.stub.ask(delay=0.0)
    _posts(course)
    _mails(course)
    _alone(course)
    course.stub.ask(drain=str(course.home / "ledger"))


def _posts(course: Course) -> None:
    course.say("G8: the providers' own clients")
    rows = []
    url = f"https://127.0.0.1:{course.ports['tls']}"
    for kind in KINDS:
        rounds, sends = course.pick((7, 1500), (1, 64))
        found = inside(course, "client", kind, url, str(rounds), str(sends))
        ours, raw = (Reading.of([v * 1e6 for v in found[name]]) for name in ("send", "post"))
        course.findings.readings[f"G8.{kind}"] = Reading.of(ratios(ours.values, raw.values))
        if kind == "ses":
            course.findings.readings["post"] = raw
        rows.append((kind, told(ours), told(raw)))
    note = (
        "CPU us of the process a send, 64 in flight over TLS, in process. The raw POST sends the"
        " same body with fixed headers through `HttpTransport`."
    )
    columns = ("kind", "`send()`", "raw POST")
    course.findings.tables.append(Table("Clients", columns, rows, note))


def _mails(course: Course) -> None:
    course.say("G9: SMTP")
    rounds, mails = course.pick((5, 400), (1, 16))
    port, ca = str(course.ports["smtp"]), str(course.certificates.authority)
    found = inside(course, "smtp", port, ca, str(rounds), str(mails))
    kept, each = found["kept"], found["each"]
    course.findings.readings["G9"] = Reading.of(
        ratios(kept, each), "both in process with 8 at once; one TLS context is shared by both"
    )
    ways = {"kept": "`kind: smtp`, 8 kept sessions", "each": "`aiosmtplib.send()` per mail"}
    rows = [
        (name, told(Reading.of(found[way])), told(Reading.of(found[f"{way}_cpu"])))
        for way, name in ways.items()
    ]
    columns = ("client", "mails/s", "CPU us a mail")
    course.findings.tables.append(Table("SMTP", columns, rows))


def _alone(course: Course) -> None:
    course.say("the SDKs in process")
    title, columns = "The SDKs in process", ("SDK", "calls/s", "CPU us a call")
    try:
        python = peers.prepare_python(install=not course.quick)
    except Missing as missing:
        rows: list[Sequence[str]] = [(f"not measured: {missing}", "", "")]
        course.findings.tables.append(Table(title, columns, rows))
        return
    rows = []
    seconds = course.pick(3.0, 0.5)
    for kind in ("ses", "sns", "twilio", "sendgrid"):
        url = f"https://127.0.0.1:{course.ports['tls']}"
        done = subprocess.run(
            [python, "sdk_alone.py", kind, url, str(seconds)],
            cwd=peers.SOURCES,
            env={"PATH": os.environ["PATH"], **course.certificates.environ()},
            capture_output=True,
            text=True,
            check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {cores()[0]}),  # no threads
        )
        made, took, cpu = map(float, done.stdout.split())
        rows.append((kind, f"{made / took:,.0f}", f"{cpu / made * 1e6:,.0f}"))
    note = "One thread, one call after the other, over TLS, as an app without a server makes them."
    course.findings.tables.append(Table(title, columns, rows, note))
