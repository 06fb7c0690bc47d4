"""Many timeouts with one timer of the event loop.

Nearly every timeout of a send is called off before its time. To set a timer of the loop and to
call it off costs more than a row of the log; here each is an entry in a dictionary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from itertools import count

TICKS = 100
"""Ticks a second: a timeout comes up to one of them late, and never early."""

FAR = 1e9
"""Seconds on the loop's clock that never come; infinity and NaN are as far."""
AT_ONCE = 8
"""Calls in one step of the loop: of a hundred that are due together each wakes somebody."""

Timeout = tuple[int, int]


class Timeouts:
    """The timeouts of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._numbers = count()
        self._due: dict[int, dict[int, Callable[[], None]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0  # the tick at which the timer goes off

    def at(self, when: float, call: Callable[[], None]) -> Timeout:
        """Have `call` called at `when`, in seconds on the loop's clock, unless it is called off.

        It must not raise.
        """
        tick = int(min(FAR, when) * TICKS) + 1
        number = next(self._numbers)
        calls = self._due.get(tick)
        if calls is None:
            calls = self._due[tick] = {}
        calls[number] = call
        if self._timer is None or tick < self._next:
            self._set(tick)
        return tick, number

    def call_off(self, timeout: Timeout) -> None:
        """Forget it; nothing where it has come already."""
        calls = self._due.get(timeout[0])
        if calls is not None:
            calls.pop(timeout[1], None)

    def _set(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = tick
        # Not in the context of whichever request happens to set it.
        self._timer = self.loop.call_at(tick / TICKS, self._look, context=Context())

    def _look(self) -> None:
        # A loop's clock may be a moment behind its timer.
        now = max(self._next, int(self.loop.time() * TICKS))
        self._timer, left = None, AT_ONCE
        for tick in sorted(tick for tick in self._due if tick <= now):
            left = self._call(self._due[tick], left)
            if not left:
                break
        self._due = {tick: calls for tick, calls in self._due.items() if calls}
        if self._due:
            self._set(min(self._due))

    def _call(self, calls: dict[int, Callable[[], None]], most: int) -> int:
        """Call the first of them; how many more there may be."""
        while calls and most:
            calls.pop(next(iter(calls)))()
            most -= 1
        return most
