"""The invariants over a whole soak. Each gives its breaches as sentences; none: it holds."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import oracle
from harness.leaks import Scan
from harness.storm import denied, odd
from sidecar.store import costed
from soak.service import DRAIN, ON_UNKNOWN, SMTP_POOL, Service, Usage, Version
from soak.traffic import Heard, Lag

Records = Sequence[Mapping[str, Any]]
RSS_SLACK = 8.0
"""MiB, besides the 5 %: the allocator keeps arenas that a burst of large replies has opened."""
FEW = 2
"""Descriptors, threads, tasks, besides the 5 % of some forty: one is begun as they are counted."""
STOP_MARGIN = 2.0
AN_AGE = 60.0
"""Seconds after which a version that was replaced is no longer one of a request's."""
OPENED_BY = 3.0
"""Seconds around the opening of a circuit in which an attempt failed: a timeout, and a busy log."""


def twice(heard: Sequence[Heard], ledger: Records) -> Iterator[str]:
    """I1, and that nothing is called surely not sent that was."""
    asked: dict[str, list[Heard]] = defaultdict(list)
    for one in heard:
        asked[one.channel].append(one)
    hashes = {one.sha256: one.channel for one in heard}
    for channel, policy in ON_UNKNOWN.items():
        taken = [one for one in ledger if hashes.get(one["sha256"], channel) == channel]
        yield from oracle.sent_twice(asked[channel], taken, extra=int(policy == "failover"))
    yield from denied(heard, ledger)


def leaked(
    heard: Sequence[Heard], said: Sequence[tuple[str, bytes]], files: Sequence[Path]
) -> Iterator[str]:
    """I4: no canary in an answer, a page, what was printed, or a row."""
    scan = Scan()
    for one in heard:
        if one.answer is not None:
            whole = repr(one.answer.headers).encode() + one.answer.body
            yield from (f"an answer to a send: {found}" for found in scan.find(whole))
    for name, data in said:
        yield from (f"{name}: {found}" for found in scan.find(data))
    for path in files:
        yield from (f"{path.name}: {found}" for found in scan.find_in(path))


def gave_up(heard: Sequence[Heard], versions: Sequence[Version]) -> Iterator[str]:
    """I5: no failure that surely was not sent ended a chain before its last provider."""
    for one, names in _walks(heard):
        trail = one.document["attempts"]
        if trail[-1]["outcome"] not in oracle.SURELY_NOT_SENT:
            continue
        if not any(len(names) >= len(chain) for chain in _chains(one, versions)):
            yield f"{one.document['id']} ended {trail[-1]['outcome']} after {names}"


def foreign_order(heard: Sequence[Heard], versions: Sequence[Version]) -> Iterator[str]:
    """I14: each walk is the beginning of one version's chain, but for a panic probe at its end."""
    for one, names in _walks(heard):
        chains = _chains(one, versions)
        if not any(_is_walk(names, list(chain)) for chain in chains):
            yield f"{one.document['id']} walked {names}; there were {chains}"


def _is_walk(names: list[str], chain: list[str]) -> bool:
    return names == chain[: len(names)] or (names[:-1] == chain and names[-1] in chain)


def _walks(heard: Sequence[Heard]) -> Iterator[tuple[Heard, list[str]]]:
    for one in heard:
        attempts = one.document.get("attempts")
        if attempts and not one.document["replayed"]:
            yield one, [attempt["provider"] for attempt in attempts]


def _chains(one: Heard, versions: Sequence[Version]) -> list[Sequence[str]]:
    ended = one.began + one.seconds
    begun = versions[: bisect_right(versions, ended, key=lambda v: v.since)]  # in their order
    found: list[Sequence[str]] = []
    for version in reversed(begun):
        if version.until >= one.began:
            found.append(version.chains[one.channel])
        elif version.until < one.began - AN_AGE:
            break
    return found


def opened_for_nothing(service: Service) -> Iterator[str]:
    """I6: where a circuit opened, an attempt of its provider had failed at that moment."""
    _, attempts = oracle.rows(service.database)
    failed: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in attempts:
        if row["outcome"] in oracle.FAILURES:
            failed[row["provider"]].append(
                (row["started_at"], row["started_at"] + (row["seconds"] or 0.0))
            )
    for line in events(service, "circuit"):
        if line["after"] != "open":
            continue
        at = datetime.fromisoformat(line["ts"]).timestamp()
        spans = failed[line["provider"]]
        if not any(began - 0.5 <= at <= ended + OPENED_BY for began, ended in spans):
            yield f"{line['provider']} opened at {line['ts']}: {line['reason']}"


def disturbed(heard: Sequence[Heard], first: str) -> Iterator[str]:
    """I10: while another chain is out, the first provider of this one takes each message.

    A second caller of a key that is under way gets 409.
    """
    for one in heard:
        if one.hung_up or (one.answer is not None and one.answer.status == 409):
            continue
        if one.document.get("replayed"):
            continue
        if one.answer is None or one.answer.status != 200 or one.document["provider"] != first:
            yield f"another chain was out, and this one had {one.answer}"


def late(heard: Sequence[Heard]) -> Iterator[str]:
    """I8. What the machine took from both processes meanwhile is allowed for each answer."""
    for one in heard:
        for breach in oracle.late([one], slack=oracle.BUSY_MACHINE + one.lag):
            said = one.answer and one.answer.status
            yield f"{breach} The status was {said}; the machine took {one.lag:.2f} s"


def stalled(service: Service, lags: Sequence[float], lag: Lag) -> Iterator[str]:
    """I9: the loop is late by 100 ms at most, besides what the machine takes from it."""
    taken = 2 * lag.longest + lag.starved
    worst = max(lags, default=0.0)
    if worst > 0.1 + taken:
        yield f"the loop was late by {worst:.3f} s; the machine took {taken:.3f} s"
    for line in events(service, "loop_blocked"):
        if line["seconds"] > 0.25 + taken:
            yield f"the loop was blocked: {line}"


def grew(baseline: Usage | None, after: Usage, smtp: int, strangers: int) -> Iterator[str]:
    """I11, in one life of the process: `smtp` are its kept sessions, `strangers` its HTTP ones."""
    if baseline is None:
        yield "there is no baseline"
        return
    if after.descriptors > baseline.descriptors * 1.05 + FEW:
        yield f"descriptors: {baseline.descriptors} at first, {after.descriptors} at last"
    if after.threads > baseline.threads * 1.05 + FEW:
        yield f"threads: {baseline.threads} at first, {after.threads} at last"
    if after.tasks > baseline.tasks * 1.05 + FEW:
        yield f"tasks: {baseline.tasks} at first, {after.tasks} at last"
    if after.rss > baseline.rss * 1.05 + RSS_SLACK:
        yield f"RSS: {baseline.rss:.1f} MiB at first, {after.rss:.1f} MiB at last"
    if smtp > SMTP_POOL:
        yield f"{smtp} SMTP sessions are kept; the pool is {SMTP_POOL}"
    if strangers:
        yield f"{strangers} HTTP connections are open long after the last send"


def ended_badly(service: Service) -> Iterator[str]:
    """I13: SIGTERM ends in 0 within the drain and 2 s, and stderr never has a traceback."""
    for code, seconds in service.exits:
        if code != 0:
            yield f"SIGTERM ended in {code}"
        if seconds > DRAIN + STOP_MARGIN + oracle.BUSY_MACHINE:
            yield f"SIGTERM took {seconds:.1f} s"
    errors = service.life.errors.read_text()
    if "Traceback" in errors:
        yield f"a traceback on stderr: {errors[-1500:]}"


def crashed(heard: Sequence[Heard], said: Sequence[tuple[str, bytes]]) -> Iterator[str]:
    """I16: no 500, and no status that the contract has not."""
    yield from oracle.crashed(heard)
    yield from odd(heard)
    for name, data in said:
        if data.startswith(b"HTTP/1.1 5"):
            yield f"{name} was answered {data[:200]!r}"


def events(service: Service, name: str) -> list[dict[str, Any]]:
    return [line for life in service.lives for line in life.events(name)]


def misbooked(service: Service, ledger: Records) -> Iterator[str]:
    """What was taken is billed, and nothing is counted as accepted that nobody took.

    Rows may have been pruned, where the wall clock jumped; the sums of their days stay.
    """
    with closing(sqlite3.connect(service.database)) as log:
        booked = costed.costs(log, "")
    taken = Counter(one["provider"] for one in ledger)
    for name in taken.keys() | {one.provider for one in booked}:
        ours = [one for one in booked if one.provider == name]
        accepted = sum(one.accepted for one in ours)
        billed = sum(one.billed for one in ours)
        if not accepted <= taken[name] <= billed:
            yield f"{name} took {taken[name]}: {accepted} accepted and {billed} billed by the books"
