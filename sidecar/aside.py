"""A plugin's calls for a command, beside it: none holds up what it prints, or its end.

They run on a loop in a thread of their own. Whatever one of them does - block the loop, swallow its
cancellation, sleep in a worker thread, raise SystemExit in a task - the command goes on in its own.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sidecar import runner
from sidecar.streams import why_unwritten

LAST_MOMENT = 1.0
"""Seconds, beyond those of the calls, for a loop that is held up; and again for its end."""

T = TypeVar("T")
_threads: list[threading.Thread] = []


def gather(calls: Sequence[Callable[[], Awaitable[T]]], seconds: float) -> list[T | None]:
    """What each of `calls` gave; None for one that gave nothing within `seconds` and a moment.

    Each is meant to keep to its seconds itself, and to raise nothing.
    """
    found: list[T | None] = [None] * len(calls)
    ended = threading.Event()
    thread = threading.Thread(target=_run, args=(calls, found, ended), name="accounts", daemon=True)
    _threads.append(thread)
    thread.start()
    ended.wait(seconds + LAST_MOMENT)
    return list(found)


def end(code: int) -> None:
    """The command is about to end with `code`: it does so in a moment, whatever still runs."""
    if not _threads:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is a moment away
    why_unwritten()  # written now: the last resort loses what a plugin has printed
    runner.LastResort().within(LAST_MOMENT, code)
    for thread in _threads:
        thread.join()  # Python's end is not safe beside a loop; the last resort is


def _run(
    calls: Sequence[Callable[[], Awaitable[T]]], found: list[T | None], ended: threading.Event
) -> None:
    try:
        runner.run(_all(calls, found, ended))
    except BaseException:  # noqa: BLE001, S110  # a guest's; what was found is told, its text is not
        pass
    finally:
        ended.set()


async def _all(
    calls: Sequence[Callable[[], Awaitable[T]]], found: list[T | None], ended: threading.Event
) -> None:
    async def one(number: int) -> None:
        found[number] = await calls[number]()

    # Beside each other, and a guest may cancel any of them.
    await asyncio.gather(*map(one, range(len(calls))), return_exceptions=True)
    ended.set()
