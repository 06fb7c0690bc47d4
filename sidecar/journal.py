"""Writing ahead for one delivery, and keeping what the log did not take yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar

import structlog

from sidecar import crash
from sidecar.delivery.clock import Clock
from sidecar.delivery.link import Link
from sidecar.delivery.model import Attempt, Bill, Delivery, Status
from sidecar.store import Claimed, DeliveryLog, Existing, LogUnavailable, NotUnderWay
from sidecar.store.recovery import under_way

T = TypeVar("T")

RETRY_INTERVAL = 1.0
"""Seconds between two tries to write what the log did not take."""


def complain(step: str, error: BaseException) -> None:
    """Say that the log did not take a step; a `LogUnavailable` is in our own words."""
    why = str(error) if isinstance(error, LogUnavailable) else type(error).__name__
    structlog.get_logger().error("log_unavailable", step=step, reason=why)


def within(seconds: float, log: DeliveryLog, operation: Awaitable[T]) -> Awaitable[T]:
    """What an operation of `log` gives. Raises TimeoutError after `seconds`.

    Where the log's own bound comes first, that one is enough: a timer costs more than the row.
    """
    return operation if log.answers_within < seconds else _bounded(seconds, operation)


async def _bounded(seconds: float, operation: Awaitable[T]) -> T:
    async with asyncio.timeout(seconds):
        return await operation


class Journal:
    """The log as one delivery's chain sees it; `complete` tells whether it took every row.

    `ahead` are the attempts that were written with the claim, the last one about to be made; where
    it comes so, it is the one under way, with the time that the log has.
    """

    def __init__(
        self,
        log: DeliveryLog,
        claimed: Claimed | None,
        clock: Clock,
        *,
        degrade: bool,
        ahead: Sequence[Attempt] = (),
    ) -> None:
        if claimed is not None:
            crash.at("claim")
        self.complete = claimed is not None
        self._log = log
        self._claimed = claimed
        self._clock = clock
        self._degrade = degrade
        self._seen: tuple[Attempt, ...] = ()
        self._called: Attempt | None = None  # the call under way, as the log has it
        self._ahead = ahead

    def cut_off(self) -> tuple[Attempt, ...]:
        """The attempts so far, the one under way as `unknown`: for a delivery that is cut off."""
        if self._called is None:
            return self._seen
        return (*self._seen, self._called)

    async def sending(
        self, link: Link, so_far: Sequence[Attempt], bill: Bill | None = None
    ) -> bool:
        call = self._foreseen(link, so_far, bill)
        if call is None:
            call = under_way(link.name, link.kind, self._clock.time(), bill)
            if not await self._write(call, so_far):
                return False
        crash.at("sending")
        self._seen, self._called = tuple(so_far), call
        return True

    def ended(self, attempts: Sequence[Attempt]) -> None:
        self._seen, self._called = tuple(attempts), None

    async def _write(self, call: Attempt, so_far: Sequence[Attempt]) -> bool:
        if self._claimed is None:
            return self._degrade
        try:
            await self._log.sending(self._claimed, so_far, call)
        except LogUnavailable as error:
            complain("sending", error)
            self.complete = not self._degrade
            return self._degrade
        return True

    def _foreseen(self, link: Link, so_far: Sequence[Attempt], bill: Bill | None) -> Attempt | None:
        """The attempt as it was written with the claim, where it comes as it was foreseen."""
        # Of use for the first call alone, and at the price that was foreseen.
        ahead, self._ahead = self._ahead, ()
        if self._claimed is None or len(ahead) != len(so_far) + 1:
            return None
        call = ahead[-1]
        cost, units = (None, 0) if bill is None else (bill.cost, bill.units)
        if call.provider != link.name or call.units != units:
            return None
        if call.cost is not cost and call.cost != cost:  # usually it is the very same
            return None
        for at, walked in enumerate(so_far):
            if walked.tried or walked.provider != ahead[at].provider:
                return None
        return call


class Backlog:
    """Ended deliveries that the log did not take, kept in memory and written when it does."""

    def __init__(self, log: DeliveryLog) -> None:
        self._log = log
        self._waiting: dict[str, tuple[Claimed, Delivery]] = {}
        self._writer: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def get(self, delivery_id: str) -> Delivery | None:
        """The ended delivery, where it waits here."""
        entry = self._waiting.get(delivery_id)
        return entry[1] if entry else None

    async def finish(self, claimed: Claimed, delivery: Delivery, seconds: float) -> None:
        """Write the end of a delivery: within `seconds`, or later as soon as the log takes it."""
        if delivery.status is Status.ACCEPTED:
            crash.at("accepted")
        try:
            await within(seconds, self._log, self._log.finish(claimed, delivery))
        except NotUnderWay:
            return  # a `finish` that we gave up was written after all
        # Whatever its fault is, the answer is given, and also where the drain has just ended.
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
            complain("finish", error)
            self._waiting[claimed.id] = (claimed, delivery)
            if self._writer is None or self._writer.done():
                self._writer = asyncio.create_task(self._keep_writing())
        else:
            crash.at("written")

    async def settle(self, existing: Existing, seconds: float) -> bool:
        """Write an end that waits here of what surely was not sent, so that it may run again.

        False where none does, or the log does not take it within `seconds`.
        """
        entry = self._waiting.get(existing.delivery.id)
        if not existing.same_body or entry is None or not entry[1].status.surely_not_sent:
            return False
        try:
            await within(seconds, self._log, self._end(existing.delivery.id, entry))
        except Exception:  # noqa: BLE001  # whatever it is, it was complained of
            return False
        return True

    def forget(self, delivery_id: str) -> None:
        """The delivery runs again: how its last run ended is no longer of use."""
        self._waiting.pop(delivery_id, None)

    async def close(self) -> None:
        """Try once more; what the log still refuses, the next start closes."""
        if self._writer is not None:
            self._writer.cancel()
        await self._write()

    async def _keep_writing(self) -> None:
        while self._waiting:
            await asyncio.sleep(RETRY_INTERVAL)
            await self._write()

    async def _write(self) -> None:
        for delivery_id, entry in list(self._waiting.items()):
            try:
                await self._end(delivery_id, entry)
            except LogUnavailable:
                return  # the rest would fare no better
            except Exception:  # noqa: BLE001, S112  # this one alone; it was complained of
                continue

    async def _end(self, delivery_id: str, entry: tuple[Claimed, Delivery]) -> None:
        with suppress(NotUnderWay):  # written after all
            await self._log.finish(*entry)
        if self._waiting.get(delivery_id) is entry:
            del self._waiting[delivery_id]
