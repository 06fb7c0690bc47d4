"""What was sent while the log could not be written, by key: a retry must not send it again."""

from __future__ import annotations

from sidecar.delivery.clock import Clock
from sidecar.delivery.model import Delivery, Status
from sidecar.store import Existing

LIMIT = 10_000
"""Deliveries that are remembered; beyond, the oldest are forgotten."""
_REPLAYED = (Status.ACCEPTED, Status.UNKNOWN)


class Unlogged:
    """A memory of the process for what `log.unavailable: degrade` sends; a restart ends it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, str, Delivery]] = {}

    def keep(self, key: str | None, body_hash: str, delivery: Delivery, seconds: float) -> None:
        """Remember it for so long, where it may have been sent and has a key."""
        if not key or delivery.status not in _REPLAYED:
            return
        self._known[key] = (self._clock.monotonic() + seconds, body_hash, delivery)
        if len(self._known) > LIMIT:
            del self._known[next(iter(self._known))]

    def get(self, key: str | None, body_hash: str) -> Existing | None:
        """What became of this key, where it is remembered."""
        if not self._known or key not in self._known:  # as nearly always
            return None
        until, known_hash, delivery = self._known[key]
        if until <= self._clock.monotonic():
            del self._known[key]
            return None
        return Existing(delivery, same_body=known_hash == body_hash)
