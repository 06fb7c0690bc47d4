"""The sums of each day as SQL: rows of deliveries are added once, and may go afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sidecar.store import trail
from sidecar.store.costs import DayCosts, Sums
from sidecar.store.schema import Statements

UNDER_WAY = 86_400.0
"""Seconds after which nobody comes back to end a delivery that is still pending."""

_MARK = "SELECT until FROM costed"
_ROWS = "SELECT attempts FROM deliveries WHERE started_at > ? AND started_at <= ?"
_BOUND = """
    SELECT started_at FROM deliveries WHERE started_at > ? AND started_at <= ?
    ORDER BY started_at LIMIT 1 OFFSET ?
"""
_OLDEST_PENDING = """
    SELECT min(started_at) FROM deliveries WHERE status = 'pending' AND started_at > ?
"""
_SUMS = "SELECT * FROM costs WHERE day >= ?"
_KEEP = "INSERT OR REPLACE INTO costs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SUM = "SELECT * FROM costs WHERE day = ? AND provider = ? AND currency = ?"


def costs(db: Statements, since: str) -> list[DayCosts]:
    """See `DeliveryLog.costs`."""
    found = Sums(_read(row) for row in db.execute(_SUMS, (since,)).fetchall())
    mark = db.execute(_MARK).fetchone()[0]
    _count(found, db.execute(f"{_ROWS} AND status <> 'pending'", (mark, math.inf)).fetchall())
    return [one for one in found if one.day >= since]


def sum_up(db: Statements, until: float, limit: int | None = None) -> int:
    """See `DeliveryLog.sum_up`; without a limit it adds whatever has ended until then."""
    mark = db.execute(_MARK).fetchone()[0]
    if limit is not None:
        until = _bound(db, mark, until, limit)
    rows = db.execute(f"{_ROWS} AND status <> 'pending'", (mark, until)).fetchall()
    if not rows:
        return 0
    fresh = Sums()
    _count(fresh, rows)
    for one in fresh:
        known = db.execute(_SUM, one.key).fetchone()
        db.execute(_KEEP, _written(one if known is None else _read(known) + one))
    go_back(db, until)
    return len(rows)


def go_back(db: Statements, until: float) -> None:
    """Say until when (Unix time) deliveries are in the sums."""
    db.execute("UPDATE costed SET until = ?", (until,))


def _bound(db: Statements, mark: float, until: float, limit: int) -> float:
    """`until`, but before whatever is under way, and so that there are about `limit` rows."""
    pending = db.execute(_OLDEST_PENDING, (until - UNDER_WAY,)).fetchone()[0]
    if pending is not None:
        until = min(until, math.nextafter(pending, -math.inf))
    last = db.execute(_BOUND, (mark, until, limit - 1)).fetchone()
    return until if last is None else float(last[0])


def _count(sums: Sums, rows: Sequence[Any]) -> None:
    for row in rows:
        ended, cut_off = trail.read(row[0])
        sums.add_trail((*ended, cut_off) if cut_off else ended)


def _read(row: Sequence[Any]) -> DayCosts:
    day, provider, currency, tried, accepted, billed, units, *amounts = row
    return DayCosts(day, provider, currency, tried, accepted, billed, units, *map(Decimal, amounts))


def _written(one: DayCosts) -> tuple[str | int, ...]:
    counts = (one.tried, one.accepted, one.billed, one.units)
    return (*one.key, *counts, str(one.amount), str(one.after_failover))
