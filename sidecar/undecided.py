"""Sends whose claim the log has not decided yet: they are under way, or were long ago."""

from __future__ import annotations

import asyncio

from sidecar.delivery.clock import Clock


class Undecided:
    """Whoever asks under the same name meanwhile can wait for it."""

    def __init__(self) -> None:
        self._waited_for: dict[str, asyncio.Future[None] | None] = {}

    def enter(self, name: str) -> None:
        self._waited_for[name] = None

    def leave(self, name: str) -> None:
        """It is decided; for a second time nothing is done."""
        decided = self._waited_for.pop(name, None)
        if decided is not None:
            decided.set_result(None)

    async def wait(self, name: str, seconds: float, clock: Clock) -> None:
        """Until it is decided, for `seconds` at most; not at all where it is."""
        if name in self._waited_for:
            decided = self._waited_for[name]
            if decided is None:
                decided = self._waited_for[name] = asyncio.get_running_loop().create_future()
            await clock.wait(decided, seconds)
