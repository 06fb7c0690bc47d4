"""What the delivery log costs: CPU a send in its thread and on the event loop, and sends a second.

    python benchmarks/log.py [--sends 4000] [--at-once 1 8 32]

A send is what the dispatcher asks of the log where the first provider takes the message: a claim
with the attempt about to be made, and the end. Told are medians over the rounds, with the extremes.
Two versions are compared by running this file with each one's tree first in PYTHONPATH, in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sidecar.delivery.model import Attempt, Delivery, Outcome, Status
from sidecar.store import Claim, Claimed
from sidecar.store.recovery import under_way
from sidecar.store.sqlite import SqliteLog

KEEP = 86_400.0
NAMES = ("thread us", "loop us", "sends a second", "p99 ms", "sends a commit")


async def one_send(log: SqliteLog, number: int, *, keyed: bool) -> None:
    now = time.time()
    key = f"{number:032x}" if keyed else None
    claim = Claim(
        f"otp_{number:028d}", "sms", "otp", "+1******4567", "r" * 32, "b" * 32, now, key, 1
    )
    claimed = await log.claim(claim, keep_keys=KEEP, first=(under_way("twilio", "twilio", now),))
    assert isinstance(claimed, Claimed), "every id is new"
    took = Attempt(
        "twilio",
        "twilio",
        Outcome.ACCEPTED,
        now,
        0.05,
        provider_message_id="SM" + "0" * 32,
        circuit="closed 0/5",
    )
    ended = Delivery(claim.id, "sms", "otp", Status.ACCEPTED, now, now + 0.05, (took,))
    await log.finish(claimed, ended)


async def measure(at_once: int, sends: int, *, keyed: bool) -> list[float]:
    """The figures of `NAMES`."""
    seconds: list[float] = []

    async def caller(log: SqliteLog, first: int) -> None:
        for number in range(first, sends, at_once):
            began = time.perf_counter()
            await one_send(log, number, keyed=keyed)
            seconds.append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as name:
        log = SqliteLog(Path(name) / "deliveries.db", timeout=20.0)
        await log.open()
        began, process, thread = time.perf_counter(), time.process_time(), time.thread_time()
        commits = log.commits
        await asyncio.gather(*(caller(log, first) for first in range(at_once)))
        took = time.perf_counter() - began
        on_loop = time.thread_time() - thread
        in_thread = time.process_time() - process - on_loop
        commits = log.commits - commits
        await log.close()
    seconds.sort()
    p99 = seconds[len(seconds) * 99 // 100] * 1e3
    return [in_thread / sends * 1e6, on_loop / sends * 1e6, sends / took, p99, sends / commits]


def told(values: Sequence[float]) -> str:
    return f"{statistics.median(values):9.2f} ({min(values):.2f} - {max(values):.2f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sends", type=int, default=4000, help="in each measurement")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keyed", action="store_true", help="every send has an idempotency key")
    chosen = parser.parse_args()
    for at_once in chosen.at_once:
        runs = [
            asyncio.run(measure(at_once, chosen.sends, keyed=chosen.keyed))
            for _ in range(chosen.rounds)
        ]
        for name, values in zip(NAMES, zip(*runs, strict=True), strict=True):
            sys.stdout.write(f"{at_once:4} in flight, {name:<16} {told(values)}\n")


if __name__ == "__main__":
    main()
