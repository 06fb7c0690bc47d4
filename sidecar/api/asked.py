"""What a request must tell, whichever route it came in by."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from multidict import MultiMapping, istr

# As aiohttp's `hdrs`: an istr keeps its lower case, by which headers are found; a str's is made
# anew each time, and that is more than half of a look-up.
IDEMPOTENCY_KEY = istr("Idempotency-Key")
PREFER = istr("Prefer")
REQUEST_ID = istr("X-Request-Id")
REQUEST_TIMEOUT = istr("Request-Timeout")
SEC_FETCH_SITE = istr("Sec-Fetch-Site")
TRACEPARENT = istr("traceparent")


class Asked(Protocol):
    """A request with its head complete; aiohttp's own is one."""

    @property
    def method(self) -> str: ...
    @property
    def raw_path(self) -> str: ...
    @property
    def headers(self) -> MultiMapping[str]: ...
    @property
    def content_length(self) -> int | None: ...
    @property
    def transport(self) -> asyncio.Transport | None: ...
    def __getitem__(self, key: str) -> Any: ...
    def __setitem__(self, key: str, value: Any) -> None: ...
