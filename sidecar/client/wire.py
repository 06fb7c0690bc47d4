"""HTTP/1.1 as far as a sidecar speaks it: a reply has a Content-Length, and nothing is guessed."""

from __future__ import annotations

import re
from typing import NamedTuple

HEAD_LIMIT = 16 * 1024
BODY_LIMIT = 1024 * 1024
PIECE = 16 * 1024
"""Bytes to read at once: more than a usual answer has."""
_START = b"HTTP/1.1 "
_TEXT = rb"[\t -~\x80-\xff]*"
_HEAD = re.compile(
    rb"HTTP/1\.1 [2-5][0-9][0-9] %b(?:\r\n[!#-'*+.0-9A-Z^-z|~-]+:%b)*" % (_TEXT, _TEXT)
)
_NEEDED = frozenset(
    {
        b"content-length",
        b"content-type",
        b"retry-after",
        b"connection",
        b"transfer-encoding",
        b"content-encoding",
        b"x-request-id",
    }
)


class Garbled(Exception):
    """The reply is not one of a sidecar; why, in our own words."""


class Broken(Exception):
    """No whole reply came: `code` is `lost`, `timed_out` or `unreachable`.

    `left`: the request may have left as a whole. `stale`: the connection ended without a byte of a
    reply, as a kept one does that the sidecar closed.
    """

    def __init__(self, code: str, *, left: bool, stale: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.left = left
        self.stale = stale


class Reply(NamedTuple):
    """One whole reply. `retry_after` in seconds; `keep`: the connection may be used again.

    `about` is the request that it answers, in lower case, where it says so.
    """

    status: int
    kind: bytes
    retry_after: float | None
    keep: bool
    about: bytes
    body: bytes


class Reader:
    """Puts one reply together from what arrives."""

    __slots__ = ("_at", "_buffer", "_head", "_length")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: tuple[int, dict[bytes, bytes]] | None = None
        self._at = self._length = 0

    @property
    def begun(self) -> bool:
        """Whether anything has arrived."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Reply | None:
        """The reply, when `data` completes it. Raises `Garbled`."""
        buffer = self._buffer
        seen = len(buffer)
        buffer += data
        if self._head is None and not self._read_head(max(0, seen - 3)):
            return None
        end = self._at + self._length
        if len(buffer) < end:
            return None
        if len(buffer) > end:
            raise Garbled("it is longer than its Content-Length")
        assert self._head is not None
        status, headers = self._head
        after = headers.get(b"retry-after", b"")
        return Reply(
            status,
            headers.get(b"content-type", b"").partition(b";")[0],
            float(after) if after.isdigit() and len(after) < 7 else None,
            headers.get(b"connection", b"keep-alive") == b"keep-alive",
            headers.get(b"x-request-id", b""),
            bytes(buffer[self._at :]),
        )

    def _read_head(self, search_from: int) -> bool:
        buffer = self._buffer
        if not buffer.startswith(_START[: len(buffer)]):
            raise Garbled("it is not HTTP/1.1")
        at = buffer.find(b"\r\n\r\n", search_from)
        if (at if at >= 0 else len(buffer)) > HEAD_LIMIT:
            raise Garbled("its head is too long")
        if at < 0:
            return False
        if _HEAD.fullmatch(buffer, 0, at) is None:
            raise Garbled("its head is malformed")
        headers: dict[bytes, bytes] = {}
        for line in bytes(buffer[:at]).split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if (name := name.lower()) in _NEEDED:
                if name in headers:
                    raise Garbled("a header is there twice")
                headers[name] = value.strip(b" \t").lower()
        if b"transfer-encoding" in headers or b"content-encoding" in headers:
            raise Garbled("it is encoded")
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or len(length) > 7 or int(length) > BODY_LIMIT:
            raise Garbled("it has no Content-Length, or one that is out of range")
        self._head = int(buffer[9:12]), headers
        self._at, self._length = at + 4, int(length)
        return True
