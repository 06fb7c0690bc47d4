"""The delivery log in memory: for `log.path: ":memory:"`, and for tests. A restart forgets it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sidecar.delivery.model import Attempt, Bill, Delivery, Status
from sidecar.store import Claim, Claimed, Existing, LogUnavailable, NotUnderWay, Recovery, is_same
from sidecar.store.costs import DayCosts, Sums
from sidecar.store.recovery import closed, under_way


@dataclass(slots=True)
class _Entry:
    claim: Claim
    run: int
    delivery: Delivery
    under_way: Attempt | None = None


class MemoryLog:
    """A `DeliveryLog` that keeps at most `limit` terminal deliveries; the first to end goes first.

    `now` returns Unix time in seconds.
    """

    answers_within = math.inf

    def __init__(self, *, limit: int = 10_000, now: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._now = now
        self._is_open = False
        self._entries: dict[str, _Entry] = {}
        self._by_key: dict[str, str] = {}
        self._pruned = Sums()
        self._ended: dict[str, None] = {}  # ids of the terminal ones, in the order they ended

    async def open(self) -> Recovery:
        self._is_open = True
        pending = [e for e in self._entries.values() if e.delivery.status is Status.PENDING]
        attempts = sum(e.under_way is not None for e in pending)
        for entry in pending:
            self._end(entry, closed(entry.delivery, entry.under_way, self._now()))
        return Recovery(attempts, len(pending))

    async def claim(
        self, claim: Claim, *, keep_keys: float, first: Sequence[Attempt] = ()
    ) -> Claimed | Existing:
        answer = self._claim(claim, keep_keys)
        if first and isinstance(answer, Claimed):
            await self.sending(answer, first[:-1], first[-1])
        return answer

    def _claim(self, claim: Claim, keep_keys: float) -> Claimed | Existing:
        self._must_be_open()
        found = self._found(claim, keep_keys)
        if found is None:
            return self._begin(_Entry(claim, 1, _pending(claim)))
        same_body = is_same(claim, found.claim.body_hash, found.claim.key_hash)
        if not same_body or not found.delivery.status.surely_not_sent:
            return Existing(found.delivery, same_body)
        remembered = found.claim.key_hash if found.claim.at > claim.at - keep_keys else None
        again = claim._replace(id=found.claim.id, key_hash=claim.key_hash or remembered)
        self._prune(found.claim.id)
        return self._begin(_Entry(again, found.run + 1, _pending(again)))

    async def sending(self, claimed: Claimed, so_far: Sequence[Attempt], call: Attempt) -> None:
        entry = self._run_of(claimed)
        if entry.delivery.status is not Status.PENDING:
            raise NotUnderWay
        entry.delivery = replace(entry.delivery, attempts=tuple(so_far))
        bill = Bill(call.cost, call.units) if call.units else None
        entry.under_way = under_way(call.provider, call.kind, call.started_at, bill)

    async def finish(self, claimed: Claimed, delivery: Delivery) -> None:
        entry = self._run_of(claimed)
        ended = replace(
            entry.delivery,
            status=delivery.status,
            ended_at=delivery.ended_at,
            attempts=delivery.attempts,
            reason=delivery.reason,
            retry_after=delivery.retry_after,
            logged=delivery.logged,
        )
        self._end(entry, ended)

    async def get(self, delivery_id: str) -> Delivery | None:
        self._must_be_open()
        entry = self._entries.get(delivery_id)
        return entry.delivery if entry else None

    async def costs(self, since: str) -> Sequence[DayCosts]:
        self._must_be_open()
        found = Sums(self._pruned)
        for delivery_id in self._ended:
            found.add_trail(self._entries[delivery_id].delivery.attempts)
        return [one for one in found if one.day >= since]

    async def sum_up(self, until: float, limit: int) -> int:
        return 0  # it counts when it is asked

    async def prune(self, before: float, limit: int) -> int:
        self._must_be_open()
        old = [
            entry.delivery
            for entry in self._entries.values()
            if entry.claim.id in self._ended and entry.delivery.started_at < before
        ]
        old.sort(key=lambda delivery: delivery.started_at)
        for delivery in old[:limit]:
            self._prune(delivery.id)
        return len(old[:limit])

    async def ping(self) -> None:
        self._must_be_open()

    async def close(self) -> None:
        self._is_open = False

    def _must_be_open(self) -> None:
        if not self._is_open:
            raise LogUnavailable("the log is not open")

    def _found(self, claim: Claim, keep_keys: float) -> _Entry | None:
        by_key = self._entries.get(self._by_key.get(claim.key_hash or "", ""))
        if by_key is not None and by_key.claim.at > claim.at - keep_keys:
            return by_key
        return self._entries.get(claim.id)

    def _begin(self, entry: _Entry) -> Claimed:
        claim = entry.claim
        self._entries[claim.id] = entry
        if claim.key_hash is not None:
            self._by_key[claim.key_hash] = claim.id
        return Claimed(claim.id, entry.run)

    def _run_of(self, claimed: Claimed) -> _Entry:
        self._must_be_open()
        entry = self._entries.get(claimed.id)
        if entry is None or entry.run != claimed.run:
            raise NotUnderWay
        return entry

    def _end(self, entry: _Entry, delivery: Delivery) -> None:
        entry.delivery, entry.under_way = delivery, None
        self._ended[entry.claim.id] = None
        if len(self._ended) > self._limit:
            self._prune(next(iter(self._ended)))

    def _prune(self, delivery_id: str) -> None:
        self._pruned.add_trail(self._entries[delivery_id].delivery.attempts)
        self._forget(delivery_id)

    def _forget(self, delivery_id: str) -> None:
        del self._ended[delivery_id]
        key_hash = self._entries.pop(delivery_id).claim.key_hash
        if key_hash is not None and self._by_key.get(key_hash) == delivery_id:
            del self._by_key[key_hash]


def _pending(claim: Claim) -> Delivery:
    return Delivery(
        claim.id,
        claim.channel,
        claim.purpose,
        Status.PENDING,
        claim.at,
        recipient=claim.recipient,
        recipient_hash=claim.recipient_hash,
        segments=claim.segments,
    )
