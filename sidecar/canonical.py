"""The canonical line: one for every delivery, and one for every change of a circuit."""

from __future__ import annotations

from typing import Any

import structlog

from sidecar import logs
from sidecar.delivery.model import Attempt, Delivery, Status, Transition
from sidecar.delivery.policy import total_cost
from sidecar.hookspecs import hookimpl


class CanonicalLine:
    """The observer that writes them."""

    @hookimpl
    def delivery_ended(self, delivery: Delivery) -> None:
        taken = delivery.receipt
        seconds = (delivery.ended_at or delivery.started_at) - delivery.started_at
        facts: dict[str, Any] = {
            "id": delivery.id,
            "channel": delivery.channel,
            "purpose": delivery.purpose,
            "outcome": delivery.status,
            "provider": None if taken is None else taken.provider,
            "attempts": [_in_words(attempt) for attempt in delivery.attempts],
            # Four decimals; `round` by its second argument takes three times as long.
            "seconds": round(seconds * 10_000) / 10_000,
            "segments": delivery.segments,
            "cost": None if (cost := total_cost(delivery.attempts)) is None else str(cost),
            "recipient": delivery.recipient,
            "recipient_hash": delivery.recipient_hash,
        }
        if not delivery.logged:
            facts["logged"] = False
        accepted = delivery.status is Status.ACCEPTED
        logs.tell("info" if accepted else "warning", "delivery", facts)
        for attempt in delivery.attempts:
            if attempt.transition is not None:
                _tell_of_circuit(attempt.provider, attempt.transition)


def _tell_of_circuit(provider: str, change: Transition) -> None:
    told = structlog.get_logger()
    write = told.warning if change.after == "open" else told.info
    write(
        "circuit",
        provider=provider,
        before=change.before,
        after=change.after,
        reason=change.reason,
    )


def _in_words(attempt: Attempt) -> str:
    """`sns: unavailable, the connection was refused` - with the provider's own code, if any."""
    # Added up: to format a member of an enumeration costs twice as much.
    words = attempt.provider + ": " + attempt.outcome
    if attempt.reason:
        words = f"{words}, {attempt.reason}"
    if attempt.provider_code:
        words = f"{words}, {attempt.provider_code}"
    return words
