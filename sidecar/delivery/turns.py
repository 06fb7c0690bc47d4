"""Fair turns on the event loop: a burst on one channel must not stand before another's sends.

Sixty-four sends that end in the same moment are a tenth of a second of work. Without turns a send
of another channel waits for all of it, at each of its own steps.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

LATELY = 1.0
"""Seconds for which a channel is expected back: a send every now and then meets no burst whole."""
ALWAYS, NEVER = float("inf"), float("-inf")
FEW = 8
"""Steps in one turn where another channel is expected back: whoever comes waits for no more."""


class Turns:
    """While several channels have sends under way, each gets one step in one turn of the loop.

    A channel that is alone, and has been for a while, never waits: what comes together is cheapest
    together. `enter` and `leave` count the sends of a channel. `at_work` hears how many channels
    have some, when that changes.
    """

    def __init__(self, at_work: Callable[[int], None] = lambda _: None) -> None:
        self._at_work = at_work
        self._sends: dict[str, int] = {}
        self._left: dict[str, float] = {}  # when the last send of a channel ended
        self._shared_until = NEVER  # seconds on the loop's clock
        self._steps: dict[str, int] = {}  # made in this turn
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._turning = False

    def enter(self, channel: str) -> None:
        sends = self._sends.get(channel, 0)
        self._sends[channel] = sends + 1
        if not sends:
            self._look()
            self._at_work(len(self._sends))

    def leave(self, channel: str) -> None:
        self._sends[channel] -= 1
        if not self._sends[channel]:
            del self._sends[channel]
            self._left[channel] = asyncio.get_running_loop().time()
            self._look()
            self._at_work(len(self._sends))

    def take(self, channel: str) -> asyncio.Future[None] | None:
        """What to wait for until the channel may make a step; None where it may at once."""
        if self._shared_until == NEVER and not self._waiting:  # as nearly always
            return None
        most = self._most()
        if most is None and not self._waiting:
            return None
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)
        made = self._steps.get(channel, 0)
        if channel not in self._waiting and (most is None or made < most):
            self._steps[channel] = made + 1
            return None
        step = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(channel, deque()).append(step)
        return step

    def is_shared(self) -> bool:
        """Whether more than one channel is at work, or was lately."""
        until = self._shared_until  # looked up: it is asked at every step of every send
        return until == ALWAYS or (until != NEVER and asyncio.get_running_loop().time() < until)

    def _look(self) -> None:
        """A channel has come or gone: until when more than one is at work, or was lately."""
        at_work = len(self._sends)
        lately = sorted((at for n, at in self._left.items() if n not in self._sends), reverse=True)
        missing = 2 - at_work
        if missing <= 0:
            self._shared_until = ALWAYS
        elif len(lately) < missing:
            self._shared_until = NEVER
        else:
            self._shared_until = lately[missing - 1] + LATELY

    def _most(self) -> int | None:
        """How many steps a channel may make in one turn; None for as many as there are."""
        if len(self._sends) > 1:
            return 1
        return FEW if self.is_shared() else None

    def _turn(self) -> None:
        """The next turn: as many of those who wait as their channel may."""
        self._steps.clear()
        for channel, queue in list(self._waiting.items()):
            self._wake(channel, queue, self._most())
            if not queue:
                del self._waiting[channel]
        self._turning = bool(self._steps)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._turn)

    def _wake(self, channel: str, queue: deque[asyncio.Future[None]], most: int | None) -> None:
        made = 0
        while queue and (most is None or made < most):
            step = queue.popleft()
            if not step.done():  # it was cancelled
                step.set_result(None)
                made += 1
        if made:
            self._steps[channel] = made
