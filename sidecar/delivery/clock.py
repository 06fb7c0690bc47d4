"""Time, handed in: the core never asks the machine for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from sidecar.delivery.timeouts import Timeouts


class Clock(Protocol):
    """Where the core gets time from. `sidecar.testing.ManualClock` is the one for tests."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; for every duration and deadline."""

    def time(self) -> float:
        """Unix time in seconds, without jumps: for records, and for ages of a day or more."""

    async def wait(self, future: asyncio.Future[Any], seconds: float) -> bool:
        """Wait for `future`, at most `seconds`; True when it is done. Never cancels it."""

    async def expect(self, signal: asyncio.Future[None], seconds: float) -> None:
        """Wait for a future that is the caller's own; after `seconds` it is set all the same.

        Cancelled, it cancels `signal`.
        """


FOLLOWED = 60.0
"""Seconds by which the machine's clock may be corrected at a time, and `time()` goes along."""


class SystemClock:
    """The machine's clock and the running event loop.

    `time()` follows corrections of the machine's clock, and no jump: it then counts on as before,
    until the process ends, and `on_jump` hears by how many seconds. A clock that is set ten years
    ahead would else have every idempotency key forgotten and the whole log pruned; one that is set
    back would have keys live as long. `wall` and `steady` are for tests.
    """

    def __init__(
        self,
        on_jump: Callable[[float], None] = lambda _: None,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
    ) -> None:
        self._on_jump = on_jump
        self._wall = wall
        self._steady = steady or _boot_time
        self._ahead = self._seen = wall() - self._steady()
        self._timeouts: Timeouts | None = None

    monotonic = staticmethod(time.monotonic)

    def time(self) -> float:
        now = self._steady()
        ahead = self._wall() - now
        if abs(ahead - self._ahead) <= FOLLOWED:
            self._ahead = self._seen = ahead
        elif abs(ahead - self._seen) > FOLLOWED:
            self._seen = ahead
            self._on_jump(ahead - self._ahead)
        return now + self._ahead

    async def wait(self, future: asyncio.Future[Any], seconds: float) -> bool:
        # Not wait_for, which waits on for a task that swallows its cancellation; and this is half
        # the price of asyncio.wait, which is made for many.
        if future.done():
            return True
        signal = asyncio.get_running_loop().create_future()
        wake = partial(_release, signal)
        future.add_done_callback(wake)
        try:
            await self.expect(signal, seconds)
        finally:
            if not future.done():
                future.remove_done_callback(wake)
        return future.done()

    async def expect(self, signal: asyncio.Future[None], seconds: float) -> None:
        loop = signal.get_loop()
        timeouts = self._timeouts
        if timeouts is None or timeouts.loop is not loop:
            timeouts = self._timeouts = Timeouts(loop)
        timeout = timeouts.at(loop.time() + max(0.0, seconds), partial(_release, signal))
        try:
            await signal
        finally:
            timeouts.call_off(timeout)


def _release(signal: asyncio.Future[None], *_: object) -> None:
    if not signal.done():
        signal.set_result(None)


# Seconds that also count while the machine sleeps; those of `monotonic` do not on Linux.
_boot_time: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)
