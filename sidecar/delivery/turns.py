"""Fair turns on the event loop: a burst on one channel must not stand before another's sends.

Sixty-four sends that end in the same moment are a tenth of a second of work. Without turns a send
of another channel waits for all of it, at each of its own steps.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """While several channels have sends under way, each gets one step in one turn of the loop.

    A channel alone never waits. `enter` and `leave` count the sends of a channel.
    """

    def __init__(self) -> None:
        self._sends: dict[str, int] = {}
        self._taken: set[str] = set()  # who has had this turn's step
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._turning = False

    def enter(self, channel: str) -> None:
        self._sends[channel] = self._sends.get(channel, 0) + 1

    def leave(self, channel: str) -> None:
        self._sends[channel] -= 1
        if not self._sends[channel]:
            del self._sends[channel]

    async def take(self, channel: str) -> None:
        """Come back when the channel may make a step."""
        if len(self._sends) < 2 and not self._waiting:
            return
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)
        if channel not in self._taken:
            self._taken.add(channel)
            return
        step = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(channel, deque()).append(step)
        await step

    def _turn(self) -> None:
        """The next turn: one who waits for each channel; all where one channel is left."""
        self._taken.clear()
        alone = len(self._sends) < 2
        for channel, queue in list(self._waiting.items()):
            while queue:
                step = queue.popleft()
                if step.done():  # it was cancelled
                    continue
                step.set_result(None)
                self._taken.add(channel)
                if not alone:
                    break
            if not queue:
                del self._waiting[channel]
        self._turning = bool(self._taken)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._turn)
