"""Lines on their way out: gathered, written where there is room, and lost rather than waited for.

Whoever reads may stop reading: a pipe that is full would hold up the event loop, and every send
with it. So a write waits for nobody; what finds no room waits, up to a bound, and is tried again.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

INTERVAL = 0.05
"""Seconds that a line which is not urgent may wait for others."""
ENOUGH = 128
"""Lines that are written without waiting for more: 50 KiB or so."""
MOST = 4_096
"""Lines kept while nobody reads, a few MiB; beyond, lines are lost and counted."""
AT_ONCE = min(select.PIPE_BUF, 4_096)
"""Bytes of one write. A pipe that has room takes so many, all at once or not at all."""
LAST_WORDS = 0.5
"""Seconds that an end waits for a reader."""


class Writer:
    """Writes lines to a descriptor, whole, and in the order in which they came.

    No lock is waited for: a line may be written while another one is, by a destructor or a signal's
    handler in the middle of it. `notice` makes the line that tells how many were lost.
    """

    def __init__(
        self,
        descriptor: int,
        notice: Callable[[int], bytes],
        *,
        interval: float = INTERVAL,
        most: int = MOST,
    ) -> None:
        self._descriptor = descriptor
        self._notice = notice
        self._interval = interval
        self._most = most
        self._waiting: deque[bytes] = deque()
        self._rest = b""  # of what was written in part
        self._lost = 0
        self._torn = False  # the last thing written was a part of a line
        self._well = True  # and was written without an error
        self._turn = threading.Lock()
        self._due: asyncio.AbstractEventLoop | None = None
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)

    def write(self, line: bytes, *, now: bool) -> None:
        """Have a line written, its end included: at once, or by the loop within the interval."""
        waiting = self._waiting
        if len(waiting) >= self._most:
            self._lost += 1
            return
        waiting.append(line)
        if now or len(waiting) >= ENOUGH or not self._look_later():
            self.flush()

    def flush(self, seconds: float = 0.0) -> bool:
        """Write what there is room for within `seconds`; whether that was everything."""
        end = time.monotonic() + seconds if seconds else 0.0
        # Whoever has the turn sees what others add meanwhile, or they find the turn free again.
        while self._pending() and self._turn.acquire(blocking=False):
            try:
                went_on = self._step(max(0.0, end - time.monotonic()) if seconds else 0.0)
            finally:
                self._turn.release()
            if not went_on:
                self._look_later()
                break
        return not self._pending()

    def _pending(self) -> bool:
        return bool(self._rest or self._waiting or (self._lost and self._well))

    def _step(self, patience: float) -> bool:
        """One write; False where there is no room."""
        if not self._room.poll(patience * 1000):
            return False
        told = 0
        data = self._rest or self._take()
        if not data:
            told = self._lost
            data = self._notice(told)
        if self._torn and not self._rest:
            data = b"\n" + data
        try:
            count = os.write(self._descriptor, data[:AT_ONCE])
        except BlockingIOError:  # whoever shares the descriptor made it one that does not wait
            self._rest = b"" if told else data
            return False
        except OSError:  # a full disk and a closed pipe are no reason to fail
            self._rest, self._well = b"", False
            self._lost += 0 if told else data.rstrip(b"\n").lstrip(b"\n").count(b"\n") + 1
            return True
        self._rest, self._well = data[count:], True
        self._torn = data[count - 1] != ord("\n")
        self._lost -= told
        return True

    def _take(self) -> bytes:
        lines: list[bytes] = []
        room = AT_ONCE
        while self._waiting and (not lines or len(self._waiting[0]) <= room):
            lines.append(self._waiting.popleft())
            room -= len(lines[-1])
        return b"".join(lines)

    def _look_later(self) -> bool:
        """Have the running loop write; False where there is none."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if self._due is not loop:
            self._due = loop
            loop.call_later(self._interval, self._look)
        return True

    def _look(self) -> None:
        self._due = None
        self.flush()


class _Process:
    """The one writer of this process."""

    writer: Writer | None = None


def adopt(writer: Writer) -> None:
    """Make it the one that `flush` means, and that is flushed when Python ends."""
    _Process.writer = writer
    atexit.register(writer.flush, LAST_WORDS)


def flush(seconds: float = LAST_WORDS) -> None:
    """Before the process ends without Python's own end: write what waits, if somebody reads."""
    if _Process.writer is not None:
        _Process.writer.flush(seconds)
