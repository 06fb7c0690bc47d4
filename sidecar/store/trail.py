"""The attempts of one run as the log keeps them: one text beside the delivery, in JSON.

So a claim with the attempt about to be made is one row, and so is the end of a delivery with all of
its attempts. The view `attempts` shows them as rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson

from sidecar.delivery.model import Attempt, Bill, Money, Outcome
from sidecar.store.recovery import under_way

SENDING = "sending"
"""The outcome of an attempt that is about to be made, or under way."""
EMPTY = "[]"
_UNITS = 12
"""The place of the units in a row; those without any end before it."""


def written(ended: Sequence[Attempt], ahead: Attempt | None = None) -> str:
    """The text for the attempts that ended and, where there is one, the one about to be made."""
    rows = [_row(attempt) for attempt in ended]
    if ahead is not None:
        row = [ahead.provider, ahead.kind, SENDING, ahead.started_at, ahead.seconds]
        if ahead.units:
            cost = ahead.cost
            amount, currency = (None, None) if cost is None else (str(cost.amount), cost.currency)
            row += [None, None, None, 0, amount, currency, None, ahead.units]
        rows.append(row)
    return orjson.dumps(rows).decode()


def read(text: str) -> tuple[tuple[Attempt, ...], Attempt | None]:
    """The attempts that ended, and the one under way."""
    rows = orjson.loads(text)
    ended = tuple(_attempt(*row) for row in rows if row[2] != SENDING)
    cut_off = (under_way(row[0], row[1], row[3], _bill(row)) for row in rows if row[2] == SENDING)
    return ended, next(cut_off, None)


def holdable(value: str) -> str:
    """`value` as UTF-8 can hold it: a provider's JSON may bring half a surrogate pair."""
    if value.isascii():
        return value
    return value.encode("utf-8", "replace").decode()


def _row(attempt: Attempt) -> list[Any]:
    """One attempt, in the order of the columns of the view `attempts`."""
    reason, code, message_id = attempt.reason, attempt.provider_code, attempt.provider_message_id
    cost = attempt.cost
    row = [
        attempt.provider,
        attempt.kind,
        str(attempt.outcome),
        attempt.started_at,
        attempt.seconds,
        None if reason is None else holdable(reason),
        None if code is None else holdable(code),
        None if message_id is None else holdable(message_id),
        int(attempt.simulated),
        None if cost is None else str(cost.amount),
        None if cost is None else cost.currency,
        attempt.circuit,
    ]
    if attempt.units:
        row.append(attempt.units)
    return row


def _bill(row: Sequence[Any]) -> Bill | None:
    """What the attempt under way costs; rows without a price end before it."""
    if len(row) <= _UNITS:
        return None
    amount, currency, _, units = row[_UNITS - 3 : _UNITS + 1]
    return Bill(None if amount is None else Money(Decimal(amount), currency), units)


def _attempt(  # as many as an attempt has facts
    provider: str,
    kind: str,
    outcome: str,
    started_at: float,
    seconds: float,
    reason: str | None,
    code: str | None,
    message_id: str | None,
    simulated: int,
    amount: str | None,
    currency: str | None,
    circuit: str | None,
    units: int = 0,
) -> Attempt:
    cost = None if amount is None or currency is None else Money(Decimal(amount), currency)
    return Attempt(
        provider,
        kind,
        Outcome(outcome),
        started_at,
        seconds,
        reason,
        code,
        message_id,
        bool(simulated),
        cost,
        circuit,
        units=units,
    )
