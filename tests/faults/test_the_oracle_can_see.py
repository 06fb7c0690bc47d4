"""Each rule of the oracle is shown a breach, and must find it: a check that cannot fail is none."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest

from harness import oracle
from harness.oracle import Sent
from harness.process import Answer
from sidecar.store.schema import migrate

TRAIL = [
    {"provider": "one", "outcome": "unavailable"},
    {"provider": "two", "outcome": "accepted"},
]
DOCUMENT = {
    "id": "m-1",
    "status": "accepted",
    "provider": "two",
    "provider_message_id": "SM1",
    "attempts": TRAIL,
    "duplicate_possible": False,
}
ROW = "INSERT INTO deliveries VALUES (1, 'm-1', 1, ?, 'sms', 'otp', '', '', NULL, '', 1, 0.0, ?, "


def answer(status=200, **changes):
    return Answer(status, {}, json.dumps({**DOCUMENT, **changes}).encode())


GOOD = Sent("Your code is 1", answer(), 0.1, key="k-1")
RECORD = {"provider": "two", "id": "SM1", "sha256": GOOD.sha256}


@pytest.fixture
def log(tmp_path):
    """Make a database with one delivery of a status and attempts of these outcomes."""

    def make(status="accepted", ended_at=1.0, outcomes=("unavailable", "accepted")):
        path = tmp_path / "log.db"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as db, db:
            migrate(db)
            trail = [[n, "", o, 0.0, 0.0] for n, o in zip(("one", "two"), outcomes, strict=False)]
            db.execute(ROW + "NULL, NULL, 1, ?, 0)", (status, ended_at, json.dumps(trail)))
        return path

    return make


def test_what_is_right_is_no_breach(log):
    sidecar = SimpleNamespace(events=lambda _: [{"provider": "one", "after": "open"}])
    path = log()
    assert [
        *oracle.sent_twice([GOOD, GOOD], [RECORD]),
        *oracle.unbacked([GOOD], [RECORD]),
        *oracle.unended(path),
        *oracle.unlogged([GOOD], path),
        *oracle.gave_up([GOOD], ["one", "two", "three"]),
        *oracle.opened_for_nothing(sidecar, path),
        *oracle.late([GOOD]),
        *oracle.followed({"one": {"redirects_followed": 0}}),
        *oracle.crashed([GOOD]),
    ] == []


def test_a_second_acceptance_is_one_too_many_unless_it_was_announced():
    announced = replace(GOOD, answer=answer(duplicate_possible=True))
    assert list(oracle.sent_twice([announced], [RECORD] * 2)) == []
    assert list(oracle.sent_twice([announced], [RECORD] * 3)) != []
    assert list(oracle.sent_twice([announced], [RECORD] * 2, extra=0)) != []
    assert list(oracle.sent_twice([GOOD], [RECORD] * 2)) != []
    assert list(oracle.sent_twice([replace(GOOD, answer=None)], [RECORD] * 2)) == []


def test_a_text_of_nobody_and_a_key_with_two_texts_are_found():
    assert list(oracle.sent_twice([], [RECORD])) != []
    assert list(oracle.sent_twice([GOOD, replace(GOOD, text="another")], [])) != []


@pytest.mark.parametrize("change", [{"id": "SM2"}, {"provider": "one"}, {"sha256": "0"}])
def test_a_success_without_its_record_is_found(change):
    assert list(oracle.unbacked([GOOD], [{**RECORD, **change}])) != []


@pytest.mark.parametrize(
    "change", [{"status": "pending"}, {"ended_at": None}, {"outcomes": ["unavailable", "sending"]}]
)
def test_a_row_without_an_end_is_found(log, change):
    assert list(oracle.unended(log(**change))) != []


@pytest.mark.parametrize(
    "change", [{"status": "unknown"}, {"outcomes": ["unavailable"]}, {"outcomes": ["accepted"]}]
)
def test_rows_that_say_something_else_are_found(log, change):
    assert list(oracle.unlogged([GOOD], log(**change))) != []


def test_an_answer_without_a_row_is_found(log):
    assert list(oracle.unlogged([replace(GOOD, answer=answer(id="m-2"))], log())) != []


def test_a_chain_that_ended_early_is_found():
    stopped = replace(GOOD, answer=answer(502, attempts=TRAIL[:1]))
    assert list(oracle.gave_up([stopped], ["one", "two"])) != []
    assert list(oracle.gave_up([stopped], ["one"])) == []


@pytest.mark.parametrize("outcome", ["rejected", "throttled", "local", "refused"])
def test_a_circuit_that_opened_for_a_neutral_outcome_is_found(log, outcome):
    opened = {"provider": "one", "after": "open", "reason": "?"}
    sidecar = SimpleNamespace(events=lambda _: [opened])
    assert list(oracle.opened_for_nothing(sidecar, log(outcomes=[outcome]))) != []


def test_a_late_answer_a_500_and_a_followed_redirect_are_found():
    assert list(oracle.late([replace(GOOD, seconds=11.3)])) != []
    assert list(oracle.crashed([replace(GOOD, answer=answer(500))])) != []
    assert list(oracle.followed({"one": {"redirects_followed": 1}})) != []


def test_a_gauge_that_is_behind_is_found():
    health = {"chains": {"sms": {"providers": [{"name": "one", "circuit": {"state": "open"}}]}}}

    def say(state):
        page = f'otp_breaker_state{{provider="one",state="{state}"}} 1.0\n'.encode()
        bodies = {"/metrics": page, "/health": json.dumps(health).encode()}
        return SimpleNamespace(call=lambda _, path: Answer(200, {}, bodies[path]))

    assert list(oracle.wrong_gauges(say("open"))) == []
    assert list(oracle.wrong_gauges(say("closed"))) != []


@pytest.mark.parametrize(
    ("booked", "taken", "right"),
    [
        ("0.02", 1, True),
        ("0.02", 2, True),
        ("0.03", 1, False),
        ("0.02", 0, False),
        ("0.02", 3, False),
    ],
)
def test_books_that_are_not_the_bill_are_found(tmp_path, booked, taken, right):
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE attempts (provider, outcome, cost_amount)")
        rows = [("two", "accepted", "0.01"), ("two", "unknown", "0.01"), ("two", "refused", "0")]
        db.executemany("INSERT INTO attempts VALUES (?, ?, ?)", rows)
        db.commit()
    breaches = list(oracle.misbooked({"two": Decimal(booked)}, [RECORD] * taken, path))
    assert (breaches == []) == right
