"""Sidecars with a console provider, whose inbox counts what was taken."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.process import Sidecar

CHAINS = """
log: {path: ':memory:'}
providers: {console: {}}
chains: {sms: [console], email: [console]}
"""


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Sidecar]]:
    """Start a sidecar with more keys in its section `server`, and more variables."""
    running: list[Sidecar] = []

    def start(
        server: str = "", more: str = CHAINS, listen: str = "127.0.0.1:0", **environ: str
    ) -> Sidecar:
        directory: Path = tmp_path_factory.mktemp("door")
        (directory / "providers.yaml").write_text(
            f"server: {{listen: '{listen}'{server and ', '}{server}}}\n{more}"
        )
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        known = {**kept, "HOME": str(directory), "AWS_EC2_METADATA_DISABLED": "true"}
        running.append(Sidecar(directory / "providers.yaml", {**known, **environ}))
        return running[-1].ready()

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def many_descriptors() -> Iterator[int]:
    """The soft limit raised to the hard one, for tests that open many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65_536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    yield max(soft, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
