"""The load generator: closed loops of `connections` callers, or an open loop at a fixed rate.

    python -m bench.load

One order a line of standard input, a `Job` as JSON; one answer a line, see `Load`.
In a closed loop each caller sends again when it is answered; in an open loop every send has its
moment, and a latency counts from that moment, so that a stall is seen by all that it held up.

The callers of a closed loop connect first. In an open loop a caller connects when it is needed, as
an HTTP client's pool does: a server cuts those that say nothing, and to connect them anew, some
hundred at once, is no part of a steady rate.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

from bench.processes import cpu_seconds
from bench.stats import percentile
from bench.ticker import Ticker

LAST_ANSWERS = 45.0
"""Seconds to wait for what is under way when the time is up."""
FIRST = 2_000_000
"""The first recipient; as the end of an American number this one, and a million more, are good."""
WARMEST = 20.0
"""Seconds that a warm-up may last where answers are slow to come."""
CONNECTING = 5.0
"""Seconds until the measurement begins, whether or not everybody is connected."""


@dataclass(slots=True)
class Job:
    """One measurement. `body` has two `%07d`: the recipient's number, and the end of the id.

    `count` ends it after so many sends, else `seconds` after a warm-up of `warm`. `rate` is sends
    a second, 0 for closed loops. `tls` is a file of authorities. `watch` names processes whose CPU
    is read at both edges. `rush` begins the measurement with the first connection.
    """

    port: int
    path: str
    body: str
    connections: int = 1
    seconds: float = 3.0
    warm: float = 1.0
    count: int = 0
    rate: float = 0.0
    tls: str = ""
    rush: bool = False
    watch: dict[str, list[int]] = field(default_factory=dict)


class Caller(asyncio.Protocol):
    """One kept connection; `served` counts its sends that were answered with 2xx."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._rest = b""
        self.served = 0
        self.began = 0.0
        self.busy = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._load.free(self)

    def send(self, moment: float, request: bytes) -> None:
        assert self.transport is not None
        self.began, self.busy = moment, True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        end = data.find(b"\r\n\r\n")
        self._rest = data
        if end < 0:
            return
        _, _, rest = data[:end].lower().partition(b"\r\ncontent-length:")
        if len(data) < end + 4 + int(rest.split(b"\r\n", 1)[0] or 0):
            return
        self._rest, self.busy = b"", False
        self._load.answered(self, int(data[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._rest = b""
        self._load.lost(self)


class Load:
    """One job under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, job: Job) -> None:
        self._loop = loop
        self._job = job
        self._tls = ssl.create_default_context(cafile=job.tls) if job.tls else None
        self._callers = [Caller(self) for _ in range(job.connections)]
        self._connecting: set[asyncio.Task[None]] = set()
        self._spare = list(self._callers)  # those that are not connected, nor about to be
        self._idle: list[Caller] = []
        self._waiting: deque[float] = deque()
        self._latencies = array("d")
        self._statuses: Counter[int] = Counter()
        self._sent = self._under_way = self._lost = 0
        self._window = (float("inf"), float("inf"))
        self._cpu: list[dict[str, float]] = []
        self._stopped = False
        self._quiet = asyncio.Event()
        self._ticker = Ticker(loop, self._tick)
        self._next = 0.0

    async def run(self) -> dict[str, Any]:
        """What was found; see `_found`. Raises TimeoutError where the last answers do not come."""
        job = self._job
        if job.rate:
            self._next = time.monotonic()
            self._tick()
        else:
            for _ in self._callers:
                self._bring_one()
            if not job.rush:
                await asyncio.wait(self._connecting, timeout=CONNECTING)
        if not job.count and not job.rush:
            await self._warm_up()
        self._edge()
        await (self._quiet.wait() if job.count else asyncio.sleep(job.seconds))
        self._edge()
        self._stopped = True
        if self._under_way:
            self._quiet.clear()
            await asyncio.wait_for(self._quiet.wait(), LAST_ANSWERS)
        self._ticker.close()
        for task in self._connecting:
            task.cancel()
        for caller in self._callers:
            if caller.transport is not None:
                caller.transport.abort()
        return self._found()

    async def _warm_up(self) -> None:
        """The time that was asked for, and until there were as many answers as callers."""
        until = time.monotonic() + WARMEST
        await asyncio.sleep(self._job.warm)
        while not self._job.rate and self._statuses.total() < len(self._callers):
            await asyncio.sleep(0.05)
            if time.monotonic() > until:
                return

    def free(self, caller: Caller) -> None:
        """A caller has nothing under way: it sends what is due, or what is next, or rests."""
        if self._waiting:
            self._send(caller, self._waiting.popleft())
        elif self._job.rate or self._ended():
            self._idle.append(caller)
        else:
            self._send(caller, time.monotonic())
        self._look()

    def answered(self, caller: Caller, status: int) -> None:
        now = time.monotonic()
        self._under_way -= 1
        self._statuses[status] += 1
        began, until = self._window
        if began <= (caller.began if self._job.rate else now) <= until:
            caller.served += 200 <= status < 300
            self._latencies.append(now - caller.began)
        self.free(caller)

    def lost(self, caller: Caller) -> None:
        if caller in self._idle:
            self._idle.remove(caller)
        if caller.busy:
            caller.busy = False
            self._under_way -= 1
            self._look()
        if not self._stopped:
            self._lost += 1
            self._spare.append(caller)
            if self._waiting or not self._job.rate:
                self._bring_one()

    def _bring_one(self) -> None:
        """Have one more caller connect, where there is one."""
        if self._spare:
            task = self._loop.create_task(self._connect(self._spare.pop()))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def _ended(self) -> bool:
        return self._stopped or (0 < self._job.count <= self._sent)

    def _look(self) -> None:
        if self._ended() and not self._under_way:
            self._quiet.set()

    async def _connect(self, caller: Caller) -> None:
        while not self._stopped:
            try:
                await self._loop.create_connection(
                    lambda: caller, "127.0.0.1", self._job.port, ssl=self._tls
                )
            except OSError:
                await asyncio.sleep(0.01)
            else:
                return

    def _send(self, caller: Caller, moment: float) -> None:
        number, self._sent = self._sent, self._sent + 1
        self._under_way += 1
        body = self._job.body % (number + FIRST, number)
        caller.send(
            moment,
            f"POST {self._job.path} HTTP/1.1\r\nHost: localhost:{self._job.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode(),
        )

    def _tick(self) -> None:
        """Send what is due, each from a caller that rests; what finds none waits for one."""
        now = time.monotonic()
        while self._next <= now and not self._stopped:
            if self._idle:
                self._send(self._idle.pop(), self._next)
            else:
                self._waiting.append(self._next)
                self._bring_one()
            self._next += 1.0 / self._job.rate
        if not self._stopped:
            self._ticker.at(self._next)

    def _edge(self) -> None:
        """The measurement begins, or ends."""
        cpu = {name: cpu_seconds(pids) for name, pids in self._job.watch.items()}
        cpu["load"] = time.process_time()
        now = time.monotonic()
        self._window = (self._window[0], now) if self._cpu else (now, float("inf"))
        self._cpu.append(cpu)

    def _found(self) -> dict[str, Any]:
        """Counts, seconds and CPU seconds of the window; `statuses` and `sent` are of it all."""
        before, after = self._cpu
        served = [caller.served for caller in self._callers]
        return {
            "sent": self._sent,
            "statuses": {str(status): n for status, n in self._statuses.items()},
            "served": sum(served),
            "seconds": self._window[1] - self._window[0],
            "lost": self._lost,
            "never": served.count(0),
            "fair": min(served) * len(served) / max(1, sum(served)),
            "cpu": {name: after[name] - before[name] for name in after},
            **{
                name: percentile(self._latencies, part) if self._latencies else 0.0
                for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999))
            },
        }


async def run(job: Job) -> dict[str, Any]:
    return await Load(asyncio.get_running_loop(), job).run()


def main() -> None:
    """Obey until standard input ends."""
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        found = uvloop.run(run(Job(**json.loads(line))))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
