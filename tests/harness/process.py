"""One real `otp-sidecar run`, and how a test speaks to it."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.leaks import CODE, EMAIL, PHONE, TOKEN

PATIENCE = 30.0
"""Seconds to wait for a condition before a test gives up; a busy machine needs a few."""
TEXT = f"Your code is {CODE}"


def let_pass(seconds: float) -> None:
    """Let time pass for a process that is judged by how long it stood still."""
    threading.Event().wait(seconds)


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`, asked again and again."""
    give_up = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() > give_up:
            raise AssertionError(f"waited {PATIENCE:.0f} s in vain for {what}")
        pause.wait(0.02)
    return value


def run_command(
    directory: Path, environ: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """One `otp-sidecar` command in `directory`, to its end."""
    return run_python(directory, environ, "-m", "sidecar", *arguments)


def run_python(
    directory: Path, environ: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Python with these arguments in `directory`, to its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


UNREAD = """
import os, sys
reads, writes = os.pipe()
os.close(reads)
os.dup2(writes, 1)
os.execv(sys.executable, [sys.executable, "-m", "sidecar", *sys.argv[1:]])
"""


def run_unread(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command whose stdout is a pipe that nobody reads any more."""
    return subprocess.run(
        [sys.executable, "-c", UNREAD, *arguments],
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Sidecar:
    """One `otp-sidecar run`, with what it said. `module` is what Python runs as it."""

    def __init__(self, config: Path, environ: Mapping[str, str], module: str = "sidecar") -> None:
        self.config = config
        self.errors = config.parent / "stderr"
        self.lines: list[dict[str, Any]] = []
        self.raw: list[str] = []
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "run", "-c", str(config)],
                cwd=config.parent,
                env=dict(environ),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ready(self) -> Sidecar:
        """Wait until it serves."""

        def announced() -> dict[str, Any] | None:
            assert self.process.poll() is None, f"it ended: {self.errors.read_text()}"
            return next((line for line in self.lines if line.get("event") == "ready"), None)

        self.where: str = wait_for(announced, "the ready line")["listen"][0]
        if self.where.startswith("http"):
            self.port = int(self.where.rpartition(":")[2])
        return self

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One HTTP exchange; `body` is sent as JSON, bytes as they are.

        It presents the canary token, which no sidecar may repeat, where `headers` name none; an
        `Authorization` of None presents nothing.
        """
        return exchange(self.where, method, path, body, headers)

    def send(self, channel: str = "sms", *, headers: Any = None, **fields: Any) -> Answer:
        to = PHONE if channel == "sms" else EMAIL
        body = {"channel": channel, "to": to, "text": TEXT, **fields}
        return self.call("POST", "/v1/send", body, headers)

    def health(self, channel: str, provider: str) -> dict[str, Any]:
        chain = self.call("GET", "/health").json["chains"][channel]
        return next(p for p in chain["providers"] if p["name"] == provider)

    def inbox(self) -> list[dict[str, Any]]:
        return self.call("GET", "/v1/inbox").json["messages"]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("event") == name]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The process stands still (SIGSTOP) for the time of the block."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            stat = Path(f"/proc/{self.process.pid}/stat")
            wait_for(lambda: ") T " in stat.read_text(), "the process to stand still")
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self._ended()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                self.raw.append(line)
                if line.endswith("\n"):  # not one that a SIGKILL cut off
                    self.lines.append(json.loads(line))


class UnixConnection(http.client.HTTPConnection):
    """To a listener on a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def connect(where: str) -> http.client.HTTPConnection:
    """A connection, not yet made, to what the ready line calls `where`."""
    if where.startswith("unix:"):
        return UnixConnection(where.removeprefix("unix:"), PATIENCE)
    return http.client.HTTPConnection("127.0.0.1", int(where.rpartition(":")[2]), timeout=PATIENCE)


def exchange(
    where: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One HTTP exchange; see `Sidecar.call`. Raises OSError or HTTPException without an answer."""
    connection = connect(where)
    try:
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        chosen = {"Authorization": f"Bearer {TOKEN}", **kind, **(headers or {})}
        presented = {name: value for name, value in chosen.items() if value is not None}
        connection.request(method, path, sent, presented)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def trail(self) -> list[tuple[str, str]]:
        return [(a["provider"], a["outcome"]) for a in self.json["attempts"]]

    def __repr__(self) -> str:
        return f"{self.status} {self.body[:2000]!r}"
