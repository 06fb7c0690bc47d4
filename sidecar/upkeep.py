"""The log beside the sends: made, read into the books at the start, summed up, and pruned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from sidecar.config import Config
from sidecar.delivery.clock import Clock
from sidecar.money.books import Books
from sidecar.store import DeliveryLog, LogUnavailable
from sidecar.store.memory import MemoryLog
from sidecar.store.sqlite import SqliteLog

INTERVAL = 60.0
"""Seconds between two rounds."""
STEP = 500
"""Deliveries removed in one step, so that a send never waits behind a long one."""
SUM_STEP = 100
"""Deliveries summed up in one step: about a millisecond of the log's thread."""
SETTLED = 60.0
"""Seconds after which the cost of a delivery is added to its day's sum: it has ended by then."""


def make_log(config: Config) -> DeliveryLog:
    """The log that the configuration wants."""
    if config.log.path == ":memory:":
        return MemoryLog()
    gaps = config.log.unavailable == "degrade"
    return SqliteLog(Path(config.log.path), durability=config.log.durability, gaps=gaps)


async def why_not_writable(log: DeliveryLog) -> str | None:
    """A sentence for who asks whether the sidecar is ready; None where it is."""
    try:
        await log.ping()
    except LogUnavailable:
        return "the delivery log cannot be written"
    return None


async def open_books(books: Books, log: DeliveryLog) -> None:
    """Begin the books with what the log says of this month. Raises `LogUnavailable`."""
    books.restore(await log.costs(f"{books.today().month}-01"))


async def keep_tidy(log: DeliveryLog, clock: Clock, retention: Callable[[], float]) -> None:
    """Until cancelled: sum up what has ended, and remove what is older than `retention` seconds."""
    while True:
        await asyncio.sleep(INTERVAL)
        now = clock.time()
        try:
            while await log.sum_up(now - SETTLED, SUM_STEP) == SUM_STEP:
                pass
            while await log.prune(now - retention(), STEP) == STEP:
                pass
        except LogUnavailable:
            structlog.get_logger().warning("prune_failed")
