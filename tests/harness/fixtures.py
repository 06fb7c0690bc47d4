"""Fixtures that every folder of black-box tests imports into its conftest."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.process import Sidecar, run_command
from harness.senders import Stub
from harness.standins import Vendor, VendorRequest


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A clean environment: nothing of the machine's own accounts or proxies."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def start(tmp_path: Path, environ: dict[str, str]) -> Iterator[Callable[..., Sidecar]]:
    """Start a sidecar on a configuration text; `tmp_path` is its working directory."""
    running: list[Sidecar] = []

    def begin(text: str | None = None, config: Path | None = None, **more: str) -> Sidecar:
        path = config or tmp_path / "providers.yaml"
        if text is not None:
            path.write_text(f"server: {{listen: '127.0.0.1:0'}}\n{text}")
        running.append(Sidecar(path, {**environ, **more}))
        return running[-1].ready()

    yield begin
    for one in running:
        one.stop()


@pytest.fixture
def command(tmp_path: Path, environ: dict[str, str]) -> Callable[..., Any]:
    """Run one command to its end in `tmp_path`, with more variables by name."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return run_command(tmp_path, {**environ, **more}, *arguments)

    return run


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """By the processes of the test; tests in the background of a shell are begun deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def vendor() -> Iterator[Callable[..., Vendor]]:
    running: list[Vendor] = []

    def begin(answer: Callable[[VendorRequest], Any]) -> Vendor:
        running.append(Vendor(answer))
        return running[-1]

    yield begin
    for one in running:
        one.close()


@pytest.fixture
def stub() -> Iterator[Callable[..., Stub]]:
    """Begin a server that answers these turns; see `Stub`."""
    running: list[Stub] = []

    def begin(*turns: Any) -> Stub:
        running.append(Stub(*turns))
        return running[-1]

    yield begin
    for one in running:
        one.close()
