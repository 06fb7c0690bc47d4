"""The tokens that callers present, read from a file that may change."""

from __future__ import annotations

import hmac
import os
import re
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

TOKEN_RECHECK = 1.0
"""Seconds between two looks at the token file."""
SIZE_LIMIT = 16 * 1024
"""Bytes of a token file; more is none."""
_TOKEN = re.compile(rb"[\x21-\x7e]+")


class TokenFile:
    """The tokens that open the door: one a line, two at most, so that they can be rotated.

    Re-read as the file changes; while it cannot be read, or holds no tokens, those known last stay
    valid, and the log says so once. `learned` hears every token that was read, to keep it out of
    the log. Raises OSError and ValueError, where it is made, like `read_tokens`.
    """

    def __init__(
        self,
        path: Path,
        learned: Callable[[Iterable[str]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._learned = learned
        self._clock = clock
        self._tokens = self._read()
        self._looked_at = clock()
        self._fault: str | None = None

    def opens(self, token: bytes) -> bool:
        """Whether `token` is one of them, in time that does not depend on where they differ."""
        self._refresh()
        return sum(hmac.compare_digest(token, known) for known in self._tokens) > 0

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._looked_at < TOKEN_RECHECK:
            return
        self._looked_at = now
        try:
            tokens, fault = self._read(), None
        except (OSError, ValueError) as error:
            tokens, fault = self._tokens, getattr(error, "strerror", None) or str(error)
        if fault is not None and fault != self._fault:
            structlog.get_logger().warning(
                "token_file_unusable",
                file=str(self._path),
                reason=fault,
                effect="the tokens known last stay valid until the next start",
                do="mend the file",
            )
        elif tokens != self._tokens:
            structlog.get_logger().info("tokens_changed", tokens=len(tokens))
        self._tokens, self._fault = tokens, fault

    def _read(self) -> list[bytes]:
        tokens = read_tokens(self._path)
        self._learned(token.decode("ascii") for token in tokens)
        return tokens


def read_tokens(path: Path) -> list[bytes]:
    """The tokens in the file at `path`.

    Raises OSError where it cannot be read, ValueError where it is no regular file, holds none, more
    than two, or what could not stand in a header.
    """
    # Without O_NONBLOCK a named pipe would hold up the event loop for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        content = os.pread(descriptor, SIZE_LIMIT + 1, 0)
    finally:
        os.close(descriptor)
    if len(content) > SIZE_LIMIT:
        raise ValueError("it is too large for a file of one or two tokens")
    tokens = content.split()
    if not 1 <= len(tokens) <= 2:
        raise ValueError(f"it holds {len(tokens)} tokens, and one or two are needed, one a line")
    if not all(_TOKEN.fullmatch(token) for token in tokens):
        raise ValueError("its tokens must be of visible ASCII characters")
    return tokens
