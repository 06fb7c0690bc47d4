"""A wall clock that can be set for one process, and never stops being set."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOUR, YEAR = 3_600.0, 365 * 86_400.0
JUMPS = (HOUR, -HOUR, 10 * YEAR, -10 * YEAR)


class WallClock:
    """The clock of the sidecar's machine, as `soak.shifted` reads it; `jumps` counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jumps = 0
        self._held = False
        path.write_bytes(struct.pack("d", 0.0))

    @contextmanager
    def right(self) -> Iterator[None]:
        """Right for a process that begins, and until it has begun."""
        self._held = True
        self._set(0.0)
        try:
            yield
        finally:
            self._held = False

    def jump(self, to: float) -> None:
        """Be `to` seconds ahead of the right time, unless a process begins."""
        if not self._held:
            self._set(to)
            self.jumps += 1

    async def wander(self, dice: random.Random) -> None:
        """Jump now and then, for ever."""
        while True:
            await asyncio.sleep(dice.uniform(1.0, 4.0))
            self.jump(dice.choice((*JUMPS, 0.0)))

    def _set(self, to: float) -> None:
        with self.path.open("r+b") as file:  # in place: it is mapped
            file.write(struct.pack("d", to))
