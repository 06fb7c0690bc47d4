"""A blocking call, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def in_own_thread(work: Callable[[], T]) -> T:
    """Run `work` in a daemon thread of its own and wait for it.

    Not in an executor: asyncio's default one has few threads, which hung calls would use up, and
    the interpreter waits for every executor's threads before it ends.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            settle: Callable[[Any], None] = future.set_result
            value: object = work()
        except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to the one who waits
            settle, value = future.set_exception, error
        with suppress(RuntimeError):  # the loop was closed in the meantime
            loop.call_soon_threadsafe(lambda: None if future.done() else settle(value))

    threading.Thread(target=run, name="aws-credentials", daemon=True).start()
    return await future
