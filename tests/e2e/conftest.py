"""Fixtures of the black-box tests; what they hand out is in `harness`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.fixtures import command, environ, start, vendor
from harness.standins import Mailbox, Moto

__all__ = ["command", "environ", "start", "vendor"]  # fixtures, found by their names


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    server = Moto(tmp_path_factory.mktemp("moto") / "output")
    yield server
    server.close()


@pytest.fixture
def moto(moto_server: Moto) -> Iterator[Moto]:
    """The server, empty, with SES's sender verified."""
    moto_server.reset()
    moto_server.verify("codes@example.com")
    yield moto_server
    moto_server.trust()


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    box = Mailbox(tmp_path)
    yield box
    box.controller.stop()
