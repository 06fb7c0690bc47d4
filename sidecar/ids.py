"""Random ids in hexadecimal, out of the system's generator: nobody can guess the next one.

A read of the system costs more than the id that is cut from it, so a block is read for many. The
process does not fork, which would give two processes the same ids.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

_BLOCK = 4_096
"""Bytes of one read: a few hundred sends."""


class _Block:
    """What is left of a block; to write to the class itself costs three times as much."""

    __slots__ = ("digits", "used")

    def __init__(self) -> None:
        self.digits, self.used = "", 0


_block = _Block()


def random_hex(size: int) -> str:
    """Of `size` random bytes the `2 * size` digits, as `secrets.token_hex` gives them.

    For the thread of the event loop alone: two threads might be given one id.
    """
    begin = _block.used
    end = begin + 2 * size
    if end > len(_block.digits):
        _block.digits = os.urandom(max(_BLOCK, size)).hex()
        begin, end = 0, 2 * size
    _block.used = end
    return _block.digits[begin:end]


about_request: ContextVar[Mapping[str, str]] = ContextVar(
    "about_request", default=MappingProxyType({})
)
"""What every log line of a request carries: its id, and that of its trace."""
