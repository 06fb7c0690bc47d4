"""What a slow provider on one channel costs the other: its times with and without that load.

    PYTHONPATH=tests python benchmarks/isolation.py [--rounds 4] [--mails 800] [--callers 200]
        [--spread 0.2] [--fresh] [--pin]

An SMS provider takes 2 s for each message, and some hundred callers wait for it, each sending again
when it is answered: with a spread of 0.2 after 1.6 to 2.4 s, as vendors answer, and with 0 all of
them in the same instant, which is the worst and no vendor does. Beside that a mail is sent every
10 ms, whether or not the one before has been answered, through all that those callers do. Phases
with and without the load take turns, so that a machine that slows down slows both. The goal: a p99
within 1.5 times, else the exit status is 1.

Everybody keeps connections, as HTTP clients do; with `--fresh` each send makes one of its own, so a
mail waits behind two hundred of them at the listener already. `--pin` gives the sidecar a core of
its own and the tools another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from harness.crowd import request
from harness.process import Sidecar

SLOW = 2.0
EVERY = 0.01
"""Seconds between two mails."""
GOAL = 1.5
"""Of the p99 without that load."""
PAUSE = 1.0
"""Seconds that a caller waits after a refusal, as `Retry-After` asks."""
TWILIO = json.dumps({"sid": "SM" + "0" * 32, "status": "queued", "error_code": None}).encode()
CONFIG = """\
server: {{listen: '127.0.0.1:0'}}
providers:
  twilio: {{base_url: 'http://127.0.0.1:{slow}', allow_private: true, account_sid: AC{zeros},
    auth_token: canary-twilio-token-0001, sender: '+15005550006'}}
  sendgrid: {{base_url: 'http://127.0.0.1:{quick}', allow_private: true, api_key: SG.canary,
    sender: codes@example.com}}
chains: {{sms: [twilio], email: [sendgrid]}}
"""


async def vendor(seconds: float, head: str, body: bytes, spread: float = 0.0) -> asyncio.Server:
    """A stand-in that accepts everything after so many seconds, give or take the spread."""
    reply = f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
                await reader.readexactly(int(length or 0))
                await asyncio.sleep(seconds * random.uniform(1 - spread, 1 + spread))
                writer.write(reply)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)


class Caller:
    """An HTTP client of the sidecar. `fresh` makes a connection for every send."""

    def __init__(self, port: int, *, fresh: bool) -> None:
        self._port = port
        self._fresh = fresh
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, channel: str) -> int:
        """The status of the answer."""
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(request(channel))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(
                int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            )
        except BaseException:
            writer.close()
            raise
        if self._fresh:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(head.split()[1])


class Crowd:
    """The callers and their slow provider, in a process of their own.

    Beside the one who measures they would hold up the clock, not the sidecar.
    """

    def __init__(self, spread: float, *, fresh: bool) -> None:
        how = ["--fresh"] if fresh else []
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--be-the-crowd", "--spread", str(spread), *how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.nice(19),  # noqa: PLW1509  # before threads
        )
        assert self._process.stdout is not None
        self.provider = int(self._process.stdout.readline())

    def gather(self, callers: int, port: int) -> None:
        self._say(f"{callers} {port}")

    def disperse(self) -> None:
        self._say("0 0")

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


async def crowd(spread: float, *, fresh: bool) -> None:
    """The other end: each line names how many callers there shall be, and the sidecar's port."""
    server = await vendor(SLOW, "201 Created\r\nContent-Type: application/json", TWILIO, spread)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    load: list[asyncio.Task[None]] = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        callers, port = map(int, line.split())
        for task in load:
            task.cancel()
        caller = Caller(port, fresh=fresh)
        load = [asyncio.create_task(keep_sending(caller)) for _ in range(callers)]


async def keep_sending(caller: Caller) -> None:
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            if await caller.send("sms") != 200:
                await asyncio.sleep(PAUSE)


async def mails(caller: Caller, count: int) -> list[float]:
    loop = asyncio.get_running_loop()
    first = loop.time()

    async def one(number: int) -> float:
        due = first + number * EVERY
        await asyncio.sleep(due - loop.time())
        began = loop.time()
        status = await caller.send("email")
        assert status == 200, status
        # A late start of this process is its own, not the sidecar's.
        return loop.time() - began

    return await asyncio.gather(*(one(number) for number in range(count)))


def at(took: list[float], part: float) -> float:
    return sorted(took)[int(part * (len(took) - 1))] * 1000


def pin(cores: set[int]) -> None:
    """Keep this process, and those that it begins, to these cores."""
    os.sched_setaffinity(0, cores)


async def measure(
    rounds: int, count: int, callers: int, spread: float, *, fresh: bool, pinned: bool
) -> bool:
    """Whether the goal was reached."""
    own, *rest = sorted(os.sched_getaffinity(0))
    if pinned:
        pin(set(rest))
    others = Crowd(spread, fresh=fresh)
    server = await vendor(0.0, "202 Accepted\r\nX-Message-Id: sg-1", b"")
    quick = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "providers.yaml"
        path.write_text(CONFIG.format(slow=others.provider, quick=quick, zeros="0" * 32))
        environ = {"PATH": os.environ["PATH"], "HOME": home}
        if pinned:
            pin({own})
        sidecar = Sidecar(path, environ)
        if pinned:
            pin(set(rest))
        await asyncio.to_thread(sidecar.ready)
        alone: list[float] = []
        beside: list[float] = []
        caller = Caller(sidecar.port, fresh=fresh)
        await mails(caller, 50)
        for _ in range(rounds):
            alone += await mails(caller, count)
            others.gather(callers, sidecar.port)
            await asyncio.sleep(SLOW)
            beside += await mails(caller, count)
            others.disperse()
            await asyncio.sleep(SLOW + 1)  # what is in flight ends
        lag = sidecar.call("GET", "/health").json["loop"]["lag_seconds"]
        await asyncio.to_thread(sidecar.stop)
        others.end()
    sys.stdout.write(f"longest lag of the loop within the last minute {lag * 1000:.0f} ms\n")
    for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        one, other = at(alone, part), at(beside, part)
        line = f"{name}  alone {one:7.1f} ms  beside {other:7.1f} ms  ratio {other / one:.2f}"
        sys.stdout.write(f"{line}\n")
    return other <= GOAL * one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--mails", type=int, default=800)
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--spread", type=float, default=0.2)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--pin", action="store_true")
    parser.add_argument("--be-the-crowd", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.be_the_crowd:
        asyncio.run(crowd(given.spread, fresh=given.fresh))
        return
    reached = asyncio.run(
        measure(
            given.rounds,
            given.mails,
            given.callers,
            given.spread,
            fresh=given.fresh,
            pinned=given.pin,
        )
    )
    raise SystemExit(not reached)


if __name__ == "__main__":
    main()
