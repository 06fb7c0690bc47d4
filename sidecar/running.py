"""One send that has begun and not ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from sidecar.delivery.clock import Clock
from sidecar.delivery.model import Delivery


@dataclass(slots=True, eq=False)
class Running:
    """A send under way, or what asks whether it was long ago: until then its claim is undecided."""

    body_hash: str
    channel: str
    task: asyncio.Task[Delivery] = field(init=False)
    decided: bool = False
    waited_for: asyncio.Future[None] | None = None

    def decide(self) -> None:
        if not self.decided:
            self.decided = True
            if self.waited_for is not None:
                self.waited_for.set_result(None)

    async def wait_for_claim(self, clock: Clock, seconds: float) -> None:
        if not self.decided:
            self.waited_for = self.waited_for or asyncio.get_running_loop().create_future()
            await clock.wait(self.waited_for, seconds)


def heard(answer: Coroutine[Any, Any, Delivery]) -> asyncio.Task[Delivery]:
    """The answer as a task whose exception is retrieved, be its caller gone."""
    task = asyncio.get_running_loop().create_task(answer)
    task.add_done_callback(_retrieve)
    return task


def _retrieve(task: asyncio.Task[Delivery]) -> None:
    if not task.cancelled():
        task.exception()
