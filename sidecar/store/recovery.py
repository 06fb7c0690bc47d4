"""What a crash leaves open, and the end it gets: decided once, for every log.

Nothing here sends. What may have been sent is said to be unknown, never tried again.
"""

from __future__ import annotations

from dataclasses import replace

from sidecar.delivery.model import Attempt, Bill, Delivery, Outcome, Status
from sidecar.delivery.policy import maybe_sent, status_of

CUT_OFF = "the sidecar stopped while this attempt was under way"
MAYBE_SENT = "the sidecar stopped before this delivery had ended"
NOT_SENT = "interrupted before a provider can have taken it"


def under_way(provider: str, kind: str, at: float, bill: Bill | None = None) -> Attempt:
    """An attempt as it stands from its `sending` row until its outcome is written.

    Unless somebody comes back to say how it ended, it may have put the message on its way, and is
    billed.
    """
    cost, units = (None, 0) if bill is None else (bill.cost, bill.units)
    # By position, as each send makes one: keywords cost as much again as the value itself.
    return Attempt(
        provider,
        kind,
        Outcome.UNKNOWN,
        at,
        0.0,
        CUT_OFF,
        None,
        None,
        False,
        cost,
        None,
        False,
        None,
        units,
    )


def closed(
    delivery: Delivery, cut_off: Attempt | None, at: float, *, gaps: bool = False
) -> Delivery:
    """The pending `delivery` with its terminal status; `cut_off` is the attempt under way, if any.

    `at` is Unix time in seconds. What surely was not sent has `failed`, so that it may run again.
    `gaps` says that attempts may lack their row, so that nothing surely was not sent.
    """
    attempts = delivery.attempts + ((cut_off,) if cut_off else ())
    if maybe_sent(attempts):
        status, reason = status_of(attempts), MAYBE_SENT
    elif gaps:
        status, reason = Status.UNKNOWN, MAYBE_SENT
    else:
        status, reason = Status.FAILED, NOT_SENT
    return replace(delivery, status=status, attempts=attempts, ended_at=at, reason=reason)
