"""Lines on their way out: gathered, written by a thread, and lost rather than waited for.

Whoever reads may stop reading: a pipe that is full would hold up the event loop, and every send
with it. Only the thread waits for it; behind it a bounded number of lines does.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

INTERVAL = 0.05
"""Seconds that a line which is not urgent may wait for others."""
ENOUGH = 128
"""Lines that are written without waiting for more: 50 KiB or so."""
MOST = 4_096
"""Lines kept while nobody reads, a few MiB; beyond, lines are lost and counted."""
LAST_WORDS = 0.5
"""Seconds that an end waits for what is still to be written."""

_Done = SimpleQueue[None]


class Writer:
    """Writes lines to a descriptor, in the order in which they came.

    Nothing here takes a lock: a line may be written while another one is, by a destructor or a
    signal's handler in the middle of it. `notice` makes the line that tells how many were lost.
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
        self._lost = 0
        self._torn = False  # the last thing written was a part of a line
        # Why to look: a line that may wait (False), one that may not (True), somebody who asks.
        self._marks: SimpleQueue[bool | _Done] = SimpleQueue()
        self._marked = self._hurried = self._closed = False
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    def write(self, line: bytes, *, now: bool) -> None:
        """Have a line written, its end included: at once, or within the interval."""
        waiting = self._waiting
        if len(waiting) >= self._most:
            self._lost += 1
            return
        waiting.append(line)
        if self._closed:
            self._write_all()
        elif now or len(waiting) >= ENOUGH:
            if not self._hurried:
                self._hurried = True
                self._marks.put(True)
        elif not self._marked:
            self._marked = True
            self._marks.put(False)

    def flush(self, seconds: float = LAST_WORDS) -> bool:
        """Wait until everything is written; False where that takes longer than `seconds`."""
        done: _Done = SimpleQueue()
        self._marks.put(done)
        try:
            done.get(timeout=seconds)
        except Empty:
            return False
        return True

    def close(self) -> None:
        """Write what waits, and end the thread; later lines are written by whoever has them.

        Where nobody reads they are lost: the end of a process waits for no reader.
        """
        if not self._closed:
            self._most = self._most if self.flush() else 0
            self._closed = True
            self._marks.put(True)
            self._thread.join(LAST_WORDS if self._most else 0)

    def _run(self) -> None:
        while not self._closed:
            mark = self._marks.get()
            if mark is False:
                with suppress(Empty):
                    mark = self._marks.get(timeout=self._interval)
            # Before the lines are taken: one that comes from now on sets a mark of its own.
            self._marked = self._hurried = False
            self._write_all()
            if isinstance(mark, SimpleQueue):
                mark.put(None)

    def _write_all(self) -> None:
        written = False
        while lines := self._take():
            written = self._put(lines)
        if written and self._lost:
            lost = self._lost
            if self._put([self._notice(lost)]):
                self._lost -= lost

    def _take(self) -> list[bytes]:
        taken: list[bytes] = []
        with suppress(IndexError):
            while len(taken) < ENOUGH:
                taken.append(self._waiting.popleft())
        return taken

    def _put(self, lines: list[bytes]) -> bool:
        """Write lines, or lose them: a full disk and a closed pipe are no reason to fail."""
        left = memoryview(b"".join([b"\n", *lines] if self._torn else lines))
        while left:
            try:
                count = os.write(self._descriptor, left)
            except OSError as error:
                # Whoever shares the descriptor may have made it one that does not wait.
                if isinstance(error, BlockingIOError) and not self._closed:
                    _wait_for_room(self._descriptor)
                    continue
                self._lost += min(len(lines), bytes(left).count(b"\n"))
                return False
            self._torn = left[count - 1] != ord("\n")
            left = left[count:]
        return True


def _wait_for_room(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


class _Process:
    """The one writer of this process."""

    writer: Writer | None = None


def adopt(writer: Writer) -> None:
    """Make it the one that `flush` means, and that ends with the process."""
    _Process.writer = writer
    atexit.register(writer.close)


def flush(seconds: float = LAST_WORDS) -> None:
    """Before the process ends without Python's own end: write what waits, if somebody reads."""
    if _Process.writer is not None:
        _Process.writer.flush(seconds)
