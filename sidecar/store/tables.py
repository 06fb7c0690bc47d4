"""The log's operations as SQL: functions over a connection, inside the transaction that is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from sidecar.delivery.model import Attempt, Delivery, Status
from sidecar.store import Claim, Claimed, Existing, NotUnderWay, Recovery, is_same, trail
from sidecar.store.recovery import MAYBE_SENT, closed
from sidecar.store.schema import Statements

_TOO_LATE = "the log answered too late"


class DeliveryRow(NamedTuple):
    """A row of `deliveries`, in the order of its columns."""

    number: int
    id: str
    run: int
    status: str
    channel: str
    purpose: str
    recipient: str
    recipient_hash: str
    key_hash: str | None
    body_hash: str
    segments: int | None
    started_at: float
    ended_at: float | None
    reason: str | None
    retry_after: float | None
    logged: int
    attempts: str


# One statement for the common case: the key and the id are new.
_NEW_CLAIM = """
    INSERT INTO deliveries
    VALUES (NULL, ?, 1, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, 1, ?)
    ON CONFLICT (id) DO NOTHING
"""
_NEW_CLAIM_UNDER_A_KEY = """
    INSERT INTO deliveries
    SELECT NULL, ?1, 1, 'pending', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, NULL, NULL, 1, ?10
    WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE key_hash = ?6 AND started_at > ?11)
    ON CONFLICT (id) DO NOTHING
"""
_CLAIM_AGAIN = """
    UPDATE deliveries SET run = run + 1, status = 'pending', channel = ?, purpose = ?,
        recipient = ?, recipient_hash = ?, key_hash = ?, body_hash = ?, segments = ?,
        started_at = ?, ended_at = NULL, reason = NULL, retry_after = NULL, logged = 1,
        attempts = ?
    WHERE number = ?
"""
_BY_KEY = """
    SELECT * FROM deliveries WHERE key_hash = ? AND started_at > ?
    ORDER BY started_at DESC LIMIT 1
"""
_BY_ID = "SELECT * FROM deliveries WHERE id = ?"
_PENDING = "SELECT * FROM deliveries WHERE status = 'pending'"
_SENDING = """
    UPDATE deliveries SET attempts = ? WHERE id = ? AND run = ? AND status = 'pending'
"""
_END = """
    UPDATE deliveries
    SET status = ?, ended_at = ?, reason = ?, retry_after = ?, logged = ?, attempts = ?
    WHERE id = ? AND run = ?
"""
_WITHDRAW = """
    UPDATE deliveries
    SET status = ?, ended_at = started_at, reason = ?, attempts = '[]'
    WHERE id = ? AND run = ? AND status = 'pending'
"""
_KEEP_RUN = "INSERT OR REPLACE INTO earlier_runs VALUES (?, ?, ?)"
_FROM_THE_FUTURE = """
    UPDATE deliveries SET started_at = ?1, ended_at = ended_at - (started_at - ?1)
    WHERE started_at > ?1
"""
_OLD = """
    SELECT number FROM deliveries WHERE started_at < ? AND status <> 'pending'
    ORDER BY started_at, number LIMIT ?
"""


def claim(
    db: Statements, claim: Claim, keep_keys: float, first: Sequence[Attempt] = ()
) -> Claimed | Existing:
    """See `DeliveryLog.claim`."""
    attempts = trail.written(first[:-1], first[-1]) if first else trail.EMPTY
    oldest = claim.at - keep_keys
    new = (claim.id, *_facts(claim), attempts)
    if claim.key_hash is None:
        written = db.execute(_NEW_CLAIM, new).rowcount
    else:
        written = db.execute(_NEW_CLAIM_UNDER_A_KEY, (*new, oldest)).rowcount
    return Claimed(claim.id, 1) if written else _claim_known(db, claim, oldest, attempts)


def _claim_known(db: Statements, claim: Claim, oldest: float, attempts: str) -> Claimed | Existing:
    row = db.execute(_BY_KEY, (claim.key_hash, oldest)).fetchone()
    found = DeliveryRow(*(row or db.execute(_BY_ID, (claim.id,)).fetchone()))
    same_body = is_same(claim, found.body_hash, found.key_hash)
    if not same_body or not Status(found.status).surely_not_sent:
        return Existing(_delivery(found)[0], same_body)
    key_hash = found.key_hash if found.started_at > oldest else None
    again = replace(claim, key_hash=claim.key_hash or key_hash)
    if found.attempts != trail.EMPTY:
        db.execute(_KEEP_RUN, (found.number, found.run, found.attempts))
    db.execute(_CLAIM_AGAIN, (*_facts(again), attempts, found.number))
    return Claimed(found.id, found.run + 1)


def withdraw(db: Statements, claimed: Claimed, *, gaps: bool = False) -> None:
    """Give back a claim whose caller was told that it failed: surely not sent, may run again.

    With `gaps` it may have been sent all the same, without its row, and may not run again.
    """
    end = (Status.UNKNOWN, MAYBE_SENT) if gaps else (Status.UNAVAILABLE, _TOO_LATE)
    db.execute(_WITHDRAW, (str(end[0]), end[1], claimed.id, claimed.run))


def sending(db: Statements, claimed: Claimed, so_far: Sequence[Attempt], attempt: Attempt) -> None:
    """Write `so_far`, and `attempt` as the one under way. See `DeliveryLog.sending`."""
    written = (trail.written(so_far, attempt), claimed.id, claimed.run)
    if not db.execute(_SENDING, written).rowcount:
        raise NotUnderWay


def finish(db: Statements, claimed: Claimed, delivery: Delivery) -> None:
    """See `DeliveryLog.finish`."""
    end = (
        str(delivery.status),
        delivery.ended_at,
        trail.holdable(delivery.reason),
        delivery.retry_after,
        int(delivery.logged),
        trail.written(delivery.attempts),
        claimed.id,
        claimed.run,
    )
    if not db.execute(_END, end).rowcount:
        raise NotUnderWay


def get(db: Statements, delivery_id: str) -> Delivery | None:
    """See `DeliveryLog.get`."""
    row = db.execute(_BY_ID, (delivery_id,)).fetchone()
    return _delivery(DeliveryRow(*row))[0] if row else None


def prune(db: Statements, before: float, limit: int) -> int:
    """See `DeliveryLog.prune`."""
    old = db.execute(_OLD, (before, limit)).fetchall()
    db.executemany("DELETE FROM earlier_runs WHERE delivery = ?", old)
    db.executemany("DELETE FROM deliveries WHERE number = ?", old)
    return len(old)


def recover(db: Statements, at: float, *, gaps: bool) -> Recovery:
    """Close everything that a crash left open; `at` and `gaps`: see `recovery.closed`."""
    # The clock was set back since: what is dated ahead would be remembered until it has caught up.
    db.execute(_FROM_THE_FUTURE, (at,))
    attempts = 0
    pending = [DeliveryRow(*row) for row in db.execute(_PENDING).fetchall()]
    for row in pending:
        delivery, cut_off = _delivery(row)
        finish(db, Claimed(row.id, row.run), closed(delivery, cut_off, at, gaps=gaps))
        attempts += cut_off is not None
    return Recovery(attempts, len(pending))


def _facts(claim: Claim) -> tuple[str | float | None, ...]:
    """What a claim says of its delivery, in the order of the columns."""
    return (
        claim.channel,
        claim.purpose,
        claim.recipient,
        claim.recipient_hash,
        claim.key_hash,
        claim.body_hash,
        claim.segments,
        claim.at,
    )


def _delivery(row: DeliveryRow) -> tuple[Delivery, Attempt | None]:
    """The delivery with the attempts of its latest run that ended, and the one under way."""
    ended, cut_off = trail.read(row.attempts)
    delivery = Delivery(
        row.id,
        row.channel,
        row.purpose,
        Status(row.status),
        row.started_at,
        row.ended_at,
        ended,
        row.recipient,
        row.recipient_hash,
        row.segments,
        row.reason,
        row.retry_after,
        bool(row.logged),
    )
    return delivery, cut_off
