"""Fixtures of the tests of commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.fixtures import command, ctrl_c_is_heard, environ
from harness.senders import Stub

__all__ = ["command", "ctrl_c_is_heard", "environ"]  # fixtures, found by their names


@pytest.fixture
def stub() -> Iterator[Callable[..., Stub]]:
    running: list[Stub] = []

    def begin(*turns: Any) -> Stub:
        running.append(Stub(*turns))
        return running[-1]

    yield begin
    for one in running:
        one.close()
