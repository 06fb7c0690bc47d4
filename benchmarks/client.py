"""What an app pays for one send: this project's clients, `http.client` and requests, in one run.

    python benchmarks/client.py [--sends 2000] [--rounds 7]

A stub in a process of its own answers every request with the same document. Each round runs every
client in turn over one kept connection, so that a machine that slows down slows all. `p50` is the
median time of a send, `CPU` what the calling process spends on one, both in microseconds; the
ratios are to `http.client`, of each round's pair. All are medians over the rounds, the extremes in
brackets. `raw socket` neither builds nor reads anything: the floor. requests is measured where it
is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sidecar.client import AsyncClient, Client

MESSAGE = {"channel": "sms", "to": "+14155552671", "text": "Your code is 482913"}
ATTEMPT = {
    "provider": "twilio", "kind": "twilio", "outcome": "accepted", "reason": None,
    "provider_code": None, "started_at": 1790000000.0, "seconds": 0.1,
    "provider_message_id": "SM" + "0" * 32, "circuit": "closed 0/5", "simulated": False,
    "cost": None,
}  # fmt: skip
DOCUMENT = {
    "id": "otp_" + "0" * 24, "status": "accepted", "channel": "sms", "purpose": "otp",
    "recipient": "+1******2671", "provider": "twilio", "provider_message_id": "SM" + "0" * 32,
    "attempts": [ATTEMPT], "duplicate_possible": False, "simulated": False, "cost": None,
    "replayed": False, "segments": 1,
}  # fmt: skip
BODY = json.dumps(DOCUMENT, separators=(",", ":")).encode()
REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Server: otp-sidecar\r\nX-Request-Id: 0123456789abcdef\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n%b" % (len(BODY), BODY)
)
Sender = Callable[[], None]


class Stub(asyncio.Protocol):
    """Answers whatever ends with its body; every client here sends head and body at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head, blank, body = self.seen.partition(b"\r\n\r\n")
        if blank and len(body) >= int(head.lower().partition(b"content-length:")[2].split()[0]):
            self.seen = b""
            self.transport.write(REPLY)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def serve() -> None:
    """The stub: its port on stdout, until stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Stub, "127.0.0.1", 0)
    say(str(server.sockets[0].getsockname()[1]))
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def raw_socket(port: int) -> Sender:
    connection = socket.create_connection(("127.0.0.1", port), 10)
    body = json.dumps(MESSAGE).encode()
    request = b"POST /v1/send HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def send() -> None:
        connection.sendall(request)
        connection.recv(16384)

    return send


def plain_http_client(port: int) -> Sender:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def send() -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(16)}
        connection.request("POST", "/v1/send", json.dumps(MESSAGE).encode(), headers)
        json.loads(connection.getresponse().read())

    return send


def with_requests(port: int) -> Sender:
    import requests  # it may not be installed

    session = requests.Session()

    def send() -> None:
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        url = f"http://127.0.0.1:{port}/v1/send"
        session.post(url, json=MESSAGE, headers=headers, timeout=10).json()

    return send


def our_client(port: int) -> Sender:
    client = Client(f"http://127.0.0.1:{port}")
    return lambda: client.send(**MESSAGE).accepted or sys.exit("not accepted")


def measure(send: Sender, sends: int) -> tuple[float, float]:
    """The median time and the CPU time of one, in microseconds."""
    times = []
    cpu = time.process_time()
    for _ in range(sends):
        begun = time.perf_counter()
        send()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e6, (time.process_time() - cpu) / sends * 1e6


async def measure_async(send: Callable[[], Awaitable[object]], sends: int) -> tuple[float, float]:
    times = []
    cpu = time.process_time()
    for _ in range(sends):
        begun = time.perf_counter()
        await send()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e6, (time.process_time() - cpu) / sends * 1e6


def tell(name: str, rounds: list[tuple[float, float]], base: list[tuple[float, float]]) -> None:
    cells = []
    for column in (0, 1):
        own = [one[column] for one in rounds]
        ratios = [mine[column] / other[column] for mine, other in zip(rounds, base, strict=True)]
        for values, form in ((own, "{:.0f}"), (ratios, "{:.2f}")):
            middle, low, high = (
                form.format(v) for v in (statistics.median(values), min(values), max(values))
            )
            cells.append(f"{middle} ({low}-{high})")
    say(f"{name:12} | p50 {cells[0]:>15} {cells[1]:>17} | CPU {cells[2]:>15} {cells[3]:>17}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sends", type=int, default=2_000, help="for each client and round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    stub = subprocess.Popen(
        [sys.executable, __file__, "--stub"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    port = int(stub.stdout.readline())
    makers = {"raw socket": raw_socket, "http.client": plain_http_client, "Client": our_client}
    if find_spec("requests"):
        makers["requests"] = with_requests
    senders = {name: maker(port) for name, maker in makers.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in [*senders, "AsyncClient"]}
    with asyncio.Runner() as runner:
        client = AsyncClient(f"http://127.0.0.1:{port}")

        async def send() -> object:
            return await client.send(**MESSAGE)

        for number in range(options.rounds + 1):  # the first warms up
            results = {name: measure(one, options.sends) for name, one in senders.items()}
            results["AsyncClient"] = runner.run(measure_async(send, options.sends))
            if number:
                for name, result in results.items():
                    found[name].append(result)
        runner.run(client.close())
    stub.communicate("")
    say(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; ratios to http.client")
    for name, rounds in found.items():
        tell(name, rounds, found["http.client"])


if __name__ == "__main__":
    asyncio.run(serve()) if sys.argv[1:] == ["--stub"] else main()
