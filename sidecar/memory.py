"""Memory: what a crowd needs is not searched for garbage, and is given back when it has gone.

glibc keeps freed memory for the next one: after two thousand sends at once over TLS a process held
203 MB, and 128 MB once it was told to give back what it could. With another C library nothing is
given back.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

INTERVAL = 10.0
"""Seconds between two looks for memory to give back."""
QUIET = 10
"""Sends begun between two looks, or under way, below which it is quiet.

To give 80 MB back takes 10 ms of the loop."""
GROWTH = 1.05
"""Of what it was after the last time; with less nothing is done."""
GLANCE = 0.25
"""Seconds between two looks at the sends under way, for the collector's threshold."""
YOUNG = 10_000
"""Objects that may be made and kept before Python searches them for cycles."""
EACH = 100
"""So many more for each send under way: more than it has, its connections included."""
FADE = 0.9
"""The part of a crowd that is still reckoned with at the next glance after it has gone."""
_STATM = Path("/proc/self/statm")


def give_back() -> None:
    """Collect what is left of dead connections, and give freed memory back."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def resident() -> int:
    """Bytes of memory that the process holds; 0 where the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class Thrift:
    """Looks every `INTERVAL` whether a crowd has gone.

    `begun` counts the sends so far, `under_way` those that have not ended. `give_back` and
    `resident` are for tests.
    """

    def __init__(
        self,
        begun: Callable[[], int],
        under_way: Callable[[], int],
        *,
        give_back: Callable[[], None] = give_back,
        resident: Callable[[], int] = resident,
    ) -> None:
        self._begun = begun
        self._under_way = under_way
        self._give_back = give_back
        self._resident = resident
        self._before = begun()
        self._least = resident()

    def look(self) -> None:
        """Give back where it is quiet, and there is more than there was the last time."""
        begun = self._begun()
        quiet = max(begun - self._before, self._under_way()) < QUIET
        if quiet and self._resident() > self._least * GROWTH:
            self._give_back()
            self._least = self._resident()
        self._before = begun


class Threshold:
    """The collector's: has it search what is left behind for cycles, not what is under way.

    It searches whenever there are so many more objects than the last time. Two thousand sends are
    a hundred thousand: it went through them again and again, for up to 90 ms each time and for a
    tenth of the processor, and found forty that were garbage.
    """

    def __init__(self, under_way: Callable[[], int]) -> None:
        self._under_way = under_way
        self._most = 0.0

    def look(self) -> None:
        self._most = max(self._under_way(), self._most * FADE)
        _search_after(YOUNG + EACH * round(self._most))


def _search_after(objects: int) -> None:
    gc.set_threshold(objects, 20, 50)


async def watch(begun: Callable[[], int], under_way: Callable[[], int]) -> None:
    """Set the collector's threshold, and give memory back, until cancelled."""
    threshold, thrift = Threshold(under_way), Thrift(begun, under_way)
    try:
        while True:
            for _ in range(round(INTERVAL / GLANCE)):
                threshold.look()
                await asyncio.sleep(GLANCE)
            thrift.look()
    finally:
        _search_after(YOUNG)  # nobody would take a crowd's back
