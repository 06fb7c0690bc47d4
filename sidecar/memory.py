"""Memory that a crowd needed, given back to the system when the crowd has gone.

glibc keeps freed memory for the next one: after two thousand sends at once over TLS a process held
203 MB, and 128 MB once it was told to give back what it could. Elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

INTERVAL = 10.0
"""Seconds between two looks."""
QUIET = 10
"""Sends begun between two looks, or under way, below which it is quiet.

To give 80 MB back takes 10 ms of the loop."""
GROWTH = 1.05
"""Of what it was after the last time; with less nothing is done."""
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
