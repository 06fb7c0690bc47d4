"""Writing ahead for one delivery, and keeping what the log did not take yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sidecar.delivery.clock import Clock
from sidecar.delivery.link import Link
from sidecar.delivery.model import Attempt, Delivery
from sidecar.store import Claimed, DeliveryLog, LogUnavailable

RETRY_INTERVAL = 1.0
"""Seconds between two tries to write what the log did not take."""


class Journal:
    """The log as one delivery's chain sees it; `complete` tells whether it took every row."""

    def __init__(
        self, log: DeliveryLog, claimed: Claimed | None, clock: Clock, *, degrade: bool
    ) -> None:
        self.complete = claimed is not None
        self._log = log
        self._claimed = claimed
        self._clock = clock
        self._degrade = degrade

    async def sending(self, link: Link, so_far: Sequence[Attempt]) -> bool:
        if self._claimed is None:
            return self._degrade
        try:
            at = self._clock.time()
            await self._log.sending(self._claimed, so_far, link.name, link.kind, at)
        except LogUnavailable:
            self.complete = False
            return self._degrade
        return True


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

    async def finish(self, claimed: Claimed, delivery: Delivery) -> None:
        """Write the end of a delivery, now or as soon as the log takes it."""
        try:
            await self._log.finish(claimed, delivery)
        except LogUnavailable:
            self._waiting[claimed.id] = (claimed, delivery)
            if self._writer is None or self._writer.done():
                self._writer = asyncio.create_task(self._keep_writing())

    async def close(self) -> None:
        """Try once more; what the log still refuses, the next start closes as unknown."""
        if self._writer is not None:
            self._writer.cancel()
        await self._write()

    async def _keep_writing(self) -> None:
        while self._waiting:
            await asyncio.sleep(RETRY_INTERVAL)
            await self._write()

    async def _write(self) -> None:
        for delivery_id, (claimed, delivery) in list(self._waiting.items()):
            try:
                await self._log.finish(claimed, delivery)
            except LogUnavailable:
                return
            self._waiting.pop(delivery_id, None)
