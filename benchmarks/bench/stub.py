"""A stand-in for SES v2, SNS, SendGrid and Twilio, cheap enough to be no part of what is measured.

    python -m bench.stub CHAIN_PEM

It says where it listens in one line of JSON, then takes orders, one a line:
`{"delay": 0.05}` seconds before each answer, `{"drain": "path"}` writes the ledger there and
empties it. Raw protocols on uvloop; a body is kept as it came and is read only when drained.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import time
from collections import deque
from pathlib import Path
from typing import cast

import uvloop

from bench.smtp_sink import SmtpSink
from bench.ticker import Ticker
from bench.vendors import ANSWERS, FAILURE, NAMES, RECIPIENTS, vendor_of

Entry = tuple[str, str, bytes]


class Stub:
    """What all connections share: the ledger, the clock, and how long an answer takes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.delay = 0.0
        self.ledger: list[Entry] = []
        self._number = 0
        self._late: deque[tuple[float, asyncio.Transport, bytes]] = deque()
        self._ticker = Ticker(loop, self._answer_late)

    def take(self, vendor: str, body: bytes) -> bytes:
        """Enter it in the ledger; the answer."""
        self._number += 1
        if vendor != "raw":
            self.ledger.append((vendor, f"{NAMES[vendor]}{self._number:032d}", body))
        return ANSWERS[vendor] % self._number

    def answer(self, transport: asyncio.Transport, answer: bytes) -> None:
        if not self.delay:
            transport.write(answer)
            return
        due = time.monotonic() + self.delay
        self._late.append((due, transport, answer))
        if len(self._late) == 1:
            self._ticker.at(due)

    def order(self, order: dict[str, object]) -> dict[str, object]:
        if "delay" in order:
            self.delay = float(str(order["delay"]))
        if "drain" in order:
            self._drain(Path(str(order["drain"])))
        return {}

    def _answer_late(self) -> None:
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, transport, answer = self._late.popleft()
            transport.write(answer)
        if self._late:
            self._ticker.at(self._late[0][0])

    def _drain(self, path: Path) -> None:
        with path.open("w") as file:
            for vendor, message_id, body in self.ledger:
                if vendor == "sns" and b"Action=Publish" not in body:
                    continue  # a look at the account: SNS has one address for all
                file.write(json.dumps([vendor, message_id, RECIPIENTS[vendor](body)]) + "\n")
        self.ledger.clear()


class Vendor(asyncio.Protocol):
    """One connection. `failing` answers 503 and takes nothing."""

    def __init__(self, stub: Stub, *, failing: bool) -> None:
        self._stub = stub
        self._failing = failing
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = data[:end].lower()
            _, _, rest = head.partition(b"\r\ncontent-length:")
            whole = end + 4 + int(rest.split(b"\r\n", 1)[0] or 0)
            if len(data) < whole:
                break
            self._serve(data[:end], head, data[end + 4 : whole])
            data = data[whole:]
        self._rest = data

    def _serve(self, head: bytes, lowered: bytes, body: bytes) -> None:
        answer = FAILURE if self._failing else self._stub.take(vendor_of(head), body)
        self._stub.answer(self._transport, answer)
        if b"\r\nconnection: close" in lowered and not self._stub.delay:
            self._transport.close()


async def serve(chain: str) -> None:
    """Listen, say where, and obey until standard input ends."""
    loop = asyncio.get_running_loop()
    stub = Stub(loop)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(chain)
    doors = {
        "plain": (lambda: Vendor(stub, failing=False), None),
        "tls": (lambda: Vendor(stub, failing=False), tls),
        "failing": (lambda: Vendor(stub, failing=True), tls),
        "smtp": (lambda: SmtpSink(stub.ledger, tls), None),
    }
    hello = {}
    for name, (protocol, context) in doors.items():
        server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context, backlog=4096)
        hello[name] = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps(hello) + "\n")
    sys.stdout.flush()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        sys.stdout.write(json.dumps(stub.order(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(sys.argv[1]))
