"""The delivery log: what was asked, what was tried, how it ended - never the text or the code.

Every write happens before what it announces: the claim before the chain is asked, the `sending` row
before a provider is called. After a crash the log knows what may have been sent, and recovery sends
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sidecar.delivery.model import Attempt, Delivery
from sidecar.store.costs import DayCosts


class LogUnavailable(Exception):
    """The log could not be read or written in time; nothing of the operation took effect."""


class NotUnderWay(LogUnavailable):
    """The log has no such run under way: it was ended, withdrawn, or run again meanwhile."""

    def __init__(self) -> None:
        super().__init__("the log has no such delivery under way")


class LogError(Exception):
    """The log cannot be opened at all; the text says why, in one line for a person."""


class Claim(NamedTuple):
    """A wish to deliver one message under its key.

    `key_hash` is None where the caller gave no idempotency key. `body_hash` tells one request body
    from another; both are keyed hashes, so that the log gives neither away. `recipient` is masked.
    `at` is Unix time in seconds.
    """

    id: str
    channel: str
    purpose: str
    recipient: str
    recipient_hash: str
    body_hash: str
    at: float
    key_hash: str | None = None
    segments: int | None = None


class Hashes(Protocol):
    """What tells whether two wishes are one: a `Claim` has them."""

    @property
    def key_hash(self) -> str | None: ...

    @property
    def body_hash(self) -> str: ...


def is_same(claim: Hashes, body_hash: str, key_hash: str | None) -> bool:
    """Whether the delivery that was found, with these hashes, is the one that `claim` means."""
    same_key = None in (claim.key_hash, key_hash) or claim.key_hash == key_hash
    return same_key and claim.body_hash == body_hash


class Claimed(NamedTuple):
    """The claim is on disk. `run` counts the runs under this id, from 1."""

    id: str
    run: int


@dataclass(frozen=True, slots=True)
class Existing:
    """The key or the id is known already: this is what became of it."""

    delivery: Delivery
    same_body: bool


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a start found unfinished and closed: counts of attempts and of deliveries."""

    attempts: int = 0
    deliveries: int = 0


class DeliveryLog(Protocol):
    """The log as the dispatcher sees it. Every method but `open` raises `LogUnavailable`."""

    @property
    def answers_within(self) -> float:
        """Seconds after which an operation has surely ended; infinite where nothing bounds it."""

    async def open(self) -> Recovery:
        """Open it, bring an older schema up to date, and close what a crash left open.

        Every `sending` attempt becomes `unknown`; every pending delivery gets its terminal status.
        Raises `LogError`.
        """

    async def claim(
        self, claim: Claim, *, keep_keys: float, first: Sequence[Attempt] = ()
    ) -> Claimed | Existing:
        """Claim the key, or say what is there already. `keep_keys`: seconds a key is remembered.

        The key decides where it is known, whatever id comes with it; then the id does, but not
        under another key. A delivery that surely was not sent is claimed again, with the same
        body, as its next run. Cancelled, the claim is given back.

        `first` is what `sending` would write next - the attempts so far, and the one that is about
        to be made - and is written in the same commit: one hand-over less for every send.
        """

    async def sending(self, claimed: Claimed, so_far: Sequence[Attempt], call: Attempt) -> None:
        """Write the attempts so far, and the `call` that is about to be made, in one commit.

        `so_far` only grows in the course of a run. Refused where this run is not under way.
        """

    async def finish(self, claimed: Claimed, delivery: Delivery) -> None:
        """Write every attempt and the terminal status, in one commit. It may be said again.

        Of `delivery` are written: attempts, status, `ended_at`, reason, `retry_after` and `logged`;
        the rest stays as it was claimed. Refused where the log has no such run.
        """

    async def get(self, delivery_id: str) -> Delivery | None:
        """The delivery with the attempts of its latest run; None where the log has none.

        A pending one shows the attempts that have ended.
        """

    async def costs(self, since: str) -> Sequence[DayCosts]:
        """What was spent on each day (UTC) from `since` on (ISO 8601), by provider and currency.

        It counts the deliveries that have ended, those that were pruned included.
        """

    async def sum_up(self, until: float, limit: int) -> int:
        """Add to the sums of their days what at most `limit` deliveries cost; how many it were.

        Only those claimed until then (Unix time) and ended: so that `costs` need not count them.
        """

    async def prune(self, before: float, limit: int) -> int:
        """Remove at most `limit` terminal deliveries, the oldest first; how many.

        Only those that were claimed before `before` (Unix time).
        """

    async def ping(self) -> None:
        """Prove that it can be written to."""

    async def close(self) -> None:
        """Write what is queued, and let go."""
