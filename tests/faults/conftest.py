"""One daemon for a module, and sidecars that live as long: a row heals what it broke."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faultd.client import Faultd
from harness.process import Sidecar


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def serve(
    tmp_path_factory: pytest.TempPathFactory, faultd: Faultd
) -> Iterator[Callable[..., Sidecar]]:
    """Start a sidecar on a configuration text; it trusts the daemon's certificates."""
    running: list[Sidecar] = []

    def begin(text: str) -> Sidecar:
        home = tmp_path_factory.mktemp("sidecar")
        path = home / "providers.yaml"
        path.write_text(f"server: {{listen: '127.0.0.1:0'}}\n{text}")
        running.append(Sidecar(path, environ(home, faultd)))
        return running[-1].ready()

    yield begin
    for one in running:
        one.stop()


def environ(home: Path, faultd: Faultd) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "SSL_CERT_FILE": str(faultd.ca_file),
    }
