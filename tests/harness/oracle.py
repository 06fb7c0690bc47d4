"""What must stay true whatever breaks: invariants over answers, the providers' ledger and the rows.

Each rule gives its breaches as sentences; none means that it holds. They judge any run: one send
of one test, or the whole of a stress run once nothing is under way any more.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.process import Answer, Sidecar

ANSWER_MARGIN = 0.25
"""Seconds past its deadline at which a send must be answered."""
BUSY_MACHINE = 1.0
"""Seconds more that a loaded machine may take; a bound that is not kept is missed by more."""
MAYBE_SENT = {"accepted", "unknown", "crashed"}
SURELY_NOT_SENT = {"refused", "throttled", "unavailable", "misconfigured", "local", "skipped"}
FAILURES = {"unavailable", "unknown", "misconfigured", "crashed"}
"""What a circuit may open for."""
TERMINAL = {"accepted", "unknown", "rejected", "failed", "expired", "unavailable", "overloaded"}
DEADLINE = 10.0

Record = Mapping[str, Any]
Breaches = Iterator[str]


@dataclass(frozen=True, slots=True)
class Sent:
    """One request and its answer, None where there was none. Durations in seconds.

    The text must be this key's own (or this request's, without a key): the ledger is searched by
    it.
    """

    text: str
    answer: Answer | None
    seconds: float
    key: str | None = None
    deadline: float = DEADLINE

    @property
    def sha256(self) -> str:
        return sha256(self.text.encode()).hexdigest()

    @property
    def document(self) -> dict[str, Any]:
        """The delivery in the answer; empty where it has none."""
        found = self.answer.json if self.answer is not None else {}
        return found if isinstance(found, dict) and "attempts" in found else {}


def sent_twice(sents: Iterable[Sent], ledger: Sequence[Record], extra: int = 1) -> Breaches:
    """I1: for one key the providers accept once, and `extra` times more after an unknown.

    `extra` is 1 with `on_unknown: failover` and 0 with `stop`. Where an answer arrived, it says
    that there may be two.
    """
    taken = Counter(record["sha256"] for record in ledger)
    asked: dict[str, list[Sent]] = defaultdict(list)
    for sent in sents:
        asked[sent.key or sent.sha256].append(sent)
    for key, group in asked.items():
        if len({sent.sha256 for sent in group}) > 1:
            yield f"{key} was asked with several texts; they cannot be told apart here"
        count = taken[group[0].sha256]
        if count > 1 + extra:
            yield f"{key} was accepted {count} times"
        told = [sent.document["duplicate_possible"] for sent in group if sent.document]
        if count > 1 and told and not any(told):
            yield f"{key} was accepted {count} times, and no answer says so"
    known = {group[0].sha256 for group in asked.values()}
    for text in set(taken) - known:
        yield f"{taken[text]} acceptances of a text that nobody asked for"


def unbacked(sents: Iterable[Sent], ledger: Sequence[Record]) -> Breaches:
    """I2: a success names an acceptance of this text by that provider."""
    held = {(record["provider"], record["id"], record["sha256"]) for record in ledger}
    for sent in sents:
        said = sent.document
        if sent.answer is None or sent.answer.status != 200:
            continue
        id_ = said["provider_message_id"]
        if (said["provider"], id_, sent.sha256) not in held:
            yield f"{said['id']} was accepted by {said['provider']} as {id_}; its ledger lacks that"


def unended(database: Path) -> Breaches:
    """I3: every delivery and every attempt has its end, and belongs together."""
    deliveries, attempts = rows(database)
    numbers = {row["number"] for row in deliveries}
    for row in deliveries:
        if row["status"] not in TERMINAL or row["ended_at"] is None:
            yield f"delivery {row['id']} is {row['status']}"
    for row in attempts:
        if row["outcome"] not in MAYBE_SENT | SURELY_NOT_SENT | {"rejected"}:
            yield f"attempt {row['seq']} of delivery {row['delivery']} is {row['outcome']}"
        if row["delivery"] not in numbers:
            yield f"attempt {row['seq']} belongs to delivery {row['delivery']}, which is not there"


def unlogged(sents: Iterable[Sent], database: Path) -> Breaches:
    """I3: what an answer said last is what the rows say: status and attempts."""
    deliveries, attempts = rows(database)
    by_id = {row["id"]: row for row in deliveries}
    trails: dict[tuple[int, int], list[tuple[str, str]]] = defaultdict(list)
    for row in attempts:
        trails[row["delivery"], row["run"]].append((row["provider"], row["outcome"]))
    last = {sent.document["id"]: sent for sent in sents if sent.document}
    for id_, sent in last.items():
        row, said = by_id.get(id_), sent.document
        if row is None:
            yield f"{id_} has no row"
            continue
        # In a problem document `status` is HTTP's.
        status = said.get("outcome", said["status"])
        if row["status"] != status:
            yield f"{id_} was answered {status}, and its row says {row['status']}"
        trail = [(a["provider"], a["outcome"]) for a in said["attempts"]]
        logged = trails[row["number"], row["run"]]
        if trail != logged:
            yield f"{id_} was answered {trail}, and its rows say {logged}"


def gave_up(sents: Iterable[Sent], chain: Sequence[str]) -> Breaches:
    """I5: what surely was not sent goes on to the next provider of `chain`, while time remains."""
    for sent in sents:
        trail = sent.document.get("attempts", [])
        if not trail or trail[-1]["outcome"] not in SURELY_NOT_SENT:
            continue
        left = [name for name in chain if name not in {a["provider"] for a in trail}]
        if left:
            yield f"{sent.document['id']} ended {trail[-1]['outcome']} before {left}"


def opened_for_nothing(sidecar: Sidecar, database: Path) -> Breaches:
    """I6: no circuit opens for a rejected recipient, a 429, or a fault of our own."""
    _, attempts = rows(database)
    failed = {row["provider"] for row in attempts if row["outcome"] in FAILURES}
    for event in sidecar.events("circuit"):
        if event["after"] == "open" and event["provider"] not in failed:
            yield f"the circuit of {event['provider']} opened: {event['reason']}"


def late(sents: Iterable[Sent], slack: float = BUSY_MACHINE) -> Breaches:
    """I8: no answer later than its deadline and 250 ms."""
    for sent in sents:
        if sent.answer is not None and sent.seconds > sent.deadline + ANSWER_MARGIN + slack:
            yield f"an answer took {sent.seconds:.2f} s; its deadline was {sent.deadline:.2f} s"


def followed(counts: Mapping[str, Mapping[str, int]]) -> Breaches:
    """I12: no redirect leads us to a host that nobody configured."""
    for name, counted in counts.items():
        if counted["redirects_followed"]:
            yield f"{counted['redirects_followed']} redirects of {name} were followed"


def crashed(sents: Iterable[Sent]) -> Breaches:
    """I16: no 500."""
    for sent in sents:
        if sent.answer is not None and sent.answer.status == 500:
            yield f"an answer was 500: {sent.answer}"


def wrong_gauges(sidecar: Sidecar) -> Breaches:
    """I17: a circuit's gauge is its state. Ask while no circuit is about to change by itself."""
    page = sidecar.call("GET", "/metrics").body.decode()
    chains = sidecar.call("GET", "/health").json["chains"].values()
    for provider in (one for chain in chains for one in chain["providers"]):
        name, state = provider["name"], provider["circuit"]["state"]
        gauge = f'otp_breaker_state{{provider="{name}",state="{state}"}} 1.0'
        if gauge not in page.splitlines():
            yield f"{name} is {state}, and no gauge says so"


def misbooked(books: Mapping[str, Decimal], ledger: Sequence[Record], database: Path) -> Breaches:
    """The books are the sum of the log, to the cent, and nothing that was taken is missing."""
    with closing(sqlite3.connect(database)) as log:
        tried = log.execute(
            "SELECT provider, outcome, cost_amount FROM attempts WHERE outcome <> 'skipped'"
        ).fetchall()
    taken = Counter(one["provider"] for one in ledger)
    for name, booked in books.items():
        ours = [(outcome, Decimal(amount)) for who, outcome, amount in tried if who == name]
        bill = sum(amount for _, amount in ours)
        accepted = sum(outcome == "accepted" for outcome, _ in ours)
        billed = sum(amount > 0 for _, amount in ours)
        if booked != bill:
            yield f"books: {name} has cost {bill} by its rows, and {booked} by the books"
        if not accepted <= taken[name] <= billed:
            yield f"books: {name} took {taken[name]}, {accepted} accepted and {billed} billed"


def rows(database: Path) -> tuple[list[Record], list[Record]]:
    """The rows of deliveries and of attempts, in the order in which they were made."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as log:
        log.row_factory = sqlite3.Row
        deliveries = log.execute("SELECT * FROM deliveries ORDER BY number").fetchall()
        attempts = log.execute("SELECT * FROM attempts ORDER BY delivery, run, seq").fetchall()
    return [dict(row) for row in deliveries], [dict(row) for row in attempts]
