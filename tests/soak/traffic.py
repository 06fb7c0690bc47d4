"""An open stream of sends by clients that keep their contract, and callers that do not."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from harness.leaks import CODE, EMAIL, KEY, PHONE, TOKEN
from harness.process import Answer
from harness.storm import AGAIN, Told
from soak.service import DEADLINE, Service

TO = {"sms": PHONE, "email": EMAIL}
NO_SERVER_PAUSE = 0.5
"""Seconds until a client asks again where nobody answered."""
LONGEST_PAUSE = 2.0
"""Seconds: the most that `Retry-After` makes a client wait."""
MOST_OPEN = 300
"""Keys that are asked for at once; beyond, the stream holds back and says so."""
TICK = 0.02


@dataclass(frozen=True, slots=True)
class Heard(Told):
    """`lag` is the most that this process itself was late by meanwhile; `began` is monotonic."""

    channel: str = "sms"
    lag: float = 0.0
    began: float = 0.0


class Lag:
    """How late this process's own event loop comes: what it measures is late by as much."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._seen: list[tuple[float, float]] = []

    async def run(self) -> None:
        while True:
            asked = time.monotonic()
            await asyncio.sleep(TICK)
            now = time.monotonic()
            late = now - asked - TICK
            self.longest = max(self.longest, late)
            if late > TICK:
                self._seen.append((now, late))

    def since(self, began: float) -> float:
        total = 0.0
        for at, late in reversed(self._seen):
            if at < began:
                break
            total += late
        return total


class Traffic:
    """`heard` has every request with what came of it; `open` counts keys without a final answer."""

    def __init__(self, service: Service, lag: Lag, chance: random.Random, rate: float) -> None:
        self.heard: list[Heard] = []
        self.open = 0
        self.keys = 0
        self.hung_up = 0
        self.held_back = 0
        self.flowing = asyncio.Event()
        self._service = service
        self._lag = lag
        self._chance = chance
        self._rate = rate
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def flow(self) -> None:
        """Begin sends at the rate, whatever becomes of them, while `flowing` is set."""
        while True:
            await self.flowing.wait()
            await asyncio.sleep(self._chance.expovariate(self._rate))
            if self.open >= MOST_OPEN:
                self.held_back += 1
                continue
            self._keep(self._one_key())

    async def settle(self, seconds: float) -> bool:
        """No more sends; whether every key had its final answer in time."""
        self.flowing.clear()
        give_up = time.monotonic() + seconds
        while self.open and time.monotonic() < give_up:  # noqa: ASYNC110  # a count, not an event
            await asyncio.sleep(0.05)
        if self._session is not None and not self.open:
            await self._session.close()
            self._session = None
        return not self.open

    async def close(self) -> None:
        self.flowing.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _keep(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one_key(self) -> None:
        chance = self._chance
        self.keys += 1
        number = self.keys
        key = f"{KEY}-{number}"
        channel = chance.choice(("sms", "email"))
        text = f"Your code is {CODE} #{number}"
        body: dict[str, Any] = {"channel": channel, "to": TO[channel], "text": text}
        deadline = DEADLINE
        if chance.random() < 0.1:
            deadline = body["deadline"] = 1.5
        self.open += 1
        try:
            if chance.random() < 0.05:
                await self._hang_up(key, body, deadline, chance.uniform(0.0, 0.4))
            if chance.random() < 0.05:
                await asyncio.gather(*(self.ask(key, body, deadline) for _ in range(3)))
            await self._persist(key, body, deadline)
        finally:
            self.open -= 1

    async def _persist(self, key: str, body: dict[str, Any], deadline: float) -> None:
        while True:
            answer = (await self.ask(key, body, deadline)).answer
            if answer is not None and answer.status not in AGAIN:
                return
            await asyncio.sleep(_pause(answer))

    async def _hang_up(
        self, key: str, body: dict[str, Any], deadline: float, seconds: float
    ) -> None:
        self.hung_up += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ask(key, body, deadline)

    async def ask(self, key: str, body: dict[str, Any], deadline: float = DEADLINE) -> Heard:
        began = time.monotonic()
        answer: Answer | None = None
        try:
            answer = await self._post(body, {"Idempotency-Key": key})
            return self._note(key, body, deadline, began, answer)
        except (aiohttp.ClientError, OSError):
            return self._note(key, body, deadline, began, None)
        except asyncio.CancelledError:
            self._note(key, body, deadline, began, None)
            raise

    async def _post(self, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        if self._session is None:
            path = self._service.where.removeprefix("unix:")
            connector = aiohttp.UnixConnector(path=path, limit=0)
            self._session = aiohttp.ClientSession(connector=connector)
        headers |= {"Authorization": f"Bearer {TOKEN}"}
        bounds = aiohttp.ClientTimeout(total=60)
        async with self._session.post(
            "http://localhost/v1/send", json=body, headers=headers, timeout=bounds
        ) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    def _note(
        self,
        key: str,
        body: dict[str, Any],
        deadline: float,
        began: float,
        answer: Answer | None,
    ) -> Heard:
        told = Heard(
            text=body["text"],
            answer=answer,
            seconds=time.monotonic() - began,
            key=key,
            deadline=deadline,
            at=time.time(),
            channel=body["channel"],
            lag=self._lag.since(began),
            began=began,
        )
        self.heard.append(told)
        return told


def _pause(answer: Answer | None) -> float:
    if answer is None:
        return NO_SERVER_PAUSE
    return min(float(answer.headers.get("Retry-After", "0")) or 0.1, LONGEST_PAUSE)
