"""The sums of each day as SQL: each delivery is added once, and may go afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sidecar.store import trail
from sidecar.store.costs import DayCosts, Sums
from sidecar.store.schema import Statements

_ENDED = """
    SELECT number, attempts FROM deliveries
    WHERE costed = 0 AND status <> 'pending' AND started_at <= ? LIMIT ?
"""
_ALL_ENDED = "SELECT attempts FROM deliveries WHERE costed = 0 AND status <> 'pending'"
_DONE = "UPDATE deliveries SET costed = 1 WHERE number = ?"
_SUMS = "SELECT * FROM costs WHERE day >= ?"
_KEEP = "INSERT OR REPLACE INTO costs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SUM = "SELECT * FROM costs WHERE day = ? AND provider = ? AND currency = ?"


def costs(db: Statements, since: str) -> list[DayCosts]:
    """See `DeliveryLog.costs`."""
    found = Sums(_read(row) for row in db.execute(_SUMS, (since,)).fetchall())
    _count(found, [attempts for (attempts,) in db.execute(_ALL_ENDED).fetchall()])
    return [one for one in found if one.day >= since]


def sum_up(db: Statements, until: float, limit: int = -1) -> int:
    """See `DeliveryLog.sum_up`; without a limit it adds whatever has ended until then."""
    rows = db.execute(_ENDED, (until, limit)).fetchall()
    add(db, [attempts for _, attempts in rows])
    db.executemany(_DONE, [row[:1] for row in rows])
    return len(rows)


def add(db: Statements, trails: Sequence[str]) -> None:
    """Add these runs to the sums of their days."""
    fresh = Sums()
    _count(fresh, trails)
    for one in fresh:
        known = db.execute(_SUM, one.key).fetchone()
        db.execute(_KEEP, _written(one if known is None else _read(known) + one))


def _count(sums: Sums, trails: Sequence[str]) -> None:
    for attempts in trails:
        ended, cut_off = trail.read(attempts)
        sums.add_trail((*ended, cut_off) if cut_off else ended)


def _read(row: Sequence[Any]) -> DayCosts:
    day, provider, currency, tried, accepted, billed, units, *amounts = row
    return DayCosts(day, provider, currency, tried, accepted, billed, units, *map(Decimal, amounts))


def _written(one: DayCosts) -> tuple[str | int, ...]:
    counts = (one.tried, one.accepted, one.billed, one.units)
    return (*one.key, *counts, str(one.amount), str(one.after_failover))
