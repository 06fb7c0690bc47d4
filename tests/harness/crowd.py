"""Many callers at once, each on a connection of its own, and stand-ins that hold what they get."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from harness.process import EMAIL, PATIENCE, PHONE, TEXT
from harness.standins import VendorRequest


@dataclass(frozen=True)
class Said:
    """One answer: its status, its headers in lower case, its document, and how long it took."""

    status: int
    headers: dict[str, str]
    json: Any
    seconds: float

    @property
    def code(self) -> str | None:
        """The word of a refusal."""
        code: str | None = self.json.get("code")
        return code


def request(channel: str, **fields: Any) -> bytes:
    to = PHONE if channel == "sms" else EMAIL
    body = json.dumps({"channel": channel, "to": to, "text": TEXT, **fields}).encode()
    head = "POST /v1/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def send(
    port: int, channel: str, *, turn: asyncio.Semaphore | None = None, **fields: Any
) -> Said:
    """One send on a new connection.

    `turn` bounds how many connect at the same moment: a thousand that are connected and have not
    yet said a word, because this process is slow, would be taken for the silent ones they are.
    """
    async with turn or nullcontext():
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(channel, **fields))
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        lines = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        status = int(head[0].split()[1])
        return Said(status, headers, json.loads(body), time.monotonic() - began)
    finally:
        writer.close()


async def until(condition: Callable[[], Any], what: str) -> None:
    """Come back when the condition holds."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, f"waited in vain for {what}"
        await asyncio.sleep(0.02)


class Held:
    """A vendor's answer behind a gate; keeps how many requests were inside at once, at most."""

    def __init__(self, answer: Callable[[VendorRequest], Any]) -> None:
        self.answer = answer
        self.gate = threading.Event()
        self.inside = self.most = self.taken = 0
        self._lock = threading.Lock()

    def __call__(self, asked: VendorRequest) -> Any:
        with self._lock:
            self.inside += 1
            self.taken += 1
            self.most = max(self.most, self.inside)
        self.gate.wait(PATIENCE)
        with self._lock:
            self.inside -= 1
        return self.answer(asked)
