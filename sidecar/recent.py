"""What was sent lately, by key and id: for when the log cannot say it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sidecar.delivery.clock import Clock
from sidecar.delivery.model import Delivery, Status
from sidecar.store import Existing, is_same

LIMIT = 10_000
"""Names that are remembered; beyond, the oldest are forgotten."""
_REPLAYED = (Status.ACCEPTED, Status.UNKNOWN)


class Asked(NamedTuple):
    """How a caller names a send: `id` is empty, and `key_hash` None, where it gives none."""

    key_hash: str | None
    id: str
    body_hash: str

    def names(self) -> Iterator[str]:
        if self.key_hash is not None:
            yield self.key_hash
        if self.id:
            yield f"id {self.id}"


class Recent:
    """A memory of the process for `log.unavailable: degrade`; a restart ends it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, Asked, Delivery]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, asked: Asked, delivery: Delivery, seconds: float) -> None:
        """Remember it for so long, where it may have been sent."""
        if delivery.status not in _REPLAYED:
            return
        for name in asked.names():
            self._known.pop(name, None)  # it is the latest now
            self._known[name] = (self._clock.monotonic() + seconds, asked, delivery)
            if len(self._known) > LIMIT:
                del self._known[next(iter(self._known))]

    def get(self, asked: Asked) -> Existing | None:
        """What became of the same key, or else of the same id, where that is remembered."""
        for name in asked.names():
            if name not in self._known:
                continue
            until, known, delivery = self._known[name]
            if until > self._clock.monotonic():
                return Existing(delivery, is_same(asked, known.body_hash, known.key_hash))
            del self._known[name]
        return None
