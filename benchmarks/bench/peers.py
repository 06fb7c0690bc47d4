"""The servers that the sidecar is compared with, in an environment of their own.

What is not there - node, npm, the network, an environment in a smoke test - makes a peer missing,
with a reason, and never fails the bench.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.processes import cores, end, family, read_line, spawn

HOME = Path(__file__).parents[1]
SOURCES = HOME / "peers"
MADE = HOME / ".peers"
PYTHON = MADE / "venv/bin/python"
INSTALL = 600.0
"""Seconds that an installation may take."""


class Missing(Exception):
    """The peer cannot be measured here; the text says what is missing."""


class Peer:
    """A peer's server, once it listens. `command` says its port in its first line.

    Raises Missing where it does not.
    """

    path = "/v1/send"
    checks = False

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        env = {"PATH": os.environ["PATH"], **environ}
        self._process = spawn(command, cores()[0], env, cwd=SOURCES, stderr=subprocess.DEVNULL)
        try:
            self.port = int(read_line(self._process, 60.0))
        except SystemExit as error:
            end(self._process)
            raise Missing(f"`{Path(command[1]).name}` did not start") from error

    def pids(self) -> list[int]:
        return family(self._process.pid)

    def stop(self) -> None:
        end(self._process)


def prepare_python(*, install: bool) -> str:
    """The Python of the peers' own environment. Raises Missing."""
    wanted = SOURCES / "requirements.txt"
    if not _is_made(wanted, PYTHON):
        _may("the peers' environment is missing", install=install)
        _do([sys.executable, "-m", "venv", str(PYTHON.parents[1])])
        _do([str(PYTHON), "-m", "pip", "install", "--quiet", "-r", str(wanted)])
        _mark(wanted)
    return str(PYTHON)


def prepare_node(*, install: bool) -> str:
    """Node, with the peers' packages beside it. Raises Missing."""
    wanted = SOURCES / "package.json"
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        raise Missing("node is missing")
    if not _is_made(wanted, MADE / "node_modules/notifme-sdk"):
        _may("the peers' node_modules are missing", install=install)
        if npm is None:
            raise Missing("npm is missing")
        MADE.mkdir(exist_ok=True)
        shutil.copy(wanted, MADE)
        quietly = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        _do([npm, "install", *quietly, "--prefix", str(MADE)])
        _mark(wanted)
    return node


def versions(python: str) -> dict[str, str]:
    """The versions of the packages that the peers were made from."""
    names = [
        line.partition("==")[0]
        for line in (SOURCES / "requirements.txt").read_text().splitlines()
        if "==" in line
    ]
    program = (
        "import importlib.metadata as m, json, sys;"
        "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    )
    done = subprocess.run(
        [python, "-c", program, *names], capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def node_versions(node: str) -> dict[str, str]:
    package = json.loads((MADE / "node_modules/notifme-sdk/package.json").read_text())
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return {"node": done.stdout.strip().lstrip("v"), "notifme-sdk": package["version"]}


def _is_made(wanted: Path, product: Path) -> bool:
    mark = _mark_of(wanted)
    return product.exists() and mark.exists() and mark.read_text() == _digest(wanted)


def _mark(wanted: Path) -> None:
    _mark_of(wanted).write_text(_digest(wanted))


def _mark_of(wanted: Path) -> Path:
    return MADE / f"{wanted.name}.made"


def _digest(wanted: Path) -> str:
    return hashlib.sha256(wanted.read_bytes()).hexdigest()


def _may(reason: str, *, install: bool) -> None:
    if not install:
        raise Missing(f"{reason}, and a smoke test installs nothing")


def _do(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL, cwd=HOME)
    except (OSError, subprocess.SubprocessError) as error:
        raise Missing(f"`{' '.join(command[:4])} ...` failed: {type(error).__name__}") from error
