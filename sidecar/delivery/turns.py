"""Fair turns on the event loop: a burst on one channel must not stand before another's sends.

Sixty-four sends that end in the same moment are a tenth of a second of work. Without turns a send
of another channel waits for all of it, at each of its own steps.
"""

from __future__ import annotations

import asyncio
from collections import deque

ALONE = 8
"""Steps in one turn of a channel that is alone: whoever comes meanwhile waits for no more."""


class Turns:
    """While several channels have sends under way, each gets one step in one turn of the loop.

    A channel alone gets `ALONE`. `enter` and `leave` count the sends of a channel.
    """

    def __init__(self) -> None:
        self._sends: dict[str, int] = {}
        self._steps: dict[str, int] = {}  # made in this turn
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
        loop = asyncio.get_running_loop()
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn)
        made = self._steps.get(channel, 0)
        if made < self._most() and channel not in self._waiting:
            self._steps[channel] = made + 1
            return
        step = loop.create_future()
        self._waiting.setdefault(channel, deque()).append(step)
        await step

    def _most(self) -> int:
        return 1 if len(self._sends) > 1 else ALONE

    def _turn(self) -> None:
        """The next turn: as many of those who wait as each channel may."""
        self._steps.clear()
        most = self._most()
        for channel, queue in list(self._waiting.items()):
            self._wake(channel, queue, most)
            if not queue:
                del self._waiting[channel]
        self._turning = bool(self._steps)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._turn)

    def _wake(self, channel: str, queue: deque[asyncio.Future[None]], most: int) -> None:
        made = 0
        while queue and made < most:
            step = queue.popleft()
            if not step.done():  # it was cancelled
                step.set_result(None)
                made += 1
        if made:
            self._steps[channel] = made
