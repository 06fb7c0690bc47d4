"""The one wire of every HTTP provider.

What it adds to a client: it says whether a request surely did not leave (`Unavailable`) or may have
been taken (`Unknown`), it follows no redirect, asks no proxy of the environment, verifies TLS with
one shared context, and refuses addresses that no provider lives at.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any, Literal

import orjson

from sidecar.delivery.errors import (
    DeliveryError,
    LocalFault,
    Misconfigured,
    Refused,
    Throttled,
    Unavailable,
    Unknown,
)
from sidecar.delivery.frozen import made_quickly
from sidecar.wire.engine import REPLY_LIMIT, BodyLost, Engine
from sidecar.wire.target import Target, admit

__all__ = ["REPLY_LIMIT", "BodyLost", "HttpTransport", "Reply", "error_for_status", "use"]

ENGINES: Mapping[str, tuple[str, str]] = {
    "lean": ("sidecar.wire.lean", "LeanClient"),
    "aiohttp": ("sidecar.wire.aiohttp_client", "AiohttpClient"),
}
"""The ways to speak HTTP: module and class. One is loaded when it is first used."""
URLS = 256
"""Judged URLs that are remembered; a provider has a handful."""
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG = b"0" * 19
"""As many digits as the shortest integer has that orjson makes a float, -2**63 - 1."""
_LONG_NUMBER = re.compile(rb"[\[:,][ \t\r\n]*-?" + _LONG)
"""The same where a value begins, and not within an id."""


@made_quickly
@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer. `headers` are case-insensitive; `body` is at most 256 KiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty for anything else, so that a look-up finds nothing."""
        try:
            # At a tenth to a half of the price of Python's own, but beyond 64 bits an integer would
            # become a float, and an id of 20 digits somebody else's.
            value = self._lenient_json() if self._has_long_number() else orjson.loads(self.body)
        except ValueError:
            value = self._lenient_json()
        return value if isinstance(value, dict) else {}

    def _has_long_number(self) -> bool:
        digits = self.body.translate(_DIGITS)
        # `in` of bytes raises and catches an error first, for what might have been a number.
        return digits.find(_LONG) >= 0 and _LONG_NUMBER.search(digits) is not None

    def _lenient_json(self) -> object:
        """What Python reads beyond orjson: integers of any size, UTF-16, half surrogates, NaN."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def retry_after(self) -> float | None:
        """Seconds from `Retry-After`, a number or a date (RFC 9110 section 10.2.3), or None.

        A date is measured against the reply's own `Date`, so that a skewed clock does no harm.
        """
        value = self.headers.get("Retry-After", "").strip()
        if value.isascii() and value.isdigit():
            return min(float(value), 1e9)
        until, now = _unix_time(value), _unix_time(self.headers.get("Date", ""))
        if until is None:
            return None
        return max(0.0, until - (now if now is not None else time.time()))


def error_for_status(reply: Reply, *, code: str | int | None = None) -> DeliveryError:
    """What a status means where the vendor's own code says nothing; a plugin's last resort."""
    status = reply.status
    code = code if code is not None else status
    if status == 429:
        return Throttled("too many requests", code=code, retry_after=reply.retry_after())
    if status in (401, 402, 403):
        return Misconfigured("the account or its credentials were not accepted", code=code)
    if status in (404, 405, 406, 415):
        return Misconfigured("the address does not serve this API", code=code)
    if 300 <= status < 400:
        return Unavailable("answered with a redirect, which is never followed", code=code)
    if status >= 500 or status == 408:
        return Unavailable("the provider failed", code=code)
    if status >= 400:
        return Refused("the provider refused the request", code=code)
    return Unknown("the answer could not be understood", code=code)


class _Chosen:
    """The engine of the transports that are made from now on."""

    name = "lean"


def use(engine: Literal["lean", "aiohttp"]) -> None:
    """Let every transport that is made from now on speak HTTP by this engine."""
    _Chosen.name = engine


class HttpTransport:
    """A pool of kept connections for one provider. Make it in `__aenter__`, close it at the end.

    `allow_private` admits loopback and private addresses; link-local, multicast and unspecified
    ones are never admitted. Plain `http` is for loopback and private addresses only.
    """

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private
        self._targets: dict[str, Target] = {}
        self._closed = False
        module, name = ENGINES[_Chosen.name]
        self._engine: Engine = getattr(import_module(module), name)(allow_private=allow_private)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: float,
    ) -> Reply:
        """Send one request within `timeout` seconds; any complete answer is a `Reply`.

        A POST goes out once; a GET goes out again where a kept connection turns out to be dead.

        Raises `Unavailable`, `Misconfigured` or `Refused` when the request surely did not leave,
        `LocalFault` when that was our own doing, and `Unknown` when it may have been taken.
        """
        if self._closed:
            raise LocalFault("the provider's connections were closed")
        target = self._targets.get(url) or self._admit(url)
        return Reply(*await self._engine.exchange(target, method, headers, body, timeout))

    async def close(self) -> None:
        self._closed = True
        await self._engine.close()

    def _admit(self, url: str) -> Target:
        target = admit(url, allow_private=self._allow_private)
        if len(self._targets) >= URLS:
            self._targets.clear()
        self._targets[url] = target
        return target


def _unix_time(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, IndexError, OverflowError, TypeError):
        return None
