"""An open stream of sends by clients that keep their contract, and callers that do not."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
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
TICK = 0.05


@dataclass(frozen=True, slots=True)
class Heard(Told):
    """`lag` is what the machine took meanwhile (see `Lag`); `began` is monotonic.

    `hung_up` says that the caller did not wait for the answer.
    """

    channel: str = "sms"
    lag: float = 0.0
    began: float = 0.0
    hung_up: bool = False


class Lag:
    """What a busy machine takes from the measurements, in seconds.

    `longest` is the most that this process's own event loop was late by: what it measures is late
    by as much. `starved` is the most that the sidecar's threads stood ready to run, and were not
    run, in any `SPAN`: the system's own count (`/proc/PID/schedstat`), which nothing that the
    sidecar does wrong can raise.
    """

    SPAN = 2.0

    def __init__(self, service: Service) -> None:
        self.longest = 0.0
        self.starved = 0.0
        self._service = service
        self._lost: list[tuple[float, float]] = []
        self._span: deque[tuple[float, float]] = deque()
        self._waits: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            asked = time.monotonic()
            await asyncio.sleep(TICK)
            now = time.monotonic()
            late = now - asked - TICK
            self.longest = max(self.longest, late)
            waited = self._waited()
            self._span.append((now, waited))
            while self._span[0][0] < now - self.SPAN:
                self._span.popleft()
            self.starved = max(self.starved, sum(one for _, one in self._span))
            self._lost.append((now, late + waited))

    def since(self, began: float) -> float:
        """What was lost from `began` (monotonic) on, here and there."""
        total = 0.0
        for at, lost in reversed(self._lost):
            if at < began:
                break
            total += lost
        return total

    def _waited(self) -> float:
        """How long the sidecar's threads waited for a CPU since the last look."""
        total = 0.0
        known, self._waits = self._waits, {}
        if self._service.lives:
            for path in Path(f"/proc/{self._service.life.process.pid}/task").glob("*/schedstat"):
                with suppress(OSError, ValueError, IndexError):
                    name = str(path)
                    self._waits[name] = int(path.read_text().split()[1]) / 1e9
                    total += max(0.0, self._waits[name] - known.get(name, 0.0))
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
            self._note(key, body, deadline, began, None, hung_up=True)
            raise

    async def again(self, one: Heard) -> Heard:
        """Ask as one did that was answered."""
        assert one.key is not None, "every request of a soak has its key"
        body: dict[str, Any] = {"channel": one.channel, "to": TO[one.channel], "text": one.text}
        if one.deadline != DEADLINE:
            body["deadline"] = one.deadline
        return await self.ask(one.key, body, one.deadline)

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
        *,
        hung_up: bool = False,
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
            hung_up=hung_up,
        )
        self.heard.append(told)
        return told


def _pause(answer: Answer | None) -> float:
    if answer is None:
        return NO_SERVER_PAUSE
    return min(float(answer.headers.get("Retry-After", "0")) or 0.1, LONGEST_PAUSE)
