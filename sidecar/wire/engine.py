"""What an engine is to the transport, and the bounds that every engine keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sidecar.delivery.errors import Unknown
from sidecar.wire.target import Target

REPLY_LIMIT = 256 * 1024
"""Bytes of a reply's body that are read; a longer one is `Unknown`."""
KEPT_FOR = 15.0
"""Seconds that an idle connection is kept: fewer than the 60 s or more after which the load
balancers of the large providers hang up, so that a request seldom meets one that is going."""
NAMES_FOR = 30
"""Seconds that the addresses of a name are used again."""


Answer = tuple[int, Mapping[str, str], bytes]
"""A complete reply: status, case-insensitive headers, body."""


class BodyLost(Unknown):
    """The head of the reply came, and not the whole of its body, or none that can be read.

    `head` is the reply without its body: where only the status counts, that is an answer. With
    aiohttp it is a plain `Unknown` where one piece holds both the head and what cannot be read.
    """

    def __init__(self, reason: str, head: Answer, *, code: str | int | None = None) -> None:
        super().__init__(reason, code=code)
        self.head = head


class Engine(Protocol):
    """Connections of one transport."""

    async def exchange(
        self, target: Target, method: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Answer:
        """Send a request and read its reply, within `timeout` seconds.

        Raises `Unavailable`, `Misconfigured`, `Refused` or `LocalFault` when the request surely did
        not leave, and `Unknown` when it may have been taken; that is a `BodyLost` where the head of
        the reply is there.
        """

    async def close(self) -> None:
        """Close every connection; what is in flight ends `Unknown`."""
