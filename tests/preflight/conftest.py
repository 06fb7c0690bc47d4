"""Fixtures of pre-flight: the box, and what the black-box tests use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from harness.fixtures import command, environ, start, vendor
from harness.flight import Box
from harness.standins import Moto

__all__ = ["command", "environ", "start", "vendor"]  # fixtures, found by their names


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    one = Box(tmp_path / "providers.yaml")
    yield one
    if one.running is not None:
        one.running.cancel()
        await asyncio.wait({one.running})


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    server = Moto(tmp_path_factory.mktemp("moto") / "output")
    yield server
    server.close()


@pytest.fixture
def moto(moto_server: Moto) -> Moto:
    """The server, empty."""
    moto_server.reset()
    return moto_server
