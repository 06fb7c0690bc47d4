"""What it costs to tell of a delivery - line, metrics, observers - in two versions of the code.

    python benchmarks/telling.py BEFORE AFTER     two checkouts

Each round runs both, in turn, in processes of their own whose stdout is a pipe that is read. Told
are CPU microseconds of all threads, a delivery, and the ratio AFTER / BEFORE of each round's pair.
The event loop turns between batches, as between the sends of a busy sidecar.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SECRETS = [f"canary-{number}-Zq7Rk2Vw9XsL4" for number in range(4)]
BATCH = 16
"""Deliveries that end in one turn of the event loop."""


async def work(deliveries: int) -> None:
    """In a process of its own: tell of so many; the cost on stderr."""
    import structlog

    from sidecar import logs
    from sidecar.delivery.model import Attempt, Delivery, Outcome, Status
    from sidecar.metrics import Metrics
    from sidecar.observers import Observers
    from sidecar.registry import Registry

    try:
        from sidecar.canonical import CanonicalLine
    except ImportError:
        # An older checkout has it there; to mypy, which sees this one, it is not.
        from sidecar.logs import CanonicalLine  # type: ignore[attr-defined,no-redef]
    logs.redactor.add(SECRETS)
    logs.configure(human=False)
    line, metrics, registry = CanonicalLine(), Metrics(), Registry()
    for observer in (line, metrics):
        registry.register(observer)
    structlog.contextvars.bind_contextvars(request_id="9d7be223c8577038")
    attempt = Attempt("twilio", "twilio", Outcome.ACCEPTED, 1.0, 0.0123, circuit="closed 0/5")

    def delivery(number: int) -> Delivery:
        return Delivery(
            *(f"otp_{number:024x}", "sms", "otp", Status.ACCEPTED, 1.0, 1.02),
            attempts=(attempt,),
            recipient="+1******2671",
            recipient_hash="ab12cd34ab12cd34",
            segments=1,
        )

    async def cost(tell: Callable[[Delivery], None]) -> float:
        ended = [delivery(number) for number in range(deliveries)]
        before = time.process_time()
        for number, one in enumerate(ended):
            tell(one)
            if not number % BATCH:
                await asyncio.sleep(0)
        return (time.process_time() - before) / deliveries * 1e6

    for tell in (Observers(registry).delivery_ended, line.delivery_ended, metrics.delivery_ended):
        await cost(tell)
        sys.stderr.write(f"{await cost(tell)}\n")


def measure(tree: Path, deliveries: int) -> list[float]:
    """One run with this checkout's code: all of it, the line alone, the metrics alone."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--work", str(deliveries)],
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    costs = process.communicate()[1]
    if process.returncode:
        raise SystemExit(f"{tree}: {costs.decode()}")
    return [float(cost) for cost in costs.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trees", type=Path, nargs="*", metavar="BEFORE AFTER")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--deliveries", type=int, default=20_000, help="in each measurement")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        asyncio.run(work(chosen.work))
        return
    if len(chosen.trees) != 2:
        parser.error("name two checkouts")
    found: list[list[list[float]]] = [[], []]
    for number in range(chosen.rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            found[which].append(measure(chosen.trees[which].resolve(), chosen.deliveries))
    for place, what in enumerate(("all", "line", "metrics")):
        before, after = ([run[place] for run in runs] for runs in found)
        ratios = [b / a for a, b in zip(before, after, strict=True)]
        sys.stdout.write(
            f"{what:<8} before {statistics.median(before):7.2f} us"
            f"   after {statistics.median(after):7.2f} us"
            f"   after / before {statistics.median(ratios):.3f}"
            f"  ({min(ratios):.3f} - {max(ratios):.3f})\n"
        )


if __name__ == "__main__":
    main()
