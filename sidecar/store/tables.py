"""The log's operations as SQL: functions over a connection, inside the transaction that is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from sidecar.delivery.model import Attempt, Delivery, Money, Outcome, Status
from sidecar.store import Claim, Claimed, Existing, NotUnderWay, Recovery, is_same
from sidecar.store.recovery import closed, under_way
from sidecar.store.schema import Statements

_SENDING = "sending"
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


class AttemptRow(NamedTuple):
    """A row of `attempts`, in the order of its columns."""

    delivery: int
    run: int
    seq: int
    provider: str
    kind: str
    outcome: str
    started_at: float
    seconds: float
    reason: str | None
    provider_code: str | None
    provider_message_id: str | None
    simulated: int
    cost_amount: str | None
    cost_currency: str | None
    circuit: str | None


# One statement for the common case: the key and the id are new.
_NEW_CLAIM = """
    INSERT INTO deliveries
    SELECT NULL, ?, 1, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, 1
    WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE key_hash = ? AND started_at > ?)
    ON CONFLICT (id) DO NOTHING
"""
_CLAIM_AGAIN = """
    UPDATE deliveries SET run = run + 1, status = 'pending', channel = ?, purpose = ?,
        recipient = ?, recipient_hash = ?, key_hash = ?, body_hash = ?, segments = ?,
        started_at = ?, ended_at = NULL, reason = NULL, retry_after = NULL, logged = 1
    WHERE number = ?
"""
_BY_KEY = """
    SELECT * FROM deliveries WHERE key_hash = ? AND started_at > ?
    ORDER BY started_at DESC LIMIT 1
"""
_BY_ID = "SELECT * FROM deliveries WHERE id = ?"
_PENDING = "SELECT * FROM deliveries WHERE status = 'pending'"
_NUMBER = "SELECT number FROM deliveries WHERE id = ? AND run = ? AND status = 'pending'"
_END = """
    UPDATE deliveries SET status = ?, ended_at = ?, reason = ?, retry_after = ?, logged = ?
    WHERE id = ? AND run = ? RETURNING number
"""
_WITHDRAW = """
    UPDATE deliveries SET status = 'unavailable', ended_at = started_at, reason = ?
    WHERE id = ? AND run = ? AND status = 'pending'
"""
_CUT_WITHDRAWN = """
    DELETE FROM attempts WHERE run = ?2 AND delivery =
        (SELECT number FROM deliveries WHERE id = ?1 AND run = ?2 AND status = 'pending')
"""
_ATTEMPTS = "SELECT * FROM attempts WHERE delivery = ? AND run = ? ORDER BY seq"
_WRITE_ATTEMPT = """
    INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CUT_ATTEMPTS = "DELETE FROM attempts WHERE delivery = ? AND run = ? AND seq >= ?"
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
    answer = _claim(db, claim, keep_keys)
    if first and isinstance(answer, Claimed):
        sending(db, answer, first[:-1], first[-1])
    return answer


def _claim(db: Statements, claim: Claim, keep_keys: float) -> Claimed | Existing:
    oldest = claim.at - keep_keys
    if db.execute(_NEW_CLAIM, (claim.id, *_facts(claim), claim.key_hash, oldest)).rowcount:
        return Claimed(claim.id, 1)
    row = db.execute(_BY_KEY, (claim.key_hash, oldest)).fetchone()
    found = DeliveryRow(*(row or db.execute(_BY_ID, (claim.id,)).fetchone()))
    same_body = is_same(claim, found.body_hash, found.key_hash)
    if not same_body or not Status(found.status).surely_not_sent:
        return Existing(_delivery(db, found)[0], same_body)
    key_hash = found.key_hash if found.started_at > oldest else None
    again = replace(claim, key_hash=claim.key_hash or key_hash)
    db.execute(_CLAIM_AGAIN, (*_facts(again), found.number))
    return Claimed(found.id, found.run + 1)


def withdraw(db: Statements, claimed: Claimed) -> None:
    """Give back a claim whose caller was told that it failed: surely not sent, may run again."""
    db.execute(_CUT_WITHDRAWN, (claimed.id, claimed.run))
    db.execute(_WITHDRAW, (_TOO_LATE, claimed.id, claimed.run))


def sending(db: Statements, claimed: Claimed, so_far: Sequence[Attempt], attempt: Attempt) -> None:
    """Write `so_far`, and `attempt` as the one under way. See `DeliveryLog.sending`."""
    found = db.execute(_NUMBER, (claimed.id, claimed.run)).fetchall()
    rows = _attempt_rows(found, claimed.run, (*so_far, attempt))
    rows[-1] = rows[-1]._replace(outcome=_SENDING, reason=None)
    _write_attempts(db, rows)


def finish(db: Statements, claimed: Claimed, delivery: Delivery) -> None:
    """See `DeliveryLog.finish`."""
    end = (
        delivery.status.value,
        delivery.ended_at,
        _text(delivery.reason),
        delivery.retry_after,
        int(delivery.logged),
    )
    found = db.execute(_END, (*end, claimed.id, claimed.run)).fetchall()
    rows = _attempt_rows(found, claimed.run, delivery.attempts)
    _write_attempts(db, rows)
    db.execute(_CUT_ATTEMPTS, (found[0][0], claimed.run, len(rows)))


def get(db: Statements, delivery_id: str) -> Delivery | None:
    """See `DeliveryLog.get`."""
    row = db.execute(_BY_ID, (delivery_id,)).fetchone()
    return _delivery(db, DeliveryRow(*row))[0] if row else None


def prune(db: Statements, before: float, limit: int) -> int:
    """See `DeliveryLog.prune`."""
    old = db.execute(_OLD, (before, limit)).fetchall()
    db.executemany("DELETE FROM attempts WHERE delivery = ?", old)
    db.executemany("DELETE FROM deliveries WHERE number = ?", old)
    return len(old)


def recover(db: Statements, at: float, *, gaps: bool) -> Recovery:
    """Close everything that a crash left open; `at` and `gaps`: see `recovery.closed`."""
    # The clock was set back since: what is dated ahead would be remembered until it has caught up.
    db.execute(_FROM_THE_FUTURE, (at,))
    attempts = 0
    pending = [DeliveryRow(*row) for row in db.execute(_PENDING).fetchall()]
    for row in pending:
        delivery, cut_off = _delivery(db, row)
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


def _delivery(db: Statements, row: DeliveryRow) -> tuple[Delivery, Attempt | None]:
    """The delivery with the attempts of its latest run that ended, and the one under way."""
    attempts = db.execute(_ATTEMPTS, (row.number, row.run)).fetchall()
    rows = [AttemptRow(*attempt) for attempt in attempts]
    delivery = Delivery(
        row.id,
        row.channel,
        row.purpose,
        Status(row.status),
        row.started_at,
        row.ended_at,
        tuple(_attempt(r) for r in rows if r.outcome != _SENDING),
        row.recipient,
        row.recipient_hash,
        row.segments,
        row.reason,
        row.retry_after,
        bool(row.logged),
    )
    cut_off = (under_way(r.provider, r.kind, r.started_at) for r in rows if r.outcome == _SENDING)
    return delivery, next(cut_off, None)


def _attempt(row: AttemptRow) -> Attempt:
    amount, currency = row.cost_amount, row.cost_currency
    return Attempt(
        row.provider,
        row.kind,
        Outcome(row.outcome),
        row.started_at,
        row.seconds,
        row.reason,
        row.provider_code,
        row.provider_message_id,
        bool(row.simulated),
        None if amount is None or currency is None else Money(Decimal(amount), currency),
        row.circuit,
    )


def _write_attempts(db: Statements, rows: Sequence[AttemptRow]) -> None:
    for row in rows:  # mostly one, and then quicker than executemany
        db.execute(_WRITE_ATTEMPT, row)


def _attempt_rows(found: list[Any], run: int, attempts: Sequence[Attempt]) -> list[AttemptRow]:
    """Rows for the delivery whose number was found. Raises LogUnavailable where none was."""
    if not found:
        raise NotUnderWay
    return [_attempt_row(found[0][0], run, seq, a) for seq, a in enumerate(attempts)]


def _attempt_row(number: int, run: int, seq: int, attempt: Attempt) -> AttemptRow:
    cost = attempt.cost
    return AttemptRow(
        number,
        run,
        seq,
        attempt.provider,
        attempt.kind,
        attempt.outcome.value,
        attempt.started_at,
        attempt.seconds,
        _text(attempt.reason),
        _text(attempt.provider_code),
        _text(attempt.provider_message_id),
        int(attempt.simulated),
        str(cost.amount) if cost else None,
        cost.currency if cost else None,
        attempt.circuit,
    )


def _text(value: str | None) -> str | None:
    """`value` as SQLite can hold it: a provider's JSON may bring half a surrogate pair."""
    if value is None or value.isascii():
        return value
    return value.encode("utf-8", "replace").decode()
