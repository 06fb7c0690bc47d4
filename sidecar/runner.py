"""Running the event loop so that no guest can end it, and so that the end comes in time.

A SystemExit or KeyboardInterrupt that leaves any task or callback stops the loop, and takes every
send under way with it. Attempts keep such inside; what a plugin starts beside them is caught here.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from queue import Empty, SimpleQueue
from typing import Any

import structlog

from sidecar import lines
from sidecar.delivery.whereabouts import name_of


class _Main(asyncio.Task[None]):
    """A task that no plugin ends by cancelling it. It may not use `asyncio.timeout`, which does."""

    def cancel(self, msg: Any | None = None) -> bool:
        structlog.get_logger().error("exit_refused", error="CancelledError")
        return False

    def cut_off(self) -> None:
        super().cancel()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` to its end, as `asyncio.run` does; another task's exit does not end it.

    Nor does a cancellation of `main` itself.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        loop = runner.get_loop()
        ending = _Main(main, loop=loop, name="main")
        while True:
            try:
                return loop.run_until_complete(ending)
            except BaseException as error:
                # RuntimeError: somebody stopped the loop. Whatever was ready is ready still.
                refused = isinstance(error, SystemExit | KeyboardInterrupt | RuntimeError)
                if ending.done() or loop.is_closed() or not refused:
                    if not ending.done():
                        ending.cut_off()  # else the runner would wait for it for ever
                    raise
                structlog.get_logger().error("exit_refused", error=name_of(type(error)))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop's where it is installed, as it is but for Windows; it takes a quarter off a send."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415
    except ImportError:
        return None
    return new_event_loop


class LastResort:
    """The end of the process at a set moment, whatever holds up the loop or its threads.

    A plugin's thread that is no daemon, a call that blocks in a worker thread, a plugin that blocks
    the loop while it is closed: Python waits for each of them for ever. Everything that matters is
    written ahead, so the process may end.
    """

    def __init__(self) -> None:
        # Its `put` may interrupt itself, so that a signal handler may call `within`.
        self._moments: SimpleQueue[tuple[float, int]] = SimpleQueue()
        threading.Thread(target=self._wait, name="last-resort", daemon=True).start()

    def within(self, seconds: float, code: int = 0) -> None:
        """End the process with `code` in so many seconds, unless it has ended before."""
        self._moments.put((time.monotonic() + seconds, code))

    def _wait(self) -> None:
        end = self._moments.get()
        while True:
            try:
                left = max(0.0, end[0] - time.monotonic())
                end = min(end, self._moments.get(timeout=left))
            except Empty:
                lines.flush(0.1)
                os._exit(end[1])
