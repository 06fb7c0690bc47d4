"""Bytes as they are: connections below any HTTP library."""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.process import PATIENCE, PHONE, TEXT, Sidecar

SEND = json.dumps({"channel": "sms", "to": PHONE, "text": TEXT}).encode()


def send_request(body: bytes = SEND, *headers: str) -> bytes:
    """A send that is right."""
    lines = ["POST /v1/send HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def get_request(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def connect(sidecar: Sidecar, timeout: float = PATIENCE) -> socket.socket:
    return socket.create_connection(("127.0.0.1", sidecar.port), timeout)


def everything(connection: socket.socket) -> bytes:
    """What comes until the other side closes; a reset is a close."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionError:
        pass
    return received


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as it came."""

    status: int
    head: bytes
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert b"application/problem+json" in self.head, self
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status, self
        return document

    @property
    def is_send(self) -> bool:
        """Whether it is the answer to a send that was begun."""
        return b'"attempts"' in self.body


def replies(received: bytes) -> list[Reply]:
    """The answers in a stream; what is no answer, or is not whole, is an error."""
    found = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        start = re.match(rb"HTTP/[0-9]\.[0-9] ([0-9]{3}) ", head)
        assert start, (head, received)
        assert end, head
        length = re.search(rb"(?i)\r\ncontent-length: ([0-9]+)", head)
        size = int(length[1]) if length else 0
        assert len(received) >= size, head
        found.append(Reply(int(start[1]), head, received[:size]))
        received = received[size:]
    return found


def tell(sidecar: Sidecar, request: bytes) -> list[Reply]:
    """All that comes back for these bytes.

    When an answer came, one more request asks for the end of the connection: what the bytes before
    it left behind in the parser shows in its answer, or in that there is none.
    """
    with connect(sidecar) as connection:
        received = b""
        with suppress(ConnectionError):
            connection.sendall(request)
            while b"\r\n\r\n" not in received and (chunk := connection.recv(65536)):
                received += chunk
            connection.sendall(get_request("/livez", "Connection: close"))
        return replies(received + everything(connection))


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed, with nothing left to read."""
    patience = connection.gettimeout()
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(patience)


def cpu_seconds(sidecar: Sidecar) -> float:
    """Processor time of the process so far."""
    stat = Path(f"/proc/{sidecar.process.pid}/stat").read_text()
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(sidecar: Sidecar) -> int:
    """Bytes of memory that the process holds."""
    statm = Path(f"/proc/{sidecar.process.pid}/statm").read_text()
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
