"""The clock of tests: it moves when it is told to."""

from __future__ import annotations

import asyncio
from typing import Any


class ManualClock:
    """A clock moved by hand, from `start` seconds on; `stepped` sets its wall face ahead."""

    def __init__(self, start: float = 1_000.0) -> None:
        self._now, self.stepped = start, 0.0
        self._alarms: list[tuple[float, asyncio.Event]] = []

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return self._now + self.stepped

    def advance(self, seconds: float) -> None:
        """Move on; every wait whose time has come ends."""
        self._now += seconds
        for at, alarm in self._alarms:
            if at <= self._now:
                alarm.set()

    @property
    def waiting(self) -> int:
        """How many waits are under way."""
        return len(self._alarms)

    async def wait(self, future: asyncio.Future[Any], seconds: float) -> bool:
        entry = (self._now + seconds, asyncio.Event())
        self._alarms.append(entry)
        self.advance(0.0)  # a wait of no time ends at once
        ringing = asyncio.ensure_future(entry[1].wait())
        try:
            await asyncio.wait({future, ringing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._alarms.remove(entry)
            ringing.cancel()
        return future.done()

    async def expect(self, signal: asyncio.Future[None], seconds: float) -> None:
        try:
            if not await self.wait(signal, seconds):
                signal.set_result(None)
        except asyncio.CancelledError:
            signal.cancel()
            raise
