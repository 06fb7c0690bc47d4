"""What a send costs on the healthy path, in two versions of the code, side by side in one run.

    python benchmarks/healthy_path.py BEFORE AFTER     two checkouts; their plugins are used too

Each round runs both, in turn, so that a machine that slows down slows both. The sidecar has one
core, the stand-in of Twilio and the callers another. Told are medians over the rounds, with the
extremes, and the ratio AFTER / BEFORE of each round's pair.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ACCEPTED = json.dumps({"sid": "SM" + "0" * 32, "status": "queued", "error_code": None}).encode()
REPLY = (
    b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(ACCEPTED), ACCEPTED)
)
CONFIG = """\
server: {{listen: '127.0.0.1:0'}}
limits: {{in_flight: 256, in_flight_per_provider: 256}}
providers:
  twilio: {{base_url: 'http://127.0.0.1:{port}', allow_private: true, account_sid: AC{zeros},
    auth_token: canary-twilio-token-0001, sender: '+15005550006'}}
chains: {{sms: [twilio]}}
"""
BODY = json.dumps({"channel": "sms", "to": "+14155552671", "text": "Your code is 482913"}).encode()
TICK = os.sysconf("SC_CLK_TCK")


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP message with a Content-Length; its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    _, _, rest = head.lower().partition(b"content-length:")
    await reader.readexactly(int(rest.split(b"\r\n", 1)[0] or 0))
    return head


async def stand_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A Twilio that accepts everything at once."""
    try:
        while True:
            await read_message(reader)
            writer.write(REPLY)
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        writer.close()


async def caller(port: int, sends: int) -> int:
    """One kept connection, one send after the other; how many were accepted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = (
        b"POST /v1/send HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (port, len(BODY), BODY)
    )
    accepted = 0
    for _ in range(sends):
        writer.write(request)
        accepted += (await read_message(reader)).startswith(b"HTTP/1.1 200")
    writer.close()
    return accepted


def cpu_seconds(pid: int) -> float:
    """The process's own accounting: user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def start(
    tree: Path, directory: Path, upstream: int, core: int
) -> tuple[subprocess.Popen[bytes], int]:
    """A sidecar of this checkout, on this core; where it listens."""
    (directory / "providers.yaml").write_text(CONFIG.format(port=upstream, zeros="0" * 32))
    paths = [tree, *(tree / "plugins").iterdir()]
    # Not beside the configuration: that directory is watched, and every line would be an event.
    lines = directory / "said" / "lines"
    lines.parent.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "sidecar", "run"],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(map(str, paths))},
        stdout=lines.open("wb"),
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509  # before threads
    )
    while process.poll() is None:
        for line in lines.read_text().splitlines():
            said = json.loads(line)
            if said["event"] == "ready":
                return process, int(said["listen"][0].rpartition(":")[2])
        time.sleep(0.02)
    raise SystemExit(f"{tree}: the sidecar ended with {process.returncode}")


async def measure(
    tree: Path, upstream: int, core: int, at_once: int, sends: int
) -> dict[str, float]:
    """CPU microseconds and sends a second, after a warm-up."""
    with tempfile.TemporaryDirectory() as name:
        process, port = start(tree, Path(name), upstream, core)
        try:
            await asyncio.gather(*(caller(port, 20) for _ in range(at_once)))
            before, began = cpu_seconds(process.pid), time.perf_counter()
            each = sends // at_once
            accepted = await asyncio.gather(*(caller(port, each) for _ in range(at_once)))
            seconds = time.perf_counter() - began
            assert sum(accepted) == each * at_once, "every send must be accepted"
            cpu = cpu_seconds(process.pid) - before
        finally:
            process.terminate()
            process.wait(30)
    return {"cpu_us": cpu / sum(accepted) * 1e6, "per_second": sum(accepted) / seconds}


def told(name: str, values: Sequence[float]) -> str:
    return f"{name:<34} {statistics.median(values):9.3f}  ({min(values):.3f} - {max(values):.3f})"


async def main() -> None:
    """Interleave the two, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sends", type=int, default=4000, help="in each measurement")
    parser.add_argument("--at-once", type=int, default=32)
    chosen = parser.parse_args()
    server = await asyncio.start_server(stand_in, "127.0.0.1", 0)
    upstream = server.sockets[0].getsockname()[1]
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    trees = {"before": chosen.before.resolve(), "after": chosen.after.resolve()}
    found: dict[str, list[dict[str, float]]] = {"before": [], "after": []}
    for number in range(chosen.rounds):
        for which in sorted(trees, reverse=bool(number % 2)):
            found[which].append(
                await measure(trees[which], upstream, cores[0], chosen.at_once, chosen.sends)
            )
    for figure, unit in (("cpu_us", "CPU us a send"), ("per_second", "sends a second")):
        for which, runs in found.items():
            sys.stdout.write(told(f"{unit}, {which}", [run[figure] for run in runs]) + "\n")
        pairs = zip(found["before"], found["after"], strict=True)
        ratios = [after[figure] / before[figure] for before, after in pairs]
        sys.stdout.write(told(f"{unit}, after / before", ratios) + "\n")
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
