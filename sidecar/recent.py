"""What was sent lately, by key and id: for when the log cannot say it."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.delivery.clock import Clock
from sidecar.delivery.model import Delivery, Status
from sidecar.store import Existing

LIMIT = 10_000
"""Names that are remembered; beyond, the oldest are forgotten."""
_REPLAYED = (Status.ACCEPTED, Status.UNKNOWN)

Names = Iterable[str | None]
"""A send's key, then its id, each where it has one: either finds it."""


class Recent:
    """A memory of the process for `log.unavailable: degrade`; a restart ends it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, str, Delivery]] = {}

    def keep(self, names: Names, body_hash: str, delivery: Delivery, seconds: float) -> None:
        """Remember it for so long, where it may have been sent and has a name."""
        if delivery.status not in _REPLAYED:
            return
        entry = (self._clock.monotonic() + seconds, body_hash, delivery)
        for name in filter(None, names):
            self._known[name] = entry
            if len(self._known) > LIMIT:
                del self._known[next(iter(self._known))]

    def get(self, names: Names, body_hash: str) -> Existing | None:
        """What became of the first of these names that is remembered."""
        if not self._known:  # as nearly always
            return None
        for name in filter(None, names):
            if name not in self._known:
                continue
            until, known_hash, delivery = self._known[name]
            if until > self._clock.monotonic():
                return Existing(delivery, same_body=known_hash == body_hash)
            del self._known[name]
        return None
