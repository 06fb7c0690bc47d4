"""Whether the event loop turns, how late it is, and who holds it up.

A ticker on the loop measures how late it comes; a thread beside it looks on, and while the loop
does not turn it names the plugin whose code it is in. A plugin that blocks stops every send of the
process, so it has to be found.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import structlog

from sidecar.blame import Suspect
from sidecar.delivery.clock import Clock

TICK = 0.1
"""Seconds between two looks, of the ticker and of the thread."""
BLOCKED = 0.25
"""Seconds without a turn that make a loop blocked."""
STALL = 1.0
"""Seconds without a turn after which requests may have waited in the socket unseen."""
AFTERMATH = 1.0
"""Seconds after a stall in which a request that begins may have arrived during it."""
QUIET = 10.0
"""Seconds in which the same is said once."""
WINDOW = 30.0
"""Seconds of each of the two halves that the longest lag is kept for."""

Look = Callable[[asyncio.AbstractEventLoop, int], Suspect | None]


@dataclass(frozen=True, slots=True)
class Block:
    """A time in which the loop did not turn: who held it, for how many seconds, since when."""

    suspect: Suspect
    seconds: float
    at: float


class LoopWatch:
    """Started on the loop that it watches. `look` says whose code the loop is in."""

    def __init__(self, clock: Clock, look: Look) -> None:
        self._clock = clock
        self._look = look
        self._beat = float("inf")  # when the loop last turned
        self._forgiven = float("-inf")  # the process stood still until then
        self._stall = (0.0, float("-inf"))  # when the last stall began, and until when it matters
        self._lags = [0.0, 0.0]  # the longest of this half of the window, and of the one before
        self._half_ends = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        self._quiet: dict[str, float] = {}  # what was said, and until when it is not said again
        self._under_way: _UnderWay | None = None
        self.last_block: Block | None = None

    def start(self) -> None:
        """Begin to watch the running loop."""
        loop = asyncio.get_running_loop()
        self._beat = self._clock.monotonic()
        self._half_ends = self._beat + WINDOW
        self._timer = loop.call_later(TICK, self._tick, loop)
        threading.Thread(
            target=self._watch, args=(loop, threading.get_ident()), name="loop-watch", daemon=True
        ).start()

    def stop(self) -> None:
        """Watch no longer."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    @property
    def longest_lag(self) -> float:
        """The most seconds that the loop was late by within the last minute, or half a minute."""
        return max(self._lags)

    # On the loop

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now, before = self._clock.monotonic(), self._beat
        lag = max(0.0, now - before - TICK)
        if now >= self._half_ends:
            self._lags, self._half_ends = [0.0, self._lags[0]], now + WINDOW
        self._lags[0] = max(self._lags[0], lag)
        if lag > STALL:
            self._stall = (before, now + AFTERMATH)
        self._beat = now
        self._timer = loop.call_later(TICK, self._tick, loop)

    def arrival(self, age: Callable[[], float | None]) -> float:
        """When the request that begins now arrived (monotonic), for its deadline.

        After a stall - of the loop, or of the whole process - it may have waited in the socket, and
        its caller has waited with it. `age()` gives the seconds since its bytes came in, or None
        where nothing tells: it is then said to have come when the stall began. Without a stall
        nothing is asked and it is now.
        """
        now = self._clock.monotonic()
        if now - self._beat > TICK + STALL:  # in it still: the ticker has not come yet
            began = self._beat
        elif now < self._stall[1]:
            began = self._stall[0]
        else:
            return now
        waited = age()
        return began if waited is None else min(now, max(began, now - waited))

    # On the thread

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        woke, used = self._clock.monotonic(), time.process_time()
        while not self._ended.wait(TICK):
            now, cpu = self._clock.monotonic(), time.process_time()
            if self._stood_still(now - woke - TICK, cpu - used):
                self._forgiven = now
            woke, used = now, cpu
            self._judge(now, loop, thread)

    def _judge(self, now: float, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        beat, block = self._beat, self._under_way
        if block is not None and beat != block.beat:
            self._recovered(block, beat - block.beat - TICK)
            block = self._under_way = None
        held = now - max(beat + TICK, self._forgiven)
        if block is None and held > BLOCKED:
            suspect = self._look(loop, thread)
            if suspect is not None:
                self._under_way = self._blocked(suspect, held, beat)

    def _stood_still(self, overslept: float, cpu: float) -> bool:
        """Whether the whole process was stopped: this thread came late and nothing was computed.

        Where something was computed, it kept this thread from Python's lock, and is looked for.
        """
        # On a busy machine little of the time is ours; what one tick takes may be from before.
        if overslept <= BLOCKED or cpu - TICK > overslept / 10:
            return False
        if overslept > STALL and self._may_say("process_was_stopped"):
            structlog.get_logger().warning("process_was_stopped", seconds=round(overslept, 3))
        return True

    def _blocked(self, by: Suspect, seconds: float, beat: float) -> _UnderWay:
        self.last_block = Block(by, round(seconds, 3), self._clock.time())
        said = self._may_say(f"{by.provider} {by.kind} {by.where.partition(':')[0]}")
        if said:
            _say("loop_blocked", by, seconds)
        return _UnderWay(by, beat, said)

    def _recovered(self, block: _UnderWay, seconds: float) -> None:
        assert self.last_block is not None, "noted when it began"
        self.last_block = replace(self.last_block, seconds=round(seconds, 3))
        if block.said:
            _say("loop_recovered", block.suspect, seconds)

    def _may_say(self, what: str) -> bool:
        now = self._clock.monotonic()
        self._quiet = {said: until for said, until in self._quiet.items() if now < until}
        if what in self._quiet:
            return False
        self._quiet[what] = now + QUIET
        return True


class _UnderWay(NamedTuple):
    suspect: Suspect
    beat: float  # the turn before it
    said: bool


def _say(event: str, by: Suspect, seconds: float) -> None:
    structlog.get_logger().warning(
        event, provider=by.provider, kind=by.kind, where=by.where, seconds=round(seconds, 3)
    )
