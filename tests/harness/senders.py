"""The app's side in a test: both clients behind one face, and a stub that answers as it is told."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from harness.leaks import PHONE
from harness.process import PATIENCE, TEXT
from sidecar.client import Answer, SendError

CONSOLE = "log: {path: ':memory:'}\nproviders: {console: {}}\nchains: {sms: [console]}\n"
MESSAGE = {"channel": "sms", "to": PHONE, "text": TEXT}


class Sender:
    """`Client`, or `AsyncClient` on a loop that outlives a send."""

    def __init__(self, client: Any, run: Callable[[Any], Any]) -> None:
        self.client = client
        self._run = run

    def send(self, **more: Any) -> Answer:
        return self._run(self.client.send(**{**MESSAGE, **more}))

    def refused(self, **more: Any) -> SendError:
        """The error of a send that is not answered."""
        with pytest.raises(SendError) as caught:
            self.send(**more)
        return caught.value

    def close(self) -> None:
        self._run(self.client.close())


Turn = Callable[[bytes], bytes | Iterable[bytes] | None]
"""What is answered to a request: bytes, pieces, nothing (b"": never), or a close (None)."""


class Stub:
    """Takes requests as they are and answers by `turns`, one after the other, the last for ever."""

    def __init__(self, *turns: Any) -> None:
        self.turns = list(turns)
        self.requests: list[bytes] = []
        self.connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def keys(self) -> list[bytes]:
        return [re.search(rb"Idempotency-Key: (\S+)", one)[1] for one in self.requests]

    def hang_up(self) -> None:
        """Close every connection from here."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(PATIENCE)
        self.hang_up()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections.append(connection)
                thread = threading.Thread(target=partial(self._serve, connection))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while request := read_request(connection):
                with self._lock:
                    self.requests.append(request)
                    turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
                said = turn(request) if callable(turn) else turn
                if said is None:
                    return
                for piece in [said] if isinstance(said, bytes) else said:
                    connection.sendall(piece)


def read_request(connection: socket.socket) -> bytes:
    """One request with its body; nothing where there is none."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (data := connection.recv(65536)):
            return b""
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    told = re.search(rb"Content-Length: (\d+)", head)
    length = int(told[1]) if told else 0
    while len(body) < length:
        if not (data := connection.recv(65536)):
            return b""
        body += data
    return head + b"\r\n\r\n" + body
