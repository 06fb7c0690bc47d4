"""The tables: their columns, an index for every look-up, and the way from an older version."""

import contextlib
import sqlite3
from decimal import Decimal

import pytest

from sidecar.delivery.model import Attempt, Money, Outcome, Status
from sidecar.store import schema, statements, tables, trail
from sidecar.store.groups import SIZES, places
from sidecar.store.recovery import under_way


@pytest.fixture
def db(tmp_path):
    path = tmp_path / "deliveries.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def test_the_row_has_the_columns_of_the_table(db):
    schema.migrate(db)
    columns = tuple(name for _, name, *_ in db.execute("PRAGMA table_info(deliveries)"))
    assert columns == tables.DeliveryRow._fields


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (statements.BY_KEY, "deliveries_by_key"),
        (statements.BY_ID, "sqlite_autoindex_deliveries"),
        (statements.PENDING, "deliveries_pending"),
        (statements.OLD, "deliveries_by_age"),
        (statements.SENDING_ONE, "sqlite_autoindex_deliveries"),
        (statements.END_ONE, "sqlite_autoindex_deliveries"),
        (statements.SENDING, "sqlite_autoindex_deliveries"),
        (statements.END, "sqlite_autoindex_deliveries"),
        (statements.NEW_CLAIMS_UNDER_KEYS, "deliveries_by_key"),
    ],
)
@pytest.mark.parametrize("rows", SIZES)
def test_every_look_up_has_its_index(db, statement, index, rows):
    schema.migrate(db)
    statement = statement.format(", ".join([places(11)] * rows))
    nothing = [None] * statement.count("?")
    plan = [row[-1] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", nothing)]
    (look_up,) = (step for step in plan if "deliveries" in step)
    assert index in look_up


def in_one_transaction(db, migrations):
    db.execute("BEGIN IMMEDIATE")
    try:
        schema.migrate(db, migrations)
    except sqlite3.Error:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


FIRST = ["CREATE TABLE one (x)", "INSERT INTO one VALUES (1)"]
SECOND = ["ALTER TABLE one ADD COLUMN y", "UPDATE one SET y = x + 1"]


def test_an_older_schema_takes_only_the_steps_it_lacks(db):
    in_one_transaction(db, [FIRST])
    assert schema.version_of(db, newest=2) == 1
    for _ in range(2):
        in_one_transaction(db, [FIRST, SECOND])
        assert db.execute("SELECT * FROM one").fetchall() == [(1, 2)]
        assert schema.version_of(db, newest=2) == 2


def test_a_migration_that_fails_leaves_the_file_as_it_was(db):
    in_one_transaction(db, [FIRST])
    with pytest.raises(sqlite3.OperationalError):
        in_one_transaction(db, [FIRST, [*SECOND, "no such statement"]])
    assert db.execute("SELECT * FROM one").fetchall() == [(1,)]
    assert schema.version_of(db, newest=2) == 1


# Version 1 kept every attempt in a row of its own

ENDED = Attempt(
    "sns",
    "sns",
    Outcome.UNAVAILABLE,
    1_700_000_000.25,
    0.125,
    "the vendor answered 503",
    "503",
    "SM1",
    simulated=True,
    cost=Money(Decimal("0.00750"), "USD"),
    circuit="closed 1/5",
)
SHOWN = (
    "sns",
    "sns",
    "unavailable",
    1_700_000_000.25,
    0.125,
    "the vendor answered 503",
    "503",
    "SM1",
    1,
    "0.00750",
    "USD",
    "closed 1/5",
)
UNDER_WAY = ("ses", "ses", "sending", 1_700_000_001.5, 0.0, *[None] * 3, 0, *[None] * 3)
SHOWN_ROWS = [
    (1, 1, 0, *SHOWN),
    (1, 2, 0, *SHOWN),
    (1, 2, 1, *UNDER_WAY),
    (2, 1, 0, *UNDER_WAY),
]


def deliveries_of(db, *rows):
    for number, run in rows:
        db.execute(
            "INSERT INTO deliveries (number, id, run, status, channel, purpose, recipient,"
            " recipient_hash, body_hash, started_at, logged)"
            " VALUES (?, ?, ?, 'pending', 'sms', 'otp', '', '', '', 1.5, 1)",
            (number, f"d-{number}", run),
        )


def test_a_log_of_version_1_keeps_every_attempt(db):
    in_one_transaction(db, schema.MIGRATIONS[:1])
    deliveries_of(db, (1, 2), (2, 1), (3, 1))
    placeholders = ", ".join("?" * 15)
    db.executemany(f"INSERT INTO attempts VALUES ({placeholders})", reversed(SHOWN_ROWS))
    in_one_transaction(db, schema.MIGRATIONS)
    shown = db.execute("SELECT * FROM attempts ORDER BY delivery, run, seq").fetchall()
    assert shown == [(*row, 0) for row in SHOWN_ROWS]
    texts = dict(db.execute("SELECT number, attempts FROM deliveries"))
    cut_off = under_way("ses", "ses", 1_700_000_001.5)
    assert trail.read(texts[1]) == ((ENDED,), cut_off)
    assert trail.read(texts[2]) == ((), cut_off)
    assert trail.read(texts[3]) == ((), None)
    assert db.execute("SELECT delivery, run FROM earlier_runs").fetchall() == [(1, 1)]


def test_the_view_shows_what_is_written(db):
    schema.migrate(db)
    deliveries_of(db, (1, 1))
    text = trail.written((ENDED,), under_way("ses", "ses", 1_700_000_001.5))
    db.execute("UPDATE deliveries SET attempts = ?", (text,))
    shown = db.execute("SELECT * FROM attempts ORDER BY seq").fetchall()
    assert shown == [(1, 1, 0, *SHOWN, 0), (1, 1, 1, *UNDER_WAY, 0)]


def test_a_run_that_is_run_again_keeps_its_attempts(db, claim_of, ended, down):
    schema.migrate(db)
    claim = claim_of()
    (first,) = tables.claim(db, [tables.Wanted(claim, 60.0)])
    tables.finish(db, [tables.Ended(first, ended(claim, Status.FAILED, down))])
    ahead = (under_way("ses", "ses", 1.5),)
    (again,) = tables.claim(db, [tables.Wanted(claim, 60.0, ahead)])
    assert again.run == 2
    shown = db.execute("SELECT run, provider, outcome FROM attempts ORDER BY run").fetchall()
    assert shown == [(1, "sns", "unavailable"), (2, "ses", "sending")]
    tables.finish(db, [tables.Ended(again, ended(claim, Status.ACCEPTED))])
    assert tables.prune(db, claim.at + 1, 10) == 1
    assert db.execute("SELECT count(*) FROM attempts").fetchone() == (0,)
