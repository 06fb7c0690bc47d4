"""What tests of alerts share: alerts to tell, and a courier with a receiver at its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from harness.process import PATIENCE
from harness.webhooks import KEY, verified
from sidecar.alerts import Alert
from sidecar.alerts.courier import Courier
from sidecar.config import Alerts
from sidecar.testing import ManualClock, StubServer

WALL = 1_790_000_000.0
"""The machine's clock, which is another than the one handed in."""


def bad(subject: str = "twilio", event: str = "circuit_open", **more: Any) -> Alert:
    return Alert(event, subject, f"{subject} is bad", **more)


def good(subject: str = "twilio", event: str = "circuit_open", **more: Any) -> Alert:
    return Alert(event, subject, f"{subject} is good again", resolved=True, **more)


class Road:
    """A courier, a stub at its end, and what became of the letters."""

    def __init__(self, stub: StubServer, clock: ManualClock, settings: Alerts) -> None:
        self.stub = stub
        self.clock = clock
        self.settings = settings
        self.ended: Counter[str] = Counter()
        self.courier = Courier(
            settings, "test", clock, lambda result: self.ended.update([result]), lambda: WALL
        )

    def post(self, *alerts: Alert) -> None:
        for alert in alerts:
            self.courier.post(alert, self.clock.time())

    async def rests(self) -> None:
        """Wait until the courier has nothing to do: then, and only then, it waits on the clock."""
        await at_rest(self.clock, 1)

    async def later(self, seconds: float) -> None:
        """Let time pass, and the courier do what is due then."""
        await self.rests()
        self.clock.advance(seconds)
        await self.rests()

    def bodies(self, key: bytes = KEY) -> list[dict[str, Any]]:
        """The payloads that came, each verified."""
        return [verified(one.headers, one.body, key, WALL) for one in self.stub.requests]

    def told(self) -> list[tuple[str, bool]]:
        """Of what came the subjects, and whether it was good news."""
        data = [body["data"] for body in self.bodies()]
        return [(one["subject"], one["resolved"]) for one in data]

    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.stub.requests]


async def at_rest(clock: ManualClock, tasks: int) -> None:
    """Wait until so many tasks wait on the clock, and none was woken."""
    turns = 0
    async with asyncio.timeout(PATIENCE):
        while turns < 20:  # a few turns of the loop, in which one that was woken would go
            await asyncio.sleep(0)
            turns = turns + 1 if clock.waiting >= tasks else 0


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until `condition()` is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0)
