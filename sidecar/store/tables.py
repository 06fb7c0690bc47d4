"""The log's operations as SQL: functions over a connection, inside the transaction that is open.

What every send does comes in groups, as many together as wait (`groups`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from sidecar.delivery.model import Attempt, Delivery, Status
from sidecar.store import Claim, Claimed, Existing, NotUnderWay, Recovery, costed, is_same, trail
from sidecar.store import statements as sql
from sidecar.store.groups import SIZES, execute, parts, places
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
    costed: int


class Wanted(NamedTuple):
    """What `DeliveryLog.claim` is asked for."""

    claim: Claim
    keep_keys: float
    first: Sequence[Attempt] = ()


class Begun(NamedTuple):
    """What `DeliveryLog.sending` is asked for."""

    claimed: Claimed
    so_far: Sequence[Attempt]
    attempt: Attempt


class Ended(NamedTuple):
    """What `DeliveryLog.finish` is asked for."""

    claimed: Claimed
    delivery: Delivery


def claim(db: Statements, wanted: Sequence[Wanted]) -> list[Claimed | Existing]:
    """See `DeliveryLog.claim`."""
    claims = [one.claim for one in wanted]
    names = [claim.id for claim in claims]
    keys = [claim.key_hash for claim in claims if claim.key_hash is not None]
    # What is named twice goes one by one: the second must find the first.
    sizes = SIZES if _differ(names) and _differ(keys) else (1,)
    answers: list[Claimed | Existing] = []
    for part in parts(wanted, sizes):
        answers += _claim(db, part)
    return answers


def _claim(db: Statements, part: Sequence[Wanted]) -> list[Claimed | Existing]:
    written = _write_new(db, part)
    if written == len(part):
        return [Claimed(one.claim.id, 1) for one in part]
    if len(part) == 1:
        return [_claim_known(db, part[0])]
    # Numbers only grow: the newest rows are those that were written just now.
    new = {row[0] for row in db.execute(sql.NEWEST, (written,)).fetchall()}
    return [
        Claimed(one.claim.id, 1) if one.claim.id in new else _claim(db, [one])[0] for one in part
    ]


def _differ(names: Sequence[str]) -> bool:
    return len(set(names)) == len(names)


def _write_new(db: Statements, part: Sequence[Wanted]) -> int:
    """Write those whose key and id are new; how many."""
    if {one.claim.key_hash for one in part} == {None}:
        new = [(*one.claim, _ahead(one)) for one in part]
        return execute(db, sql.NEW_CLAIMS, sql.NEW_CLAIM_ROW, new)
    rows = [(*one.claim, _ahead(one), one.claim.at - one.keep_keys) for one in part]
    return execute(db, sql.NEW_CLAIMS_UNDER_KEYS, places(len(rows[0])), rows)


def _claim_known(db: Statements, wanted: Wanted) -> Claimed | Existing:
    claim, oldest = wanted.claim, wanted.claim.at - wanted.keep_keys
    row = db.execute(sql.BY_KEY, (claim.key_hash, oldest)).fetchone()
    found = DeliveryRow(*(row or db.execute(sql.BY_ID, (claim.id,)).fetchone()))
    same_body = is_same(claim, found.body_hash, found.key_hash)
    if not same_body or not Status(found.status).surely_not_sent:
        return Existing(_delivery(found)[0], same_body)
    key_hash = found.key_hash if found.started_at > oldest else None
    again = claim._replace(key_hash=claim.key_hash or key_hash)
    if found.attempts != trail.EMPTY:
        db.execute(sql.KEEP_RUN, (found.number, found.run, found.attempts))
        if not found.costed:  # its row is another run's from now on
            costed.add(db, [found.attempts])
    db.execute(sql.CLAIM_AGAIN, (*again[1:], _ahead(wanted), found.number))
    return Claimed(found.id, found.run + 1)


def withdraw(db: Statements, claimed: Claimed, *, gaps: bool = False) -> None:
    """Give back a claim whose caller was told that it failed: surely not sent, may run again.

    With `gaps` it may have been sent all the same, without its row, and may not run again.
    """
    end = (Status.UNKNOWN, MAYBE_SENT) if gaps else (Status.UNAVAILABLE, _TOO_LATE)
    db.execute(sql.WITHDRAW, (str(end[0]), end[1], claimed.id, claimed.run))


def sending(db: Statements, begun: Sequence[Begun]) -> Sequence[None]:
    """See `DeliveryLog.sending`."""
    rows = [
        (trail.written(one.so_far, one.attempt), one.claimed.id, one.claimed.run) for one in begun
    ]
    return _update(db, sql.SENDING, sql.SENDING_ONE, rows)


def finish(db: Statements, ended: Sequence[Ended]) -> Sequence[None]:
    """See `DeliveryLog.finish`."""
    rows = [_end(claimed, delivery) for claimed, delivery in ended]
    return _update(db, sql.END, sql.END_ONE, rows)


def _update(db: Statements, many: str, one: str, rows: Sequence[tuple[Any, ...]]) -> Sequence[None]:
    """Raises NotUnderWay where one of them finds no row; which one, only one alone can tell."""
    for part in parts(rows, SIZES):
        if len(part) == 1:
            written = db.execute(one, part[0]).rowcount
        else:
            written = execute(db, many, places(len(part[0])), part)
        if written != len(part):
            raise NotUnderWay
    return [None] * len(rows)


def get(db: Statements, delivery_id: str) -> Delivery | None:
    """See `DeliveryLog.get`."""
    row = db.execute(sql.BY_ID, (delivery_id,)).fetchone()
    return _delivery(DeliveryRow(*row))[0] if row else None


def prune(db: Statements, before: float, limit: int) -> int:
    """See `DeliveryLog.prune`."""
    old = db.execute(sql.OLD, (before, limit)).fetchall()
    if old:
        costed.sum_up(db, max(row[1] for row in old))
    old = [row[:1] for row in old]
    db.executemany("DELETE FROM earlier_runs WHERE delivery = ?", old)
    db.executemany("DELETE FROM deliveries WHERE number = ?", old)
    return len(old)


def recover(db: Statements, at: float, *, gaps: bool) -> Recovery:
    """Close everything that a crash left open; `at` and `gaps`: see `recovery.closed`."""
    attempts = 0
    pending = [DeliveryRow(*row) for row in db.execute(sql.PENDING).fetchall()]
    for row in pending:
        delivery, cut_off = _delivery(row)
        end = closed(delivery, cut_off, at, gaps=gaps)
        finish(db, [Ended(Claimed(row.id, row.run), end)])
        attempts += cut_off is not None
    # Here, where nobody waits for an answer: a start may find many of them.
    costed.sum_up(db, math.inf)
    # The clock was set back since: what is dated ahead would be remembered until it has caught up.
    db.execute(sql.FROM_THE_FUTURE, (at,))
    return Recovery(attempts, len(pending))


def _ahead(wanted: Wanted) -> str:
    first = wanted.first
    return trail.written(first[:-1], first[-1]) if first else trail.EMPTY


def _end(claimed: Claimed, delivery: Delivery) -> tuple[str | float | None, ...]:
    return (
        str(delivery.status),
        delivery.ended_at,
        None if delivery.reason is None else trail.holdable(delivery.reason),
        delivery.retry_after,
        int(delivery.logged),
        trail.written(delivery.attempts),
        claimed.id,
        claimed.run,
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
