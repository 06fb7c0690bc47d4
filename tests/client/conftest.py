"""Fixtures of the client's tests; what they hand out is in `harness`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.fixtures import command, environ, start, stub, vendor
from harness.leaks import TOKEN
from harness.process import PATIENCE
from harness.senders import Sender
from sidecar.client import AsyncClient, Client

__all__ = ["command", "environ", "start", "stub", "vendor"]  # fixtures, found by their names


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "asyncio"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Sender]]:
    """Make a sender for a base; both are closed behind the test."""
    made: list[Sender] = []
    with asyncio.Runner() as runner:

        def begin(base: str, **more: Any) -> Sender:
            client = request.param(base, **{"token": TOKEN, "timeout": PATIENCE, **more})
            run = runner.run if request.param is AsyncClient else lambda done: done
            made.append(Sender(client, run))
            return made[-1]

        yield begin
        for one in made:
            one.close()
