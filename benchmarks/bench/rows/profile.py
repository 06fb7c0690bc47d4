"""Where the time of a send goes, at 64 in flight: the profile behind every figure of speed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from operator import sub

from bench.course import Course, Table
from bench.processes import cpu_seconds, thread_seconds
from bench.report import number
from bench.sampled import TLS

C = 64
PATIENCE = 30.0
"""Seconds until the samples must be written."""
PARTS = {
    "api": "the front: a request read, checked and answered, its socket included",
    "delivery": "chain, breaker, attempt, and what a provider says looked at",
    "money": "prices and budgets",
    "dispatcher.py": "dispatcher: claims, journal, turns",
    "entries.py": "dispatcher: claims, journal, turns",
    "journal.py": "dispatcher: claims, journal, turns",
    "crash.py": "dispatcher: claims, journal, turns",
    "store": "the log's side on the event loop",
    "wire": "the HTTP client: pool, request and reply, its socket included",
    "transport.py": "the HTTP client: pool, request and reply, its socket included",
    TLS: "TLS: reads, writes and decrypts",
    "plugin": "the provider: body, signature, answer",
}
OTHER = "telling: canonical line, metrics, alerts, observers; and the rest"
THREAD = "the log's thread, and the one of checkpoints"


def measure(course: Course) -> None:
    course.say("profile: where the time of a send goes")
    out = course.home / "samples.json"
    with course.simple(program=("bench.sampled", str(out))) as sidecar:
        course.run(sidecar, connections=C, **course.span(1.0))
        before = _spent(sidecar.pid)
        os.kill(sidecar.pid, signal.SIGUSR2)
        run = course.run(sidecar, connections=C, **course.span(8.0, warm=0.5))
        os.kill(sidecar.pid, signal.SIGUSR2)
        until = time.monotonic() + PATIENCE
        while not out.exists() and time.monotonic() < until:
            time.sleep(0.01)
        whole, threads = map(sub, _spent(sidecar.pid), before)
    samples = json.loads(out.read_text())
    found = shares(samples, threads / (whole or 1))
    if missing := set() if course.quick else {PARTS["api"], PARTS["delivery"]} - found.keys():
        raise SystemExit(f"the profile has no sample of: {missing}")
    rows = [
        (part, f"{share:.0%}", number(share * run.cpu * 1e6))
        for part, share in sorted(found.items(), key=lambda one: -one[1])
    ]
    note = (
        f"SES over TLS, 64 callers, {sum(samples.values()):,} samples. What C does counts for"
        " whoever called it, and what the event loop does for whom it calls next: a read from a"
        " socket for the part that is given the bytes."
    )
    columns = ("part", "share", "CPU us a send")
    course.findings.tables.append(Table("Where the time goes", columns, rows, note))


def shares(samples: Mapping[str, int], threads: float) -> dict[str, float]:
    """The share of each part in all; `threads` is that of the others than the event loop's.

    Their time is sampled too, and counts for whatever the event loop does next: so each part has
    its share in the rest.
    """
    found: Counter[str] = Counter()
    for file, count in samples.items():
        found[_part(file)] += count
    each = (1.0 - threads) / (found.total() or 1)
    return {THREAD: threads, **{part: count * each for part, count in found.items()}}


def _part(file: str) -> str:
    if file.startswith("sidecar_"):
        return PARTS["plugin"]
    return PARTS.get(file.removeprefix("sidecar/").partition("/")[0], OTHER)


def _spent(pid: int) -> tuple[float, float]:
    """CPU seconds of the process, and of its threads but the event loop's."""
    return cpu_seconds([pid]), thread_seconds(pid)
