"""The one wire of every HTTP provider.

What it adds to a client: it says whether a request surely did not leave (`Unavailable`) or may have
been taken (`Unknown`), it follows no redirect, asks no proxy of the environment, verifies TLS with
one shared context, and refuses addresses that no provider lives at.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import ClientConnectorError
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from sidecar import crash
from sidecar.delivery.errors import (
    DeliveryError,
    Misconfigured,
    Refused,
    Throttled,
    Unavailable,
    Unknown,
)
from sidecar.network import (
    CONNECT_TIMEOUT,
    admit_address,
    connect_error,
    literal_address,
    resolve,
    tls_context,
)

REPLY_LIMIT = 256 * 1024
"""Bytes of a reply that are read; a longer one is `Unknown`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer. `headers` are case-insensitive; `body` is at most 256 KiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty for anything else, so that a look-up finds nothing."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

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


class HttpTransport:
    """A pool of kept connections for one provider. Make it in `__aenter__`, close it at the end.

    `allow_private` admits loopback and private addresses; link-local, multicast and unspecified
    ones are never admitted. Plain `http` is for loopback and private addresses only.
    """

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private
        self._resolver = _GuardedResolver(allow_private=allow_private)
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_left)
        if crash.is_armed("left"):
            trace.on_request_chunk_sent.append(_crash_behind)
        # limit=0: the chain bounds what is in flight; a wait for a pool slot would look like an
        # outage of the provider (it counts against the same time).
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                ssl=tls_context(),
                resolver=self._resolver,
                ttl_dns_cache=30,
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

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

        Raises `Unavailable` or `Misconfigured` when the request surely did not leave, `LocalFault`
        when that was our own doing, and `Unknown` when it may have been taken.
        """
        progress = SimpleNamespace(left=False)
        try:
            address = self._admit(url)
            async with asyncio.timeout(timeout):
                return await self._exchange(method, address, headers, body, timeout, progress)
        except DeliveryError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise (_after_leaving if progress.left else _before_leaving)(error) from error

    async def close(self) -> None:
        await self._session.close()

    async def _exchange(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        progress: SimpleNamespace,
    ) -> Reply:
        # ceil_threshold: aiohttp rounds bounds of 5 s and more up to whole seconds otherwise.
        bounds = aiohttp.ClientTimeout(
            total=None, connect=min(CONNECT_TIMEOUT, timeout), ceil_threshold=math.inf
        )
        async with self._session.request(
            method,
            url,
            headers=headers,
            data=body or None,
            allow_redirects=False,
            timeout=bounds,
            trace_request_ctx=progress,
        ) as response:
            received = bytearray()
            async for chunk in response.content.iter_any():
                received += chunk
                if len(received) > REPLY_LIMIT:
                    response.close()
                    raise Unknown("the answer was longer than 256 KiB", code=response.status)
            return Reply(response.status, response.headers, bytes(received))

    def _admit(self, url: str) -> URL:
        """Judge what no resolver will see: the scheme, and a host that is an address already."""
        try:
            parsed = URL(url)  # what aiohttp goes by: two parsers may disagree about the host
        except ValueError:
            raise Misconfigured("the provider's address is not a URL") from None
        host, plain = parsed.raw_host or "", parsed.scheme == "http"
        if parsed.scheme not in ("https", "http"):
            raise Misconfigured("the provider's address must begin with https://")
        address = literal_address(host)
        if address is not None:
            admit_address(address, allow_private=self._allow_private, plain=plain)
        elif plain and not self._allow_private:
            raise Misconfigured(
                "the provider's address must begin with https://; `allow_private: true` admits "
                "http:// to a loopback or private one"
            )
        elif plain:
            self._resolver.plain_hosts.add(host)
        return parsed


class _GuardedResolver(AbstractResolver):
    """aiohttp's door to `resolve`. `plain_hosts`: names that are reached without TLS."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self.plain_hosts: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        pairs = await resolve(
            host, allow_private=self._allow_private, plain=host in self.plain_hosts
        )
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=found,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for found, address in pairs
        ]

    async def close(self) -> None:
        return None


async def _mark_left(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    # aiohttp calls this just before the first byte is handed to the socket: from here on the
    # request may have been taken.
    context.trace_request_ctx.left = True


async def _crash_behind(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceRequestChunkSentParams,
) -> None:
    # aiohttp calls this just before it writes the body, the head with it, in one step of the loop.
    asyncio.get_running_loop().call_soon(crash.at, "left")


def _before_leaving(error: Exception) -> DeliveryError:
    # aiohttp's connector errors carry what the socket or the TLS handshake said.
    return connect_error(error.os_error if isinstance(error, ClientConnectorError) else error)


def _after_leaving(error: Exception) -> DeliveryError:
    if isinstance(error, TimeoutError):
        return Unknown("no complete answer in time")
    return Unknown("the connection was lost before the answer was complete")


def _unix_time(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, IndexError, OverflowError, TypeError):
        return None
