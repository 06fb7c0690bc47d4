"""Work that lasts as long as the process, whoever cancels it and whatever it dies of.

A plugin may cancel tasks that are not its own, all of them at once. What watches over such work is
therefore no task itself: it is what the loop calls when one has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from sidecar.delivery.whereabouts import name_of, whereabouts

AGAIN_AFTER, AT_MOST = 2.0, 60.0
"""Seconds from its end until it begins anew: twice as long each time, until it has lasted for the
longest of them. What ends at once, again and again, must be cheap."""


class Lasting:
    """What `begin` gives, as a task; begun anew where it is cancelled or dies before `end`.

    Each time is told. Where it returns it has done its work, and that is all.
    """

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._begin = begin
        self._ending = False
        self._pause = AGAIN_AFTER
        self._start()

    async def end(self, seconds: float = 0.0) -> None:
        """Give it so many seconds to return, then cancel it and wait until it has ended."""
        self._ending = True
        if seconds:
            await asyncio.wait({self._task}, timeout=seconds)
        self._task.cancel()
        await asyncio.wait({self._task})

    def _start(self) -> None:
        if not self._ending:
            work, loop = self._begin(), asyncio.get_running_loop()
            self._begun_at = loop.time()
            self._task = loop.create_task(work, name=getattr(work, "__qualname__", None))
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None or (self._ending and task.cancelled()):
            return
        structlog.get_logger().error(
            "work_ended",
            work=task.get_name(),
            error=f"{name_of(type(error))}{whereabouts(error, __name__)}",
            do="sends go on without it, and it begins anew: report this",
        )
        if not self._ending:
            loop = asyncio.get_running_loop()
            if loop.time() - self._begun_at >= AT_MOST:
                self._pause = AGAIN_AFTER
            loop.call_later(self._pause, self._start)
            self._pause = min(2 * self._pause, AT_MOST)
