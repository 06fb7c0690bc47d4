"""What the delivery log keeps of a send: its claim at the beginning, the delivery at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sidecar.delivery.clock import Clock
from sidecar.delivery.model import Attempt, Delivery, Message, Outcome
from sidecar.delivery.policy import status_of
from sidecar.delivery.segments import count_segments
from sidecar.ids import random_hex
from sidecar.privacy import Fingerprint, mask
from sidecar.store import Claim


class Wish(NamedTuple):
    """What a caller asks for. `body` is a canonical form of the request, to tell two apart.

    `message.id` is empty where the caller gave none. `deadline` is in seconds from `asked_at`
    (monotonic); None for the configured one. `wait` lets a second caller of a key under way have
    the first one's outcome.
    """

    message: Message
    body: bytes
    asked_at: float
    key: str | None = None
    deadline: float | None = None
    wait: bool = False


class Entries:
    """Writes both, with masks and hashes where a person could be known."""

    def __init__(self, fingerprint: Fingerprint, clock: Clock) -> None:
        self._fingerprint = fingerprint
        self._clock = clock

    def claim(self, wish: Wish, body_hash: str, key_hash: str | None) -> Claim:
        """What is claimed; the hashes are of the wish's body and key."""
        message, at = wish.message, self._clock.time()
        # By position, as each send makes one: keywords cost as much again as the value itself.
        return Claim(
            message.id or _new_id(at),
            message.channel,
            message.purpose,
            mask(message.to),
            self._fingerprint.of("recipient", message.to),
            body_hash,
            at,
            key_hash,
            count_segments(message.text).count if message.channel == "sms" else None,
        )

    def ended(
        self,
        claim: Claim,
        attempts: tuple[Attempt, ...],
        asked_at: float,
        retry_after: Callable[[], float | None],
        *,
        logged: bool,
    ) -> Delivery:
        """The delivery; `retry_after` is asked where nothing was sent."""
        status = status_of(attempts)
        # By the monotonic clock: a step of the wall clock must not make it last an hour.
        ended_at = claim.at + max(0.0, self._clock.monotonic() - asked_at)
        return Delivery(  # by position, as above
            claim.id,
            claim.channel,
            claim.purpose,
            status,
            claim.at,
            ended_at,
            attempts,
            claim.recipient,
            claim.recipient_hash,
            claim.segments,
            _reason(attempts),
            retry_after() if status.surely_not_sent else None,
            logged,
        )


def _new_id(at: float) -> str:
    # Milliseconds first: ids in the order of time append to the log's index.
    return f"otp_{int(at * 1000):012x}{random_hex(6)}"


def _reason(attempts: Sequence[Attempt]) -> str | None:
    """What the last provider that was tried said; None after an acceptance or where none was."""
    for attempt in reversed(attempts):
        if attempt.tried:
            return None if attempt.outcome is Outcome.ACCEPTED else attempt.reason
    return None
