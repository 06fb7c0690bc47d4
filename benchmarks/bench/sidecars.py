"""Sidecars of a checkout, started with a configuration of the bench's own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.ledger import Row
from bench.processes import cores, end, spawn

READY = 30.0
"""Seconds until a sidecar must be ready."""
LAST_ROWS = 10.0
"""Seconds until every delivery must have its end in the log."""
KEYS = {
    "access_key_id": "AKIABENCH",
    "secret_access_key": "bench-secret",
    "region": "eu-west-1",
    "allow_private": True,
}


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout, and the Python whose packages it uses: its own `.venv`'s, else this one."""

    path: Path

    @property
    def python(self) -> str:
        own = self.path / ".venv/bin/python"
        return str(own) if own.exists() else sys.executable

    def environ(self, **more: str) -> dict[str, str]:
        """An environment in which its packages are found before any that is installed."""
        paths = [self.path, *sorted((self.path / "plugins").iterdir()), Path(__file__).parents[1]]
        return {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(map(str, paths)), **more}


def provider(kind: str, ports: Mapping[str, int], door: str = "tls") -> dict[str, Any]:
    """The section of a provider that sends to the stub; `door` is one of the stub's listeners."""
    scheme = "http" if door == "plain" else "https"
    url = f"{scheme}://127.0.0.1:{ports[door]}"
    sections: dict[str, dict[str, Any]] = {
        "ses": {**KEYS, "endpoint_url": url, "sender": "codes@example.com"},
        "sns": {**KEYS, "endpoint_url": url},
        "twilio": {
            "account_sid": "AC" + "0" * 32,
            "auth_token": "bench-token",
            "sender": "+15005550006",
            "base_url": url,
            "allow_private": True,
        },
        "sendgrid": {
            "api_key": "SG.bench",
            "sender": "codes@example.com",
            "base_url": url,
            "allow_private": True,
        },
        "smtp": {
            "host": "127.0.0.1",
            "port": ports["smtp"],
            "username": "bench",
            "password": "bench",
            "sender": "codes@example.com",
            "allow_private": True,
        },
        "console": {},
    }
    return {"kind": kind, **sections[kind]}


def configuration(
    providers: Mapping[str, Mapping[str, Any]],
    chains: Mapping[str, Sequence[str]],
    *,
    room: int = 256,
    log: str = "data/deliveries.db",
    **more: Any,
) -> dict[str, Any]:
    """A whole configuration; `room` is what may be in flight, at all and at each provider."""
    return {
        "server": {"listen": "127.0.0.1:0", "connections": max(512, 2 * room)},
        "log": {"path": log},
        "limits": {"in_flight": room, "in_flight_per_provider": room},
        "providers": providers,
        "chains": chains,
        **more,
    }


class Sidecar:
    """A sidecar of `tree` in the directory `home`, on `core`; ready when the constructor returns.

    `configuration` is written as JSON, which YAML includes; a text is written as it is.
    `seconds` is the time from exec to the line `ready`. `program` is a module that runs it, with
    the module's own arguments.
    """

    path = "/v1/send"
    checks = True

    def __init__(
        self,
        tree: Tree,
        home: Path,
        core: int,
        configuration: Mapping[str, Any] | str,
        environ: Mapping[str, str],
        program: Sequence[str] = ("sidecar",),
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        text = configuration if isinstance(configuration, str) else json.dumps(configuration)
        (home / "providers.yaml").write_text(text)
        # Read through a pipe, as a container's output is, and written by somebody else: a file
        # system that syncs holds up whoever writes. Not beside the settings: the sidecar watches
        # their directory.
        self._lines = home / "out" / "lines"
        self._lines.parent.mkdir(exist_ok=True)
        self._log = _log_of(home, configuration)
        with self._lines.open("wb") as lines:
            path = {"PATH": os.environ["PATH"]}
            self._reader = spawn(["cat"], cores()[1], path, stdin=subprocess.PIPE, stdout=lines)
        assert self._reader.stdin is not None
        began = time.monotonic()
        with self._reader.stdin as pipe:
            self.process = spawn(
                [tree.python, "-m", *program, "run"],
                core,
                tree.environ(HOME=str(home), **environ),
                cwd=home,
                stdout=pipe,
                stderr=subprocess.STDOUT,
            )
        self.pid = self.process.pid
        self.ready: dict[str, Any] = self._wait(began)
        self.seconds = time.monotonic() - began
        self.port = int(self.ready["listen"][0].rpartition(":")[2])

    def pids(self) -> list[int]:
        return [self.pid]

    def rows(self, prefix: str, sent: int) -> list[Row]:
        """The log's attempts of the `sent` deliveries whose ids begin so, once all have ended."""
        if self._log is None:
            return self._rows_by_api(prefix, sent)
        with contextlib.closing(sqlite3.connect(f"file:{self._log}?mode=ro", uri=True)) as db:
            until = time.monotonic() + LAST_ROWS
            span = (prefix, prefix + "~")
            while db.execute(_PENDING, span).fetchone()[0] and time.monotonic() < until:
                time.sleep(0.05)
            return [Row(*found) for found in db.execute(_ATTEMPTS, span)]

    def _rows_by_api(self, prefix: str, sent: int) -> list[Row]:
        """What a log without a file has to say; it keeps 10,000 deliveries."""
        found = []
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        for number in range(sent):
            connection.request("GET", f"/v1/messages/{prefix}{number:07d}")
            reply = connection.getresponse()
            told = json.loads(reply.read())
            for tried in told["attempts"] if reply.status == 200 else ():
                row = (told["recipient"], tried["provider_message_id"], tried["outcome"])
                found.append(Row(told["id"], *row))
        connection.close()
        return found

    def said(self) -> str:
        """All lines so far, of both streams."""
        return self._lines.read_text()

    def stop(self) -> None:
        end(self.process)
        self._reader.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _wait(self, began: float) -> dict[str, Any]:
        while self.process.poll() is None and time.monotonic() - began < READY:
            for line in self._lines.read_bytes().splitlines():
                if line.startswith(b"{") and b'"ready"' in line and line.endswith(b"}"):
                    found: dict[str, Any] = json.loads(line)
                    return found
            time.sleep(0.001)
        self.stop()
        raise SystemExit(f"the sidecar is not ready: {self.said()[-2000:]}")


def _log_of(home: Path, configuration: Mapping[str, Any] | str) -> Path | None:
    """Where the file of the log is; None where there is none."""
    path = "data/deliveries.db" if isinstance(configuration, str) else configuration["log"]["path"]
    return None if path == ":memory:" else home / path


_PENDING = "SELECT count(*) FROM deliveries WHERE id >= ? AND id < ? AND status = 'pending'"
_ATTEMPTS = """
    SELECT id, recipient, provider_message_id, outcome
    FROM deliveries JOIN attempts ON delivery = number AND attempts.run = deliveries.run
    WHERE id >= ? AND id < ?
"""
