"""The tables: their columns, an index for every look-up, and the way from an older version."""

import contextlib
import sqlite3

import pytest

from sidecar.store import schema, tables


@pytest.fixture
def db(tmp_path):
    path = tmp_path / "deliveries.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def test_the_rows_have_the_columns_of_the_tables(db):
    schema.migrate(db)
    for table, row in [("deliveries", tables.DeliveryRow), ("attempts", tables.AttemptRow)]:
        columns = tuple(name for _, name, *_ in db.execute(f"PRAGMA table_info({table})"))
        assert columns == row._fields


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (tables._BY_KEY, "deliveries_by_key"),
        (tables._BY_ID, "sqlite_autoindex_deliveries"),
        (tables._PENDING, "deliveries_pending"),
        (tables._OLD, "deliveries_by_age"),
        (tables._ATTEMPTS, "PRIMARY KEY"),
    ],
)
def test_every_look_up_has_its_index(db, statement, index):
    schema.migrate(db)
    nothing = [None] * statement.count("?")
    plan = [row[-1] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", nothing)]
    assert len(plan) == 1
    assert index in plan[0]


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
