"""The tables of the log, and how an older file gets to them: one step for every version.

No column holds a text or a code; `recipient` is masked, the hashes are keyed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sidecar.store import LogError

APPLICATION_ID = 0x4F54_5053  # "OTPS": what `PRAGMA application_id` says of a file of ours

_VERSION_1 = (
    """
    CREATE TABLE deliveries (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        run INTEGER NOT NULL,
        status TEXT NOT NULL,
        channel TEXT NOT NULL,
        purpose TEXT NOT NULL,
        recipient TEXT NOT NULL,
        recipient_hash TEXT NOT NULL,
        key_hash TEXT,
        body_hash TEXT NOT NULL,
        segments INTEGER,
        started_at REAL NOT NULL,
        ended_at REAL,
        reason TEXT,
        retry_after REAL,
        logged INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE attempts (
        delivery INTEGER NOT NULL,
        run INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        provider TEXT NOT NULL,
        kind TEXT NOT NULL,
        outcome TEXT NOT NULL,
        started_at REAL NOT NULL,
        seconds REAL NOT NULL,
        reason TEXT,
        provider_code TEXT,
        provider_message_id TEXT,
        simulated INTEGER NOT NULL,
        cost_amount TEXT,
        cost_currency TEXT,
        circuit TEXT,
        PRIMARY KEY (delivery, run, seq)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE INDEX deliveries_by_key ON deliveries (key_hash, started_at)
    WHERE key_hash IS NOT NULL
    """,
    "CREATE INDEX deliveries_by_age ON deliveries (started_at)",
    "CREATE INDEX deliveries_pending ON deliveries (id) WHERE status = 'pending'",
)

# The attempts of a run move into the row of their delivery, so that a claim and an end are one row
# each; a run that was run again keeps its own in `earlier_runs`. `attempts` shows them as before.
_VERSION_2 = (
    "ALTER TABLE deliveries ADD COLUMN attempts TEXT NOT NULL DEFAULT '[]'",
    """
    CREATE TABLE earlier_runs (
        delivery INTEGER NOT NULL,
        run INTEGER NOT NULL,
        attempts TEXT NOT NULL,
        PRIMARY KEY (delivery, run)
    ) STRICT, WITHOUT ROWID
    """,
    """
    INSERT INTO earlier_runs
    SELECT delivery, run, json_group_array(json_array(
        provider, kind, outcome, started_at, seconds, reason, provider_code,
        provider_message_id, simulated, cost_amount, cost_currency, circuit))
    FROM (SELECT * FROM attempts ORDER BY delivery, run, seq) GROUP BY delivery, run
    """,
    """
    UPDATE deliveries SET attempts = latest.attempts FROM earlier_runs AS latest
    WHERE latest.delivery = deliveries.number AND latest.run = deliveries.run
    """,
    """
    DELETE FROM earlier_runs WHERE run =
        (SELECT run FROM deliveries WHERE number = earlier_runs.delivery)
    """,
    "DROP TABLE attempts",
    """
    CREATE VIEW attempts AS
    SELECT runs.delivery, runs.run, one.key AS seq,
        json_extract(one.value, '$[0]') AS provider,
        json_extract(one.value, '$[1]') AS kind,
        json_extract(one.value, '$[2]') AS outcome,
        json_extract(one.value, '$[3]') AS started_at,
        json_extract(one.value, '$[4]') AS seconds,
        json_extract(one.value, '$[5]') AS reason,
        json_extract(one.value, '$[6]') AS provider_code,
        json_extract(one.value, '$[7]') AS provider_message_id,
        coalesce(json_extract(one.value, '$[8]'), 0) AS simulated,
        json_extract(one.value, '$[9]') AS cost_amount,
        json_extract(one.value, '$[10]') AS cost_currency,
        json_extract(one.value, '$[11]') AS circuit
    FROM (
        SELECT number AS delivery, run, attempts FROM deliveries
        UNION ALL SELECT delivery, run, attempts FROM earlier_runs
    ) AS runs, json_each(runs.attempts) AS one
    """,
)

# What messages cost outlives their rows, as sums of days; `costed` says which rows are in them, as
# those of before are, which had no price. The view shows the units that an attempt was billed for.
_VERSION_3 = (
    """
    CREATE TABLE costs (
        day TEXT NOT NULL,
        provider TEXT NOT NULL,
        currency TEXT NOT NULL,
        tried INTEGER NOT NULL,
        accepted INTEGER NOT NULL,
        billed INTEGER NOT NULL,
        units INTEGER NOT NULL,
        amount TEXT NOT NULL,
        after_failover TEXT NOT NULL,
        PRIMARY KEY (day, provider, currency)
    ) STRICT, WITHOUT ROWID
    """,
    "ALTER TABLE deliveries ADD COLUMN costed INTEGER NOT NULL DEFAULT 1",
    "CREATE INDEX deliveries_uncosted ON deliveries (started_at) WHERE costed = 0",
    "DROP VIEW attempts",
    """
    CREATE VIEW attempts AS
    SELECT runs.delivery, runs.run, one.key AS seq,
        json_extract(one.value, '$[0]') AS provider,
        json_extract(one.value, '$[1]') AS kind,
        json_extract(one.value, '$[2]') AS outcome,
        json_extract(one.value, '$[3]') AS started_at,
        json_extract(one.value, '$[4]') AS seconds,
        json_extract(one.value, '$[5]') AS reason,
        json_extract(one.value, '$[6]') AS provider_code,
        json_extract(one.value, '$[7]') AS provider_message_id,
        coalesce(json_extract(one.value, '$[8]'), 0) AS simulated,
        json_extract(one.value, '$[9]') AS cost_amount,
        json_extract(one.value, '$[10]') AS cost_currency,
        json_extract(one.value, '$[11]') AS circuit,
        coalesce(json_extract(one.value, '$[12]'), 0) AS units
    FROM (
        SELECT number AS delivery, run, attempts FROM deliveries
        UNION ALL SELECT delivery, run, attempts FROM earlier_runs
    ) AS runs, json_each(runs.attempts) AS one
    """,
)

MIGRATIONS: tuple[Sequence[str], ...] = (_VERSION_1, _VERSION_2, _VERSION_3)
"""`MIGRATIONS[n]` takes a file from version n to n + 1. Append; what was released never changes."""


class Rows(Protocol):
    """What a statement answers: a database cursor, as far as it is needed."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Statements(Protocol):
    """A database connection, as far as the schema and the tables need one."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows: ...
    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> Rows: ...


def version_of(db: Statements, newest: int = len(MIGRATIONS)) -> int:
    """The version of the schema, 0 for an empty file; changes nothing.

    Raises LogError where the database is not ours, or newer than `newest`.
    """
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not ours and db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise LogError("it is another program's database: name another file in log.path")
    if ours and version > newest:
        raise LogError(
            f"its schema is version {version}, made by a later release, and this one knows"
            f" {newest}: upgrade, or name another file in log.path"
        )
    return version if ours else 0


def migrate(db: Statements, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Take the database to the newest version, inside the transaction that is open.

    Raises LogError, as `version_of` does.
    """
    version = version_of(db, len(migrations))
    for statements in migrations[version:]:
        for statement in statements:
            db.execute(statement)
    if version < len(migrations):
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(migrations)}")
