"""The tokens that callers present, read from a file that may change."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from pathlib import Path

TOKEN_RECHECK = 1.0
"""Seconds between two looks at the token file."""


class TokenFile:
    """The tokens that open the door: one a line, two at most, so that they can be rotated.

    Re-read as the file changes; while it cannot be read, the tokens known last stay valid.
    `learned` hears every token that was read, to keep it out of the log.
    """

    def __init__(self, path: Path, learned: Callable[[Iterable[str]], None]) -> None:
        self._path = path
        self._learned = learned
        self._tokens = self._read()
        self._looked_at = time.monotonic()

    def opens(self, token: bytes) -> bool:
        """Whether `token` is one of them, in time that does not depend on where they differ."""
        self._refresh()
        return sum(hmac.compare_digest(token, known) for known in self._tokens) > 0

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= TOKEN_RECHECK:
            self._looked_at = now
            try:
                self._tokens = self._read()
            except (OSError, ValueError):
                return

    def _read(self) -> list[bytes]:
        tokens = read_tokens(self._path)
        self._learned(token.decode("utf-8", "replace") for token in tokens)
        return tokens


def read_tokens(path: Path) -> list[bytes]:
    """The tokens in the file at `path`.

    Raises OSError where it cannot be read, ValueError where it holds none or more than two.
    """
    tokens = path.read_bytes().split()
    if not 1 <= len(tokens) <= 2:
        raise ValueError(f"it holds {len(tokens)} tokens, and one or two are needed, one a line")
    return tokens
