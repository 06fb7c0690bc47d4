"""What one `HttpTransport.request` costs, by each engine, side by side in one run.

    python benchmarks/http_client.py [--loop uvloop] [--rounds 7] [--at-once 32]

A stand-in in a process of its own answers every POST at once. Told is the CPU time of the process
that asks, user and system, its event loop included: medians over the rounds, with the extremes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Coroutine, Sequence
from multiprocessing.connection import Connection
from typing import Any, Literal, cast

from sidecar import transport

BODY = b"To=%2B14155552671&From=%2B15005550006&Body=Your+code+is+482913"
HEADERS = {
    "Authorization": "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDpjYW5hcnk=",
    "Accept": "application/json",
    "User-Agent": "otp-sidecar/0",
    "Content-Type": "application/x-www-form-urlencoded",
}
ACCEPTED = json.dumps({"sid": "SM" + "0" * 32, "status": "queued", "error_code": None}).encode()
REPLY = (
    b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nServer: stand-in\r\n"
    b"Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nX-Request-Id: RQ0000000000000000\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(ACCEPTED), ACCEPTED)
)
Engine = Literal["lean", "aiohttp"]
ENGINES: tuple[Engine, ...] = ("lean", "aiohttp")


class StandIn(asyncio.Protocol):
    """One request is one segment here, so it need not be read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(REPLY)


def stand_in(told: Connection, core: int) -> None:
    os.sched_setaffinity(0, {core})

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(StandIn, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def cost(engine: Engine, port: int, sends: int, at_once: int) -> float:
    """CPU microseconds of one request, after a warm-up."""
    transport.use(engine)
    wire = transport.HttpTransport(allow_private=True)

    async def ask(times: int) -> None:
        for _ in range(times):
            reply = await wire.request(
                "POST", f"http://127.0.0.1:{port}/x", headers=HEADERS, body=BODY, timeout=4.0
            )
            assert reply.status == 201

    await asyncio.gather(*(ask(20) for _ in range(at_once)))
    before = time.process_time()
    await asyncio.gather(*(ask(sends // at_once) for _ in range(at_once)))
    spent = time.process_time() - before
    await wire.close()
    return spent / (sends // at_once * at_once) * 1e6


def run(work: Coroutine[Any, Any, float], loop: str) -> float:
    if loop == "asyncio":
        return asyncio.run(work)
    import uvloop  # only where it is asked for

    return float(uvloop.run(work))


def told(name: str, values: Sequence[float]) -> str:
    return f"{name:<28} {statistics.median(values):8.2f}  ({min(values):.2f} - {max(values):.2f})"


def main() -> None:
    """Interleave the engines, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sends", type=int, default=4000, help="in each measurement")
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    chosen = parser.parse_args()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)  # as a sidecar with little to do
    cores = sorted(os.sched_getaffinity(0))
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=stand_in, args=(theirs, cores[-1]), daemon=True)
    server.start()
    port = ours.recv()
    os.sched_setaffinity(0, {cores[0]})
    found: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for number in range(chosen.rounds):
        for engine in sorted(ENGINES, reverse=bool(number % 2)):
            work = cost(engine, port, chosen.sends, chosen.at_once)
            found[engine].append(run(work, chosen.loop))
    for engine, values in found.items():
        sys.stdout.write(told(f"CPU us a request, {engine}", values) + "\n")
    ratios = [lean / other for lean, other in zip(found["lean"], found["aiohttp"], strict=True)]
    sys.stdout.write(told("lean / aiohttp", ratios) + "\n")
    server.terminate()


if __name__ == "__main__":
    main()
