"""One daemon and one sidecar for each kind of provider: a row heals what it broke."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faultd.client import CHANNELS, Faultd
from harness.process import Sidecar
from harness.providers import config
from harness.rig import Rig, environ

DEADLINE = 4.0
TIMEOUT = 1.0
"""Seconds of an attempt in a rig."""
QUICK = f"limits: {{deadline: {DEADLINE:.0f}s}}\nbreaker: {{recovery_timeout: 1s, growth: 1}}\n"


@pytest.fixture(scope="session")
def faultd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faultd]:
    """The daemon, with one healthy provider of each kind to begin with."""
    with Faultd(tmp_path_factory.mktemp("faultd")) as daemon:
        yield daemon
    assert daemon.errors.read_text() == "", "the daemon itself failed somewhere"


@pytest.fixture(autouse=True)
def healed(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "faultd" in request.fixturenames:
        request.getfixturevalue("faultd").heal()


HTTP_CLIENT = os.environ.get("HTTP_CLIENT", "lean")
"""`HTTP_CLIENT=aiohttp pytest tests/faults` breaks the other engine."""


@pytest.fixture(scope="session")
def begin(
    tmp_path_factory: pytest.TempPathFactory, faultd: Faultd
) -> Iterator[Callable[..., Sidecar]]:
    """Start a sidecar on a configuration text; it trusts the daemon's certificates."""
    running: list[Sidecar] = []

    def start(text: str) -> Sidecar:
        home = tmp_path_factory.mktemp("sidecar")
        path = home / "providers.yaml"
        head = f"server: {{listen: '127.0.0.1:0'}}\nhttp_client: {HTTP_CLIENT}\n"
        path.write_text(head + text)
        running.append(Sidecar(path, environ(home, faultd)))
        return running[-1].ready()

    yield start
    for one in running:
        one.stop()


@pytest.fixture(scope="session")
def rig_of(faultd: Faultd, begin: Callable[..., Sidecar]) -> Callable[[str], Rig]:
    """The rig of a kind: `first` over plain TCP, `tls` over TLS, and a `spare`."""
    rigs: dict[str, Rig] = {}

    def find(kind: str) -> Rig:
        if kind not in rigs:
            names = [f"{kind}_{role}" for role in ("first", "tls", "spare")]
            for name in names:
                faultd.add(name, kind)
            first, tls, spare = names
            sections = (
                faultd.section(first, timeout=TIMEOUT),
                faultd.section(tls, tls=True, timeout=TIMEOUT),
                faultd.section(spare),
            )
            channel = CHANNELS[kind]
            sidecar = begin(config(channel, *sections, more=QUICK))
            rigs[kind] = Rig(faultd, sidecar, channel, names, deadline=DEADLINE, timeout=TIMEOUT)
        return rigs[kind]

    return find


@pytest.fixture
def rig(rig_of: Callable[[str], Rig], kind: str) -> Iterator[Rig]:
    """The rig of the row's `kind`, well before the row; its invariants are checked after it."""
    found = rig_of(kind)
    found.recover()
    found.sents.clear()
    yield found
    assert found.breaches() == []


@pytest.fixture
def peak_memory() -> Callable[[Rig], int]:
    """The most memory that a rig's sidecar ever had, in KiB."""

    def read(rig: Rig) -> int:
        status = Path(f"/proc/{rig.sidecar.process.pid}/status")
        if not status.exists():
            pytest.skip("needs /proc to see the memory of another process")
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1])

    return read
