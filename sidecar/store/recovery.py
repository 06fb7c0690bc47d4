"""What a crash leaves open, and the end it gets: decided once, for every log.

Nothing here sends. What may have been sent is said to be unknown, never tried again.
"""

from __future__ import annotations

from dataclasses import replace

from sidecar.delivery.model import Attempt, Delivery, Outcome, Status
from sidecar.delivery.policy import maybe_sent, status_of

NOT_UNDER_WAY = "the log has no such delivery under way"
CUT_OFF = "the sidecar stopped while this attempt was under way"
MAYBE_SENT = "the sidecar stopped before this delivery had ended"
NOT_SENT = "interrupted before a provider can have taken it"


def under_way(provider: str, kind: str, at: float) -> Attempt:
    """An attempt as it stands from its `sending` row until its outcome is written.

    Unless somebody comes back to say how it ended, it may have put the message on its way.
    """
    return Attempt(provider, kind, Outcome.UNKNOWN, at, reason=CUT_OFF)


def closed(delivery: Delivery, cut_off: Attempt | None, at: float) -> Delivery:
    """The pending `delivery` with its terminal status; `cut_off` is the attempt under way, if any.

    `at` is Unix time in seconds. What surely was not sent has `failed`, so that it may run again.
    """
    attempts = delivery.attempts + ((cut_off,) if cut_off else ())
    if not maybe_sent(attempts):
        status, reason = Status.FAILED, NOT_SENT
    else:
        status, reason = status_of(attempts), MAYBE_SENT
    return replace(delivery, status=status, attempts=attempts, ended_at=at, reason=reason)
