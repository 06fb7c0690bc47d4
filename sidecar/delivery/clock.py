"""Time, handed in: the core never asks the machine for it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol


class Clock(Protocol):
    """Where the core gets time from. `sidecar.testing.ManualClock` is the one for tests."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; for every duration and deadline."""

    def time(self) -> float:
        """Unix time in seconds; for records only, never for a decision."""

    async def wait(self, future: asyncio.Future[Any], seconds: float) -> bool:
        """Wait for `future`, at most `seconds`; True when it is done. Never cancels it."""


class SystemClock:
    """The machine's clock and the running event loop."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    async def wait(self, future: asyncio.Future[Any], seconds: float) -> bool:
        # asyncio.wait, not wait_for: the latter waits on for a task that swallows its cancellation.
        done, _ = await asyncio.wait({future}, timeout=max(0.0, seconds))
        return bool(done)
