"""The one wire of every HTTP provider, and the guarded socket of the others.

What it adds to a client: it says whether a request surely did not leave (`Unavailable`) or may have
been taken (`Unknown`), it follows no redirect, asks no proxy of the environment, verifies TLS with
one shared context, and refuses addresses that no provider lives at.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import math
import socket
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from sidecar.delivery.errors import (
    DeliveryError,
    LocalFault,
    Misconfigured,
    Refused,
    Throttled,
    Unavailable,
    Unknown,
)

CONNECT_TIMEOUT = 1.5
"""Seconds for DNS, TCP and TLS together."""
REPLY_LIMIT = 256 * 1024
"""Bytes of a reply that are read; a longer one is `Unknown`."""
_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@cache
def tls_context() -> ssl.SSLContext:
    """The process's one verifying context: TLS 1.2 or later, the system's CAs or `SSL_CERT_FILE`.

    Building one costs about 25 ms with a real bundle, so it is shared.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


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
        """Seconds from `Retry-After` (a number or a date, RFC 9110 section 10.2.3); None for neither.

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
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_left)
        # limit=0: the chain bounds what is in flight; a wait for a pool slot would look like an
        # outage of the provider (it counts against the same time).
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                ssl=tls_context(),
                resolver=_GuardedResolver(allow_private),
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
        """Send one request, once, within `timeout` seconds; any complete answer is a `Reply`.

        Raises `Unavailable` or `Misconfigured` when the request surely did not leave, `LocalFault`
        when that was our own doing, and `Unknown` when it may have been taken.
        """
        progress = SimpleNamespace(left=False)
        try:
            self._admit(url)
            async with asyncio.timeout(timeout):
                return await self._exchange(method, url, headers, body, timeout, progress)
        except DeliveryError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise (_after_leaving if progress.left else _before_leaving)(error) from error

    async def close(self) -> None:
        await self._session.close()

    async def _exchange(
        self,
        method: str,
        url: str,
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

    def _admit(self, url: str) -> None:
        """Judge what no resolver will see: the scheme, and a host that is an address already."""
        host, scheme = _host_and_scheme(url)
        address = _literal(host)
        if address is not None:
            admit_address(address, allow_private=self._allow_private)
        if scheme != "https" and not (self._allow_private and scheme == "http"):
            raise Misconfigured("the provider's address must begin with https://")


def admit_address(address: str, *, allow_private: bool) -> None:
    """Raise `Misconfigured` for an IP address that no provider may live at.

    Judges the address a name resolved to, IPv4 inside IPv6 included.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise Misconfigured("the provider's address is link-local, multicast or unspecified")
    if not ip.is_global and not allow_private:
        raise Misconfigured(
            "the provider's address is loopback or private; `allow_private: true` admits it"
        )


async def resolve(host: str, port: int, *, allow_private: bool) -> list[tuple[int, str]]:
    """The admitted addresses of `host` as (family, address) pairs, in the system's order.

    Raises `Unavailable` where the name does not resolve, `Misconfigured` where an address may not
    be used.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(
            _dns_threads(), lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
    except socket.gaierror as error:
        raise Unavailable("the provider's host name does not resolve") from error
    pairs = [(int(family), str(address[0])) for family, _, _, _, address in found]
    for _, address in pairs:
        admit_address(address, allow_private=allow_private)
    return pairs


async def open_socket(
    host: str, port: int, *, allow_private: bool = False, timeout: float = CONNECT_TIMEOUT
) -> socket.socket:
    """A connected, non-blocking TCP socket, for providers that do not speak HTTP.

    `timeout` is in seconds and covers DNS and every address tried. Raises `Unavailable`,
    `Misconfigured` or `LocalFault`; nothing has been sent in any of these cases.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            refused: OSError = ConnectionError("no address")
            for family, address in await resolve(host, port, allow_private=allow_private):
                sock = socket.socket(family, socket.SOCK_STREAM)
                try:
                    sock.setblocking(False)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    await loop.sock_connect(sock, (address, port))
                except OSError as error:
                    sock.close()
                    refused = error
                except BaseException:
                    sock.close()
                    raise
                else:
                    return sock
            raise refused
    except OSError as error:  # TimeoutError is one
        raise _before_leaving(error) from error


class _GuardedResolver(AbstractResolver):
    """aiohttp's door to `resolve`."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        pairs = await resolve(host, port, allow_private=self._allow_private)
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


def _before_leaving(error: Exception) -> DeliveryError:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Unavailable(f"the provider's certificate was not accepted: {_tls_cause(cause)}")
    if isinstance(cause, ssl.SSLError):
        return Unavailable("the TLS handshake failed")
    if isinstance(cause, OSError) and cause.errno in _OURS:
        return LocalFault(f"no connection could be opened: {errno.errorcode[cause.errno]}")
    if isinstance(cause, TimeoutError):
        return Unavailable("no connection within the time for connecting")
    if isinstance(cause, ConnectionRefusedError):
        return Unavailable("the connection was refused")
    return Unavailable("no connection could be made")


def _after_leaving(error: Exception) -> DeliveryError:
    if isinstance(error, TimeoutError):
        return Unknown("no complete answer in time")
    return Unknown("the connection was lost before the answer was complete")


def _tls_cause(error: ssl.SSLCertVerificationError) -> str:
    known = {10: "expired", 18: "self-signed", 19: "self-signed in the chain", 20: "unknown issuer"}
    return known.get(error.verify_code, "wrong host name" if error.verify_code == 62 else "invalid")


def _unix_time(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, IndexError, OverflowError, TypeError):
        return None


def _literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _host_and_scheme(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.scheme


@cache
def _dns_threads() -> ThreadPoolExecutor:
    # Of its own: hung look-ups must not starve whatever else shares asyncio's default executor.
    return ThreadPoolExecutor(max_workers=8, thread_name_prefix="dns")
