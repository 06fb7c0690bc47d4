"""The engine `aiohttp`: aiohttp's client, told what it must not do by itself."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import ClientConnectorError
from aiohttp.abc import AbstractResolver, ResolveResult

from sidecar import crash
from sidecar.delivery.errors import DeliveryError, Unknown
from sidecar.network import CONNECT_TIMEOUT, connect_error, resolve, tls_context
from sidecar.wire.engine import KEPT_FOR, NAMES_FOR, REPLY_LIMIT, Answer, BodyLost
from sidecar.wire.request import admit_request
from sidecar.wire.target import Target


class AiohttpClient:
    """An `Engine`. `allow_private` is for the names that it resolves."""

    def __init__(self, *, allow_private: bool) -> None:
        self._resolver = _GuardedResolver(allow_private=allow_private)
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_left)
        if crash.is_armed("left"):
            trace.on_request_chunk_sent.append(_crash_behind)
        # limit=0: the chain bounds what is in flight; a wait for a pool slot would look like an
        # outage of the provider (it counts against the same time).
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                limit=0,
                ssl=tls_context(),
                resolver=self._resolver,
                ttl_dns_cache=NAMES_FOR,
                keepalive_timeout=KEPT_FOR,
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

    async def exchange(
        self, target: Target, method: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Answer:
        """See `Engine`."""
        admit_request(method, headers, body)
        progress = SimpleNamespace(left=False, head=None)
        if target.plain:
            self._resolver.plain_hosts.add(target.host)
        try:
            async with asyncio.timeout(timeout):
                return await self._ask(target, method, headers, body, timeout, progress)
        except DeliveryError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if progress.left:
                raise _after_leaving(error, progress.head) from error
            raise _before_leaving(error) from error

    async def close(self) -> None:
        """See `Engine`."""
        await self._session.close()

    async def _ask(
        self,
        target: Target,
        method: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        progress: SimpleNamespace,
    ) -> Answer:
        # ceil_threshold: aiohttp rounds bounds of 5 s and more up to whole seconds otherwise.
        bounds = aiohttp.ClientTimeout(
            total=None, connect=min(CONNECT_TIMEOUT, timeout), ceil_threshold=math.inf
        )
        async with self._session.request(
            method,
            target.url,
            headers=headers,
            data=body or None,
            allow_redirects=False,
            timeout=bounds,
            trace_request_ctx=progress,
        ) as response:
            progress.head = response.status, response.headers, b""
            received = bytearray()
            async for chunk in response.content.iter_any():
                received += chunk
                if len(received) > REPLY_LIMIT:
                    response.close()
                    reason = "the answer was longer than 256 KiB"
                    raise BodyLost(reason, progress.head, code=response.status)
            return response.status, response.headers, bytes(received)


class _Connector(aiohttp.TCPConnector):
    async def _get(self, key: Any, traces: Any) -> Any:
        # What a peer says unasked on a kept connection would be taken for the next answer: aiohttp
        # (3.14) asks only whether it is connected.
        for kept, _ in tuple(self._conns.get(key, ())):
            if kept.should_close:
                kept.close()
        return await super()._get(key, traces)


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


def _after_leaving(error: Exception, head: Answer | None) -> DeliveryError:
    reason = "the connection was lost before the answer was complete"
    if isinstance(error, TimeoutError):
        reason = "no complete answer in time"
    return Unknown(reason) if head is None else BodyLost(reason, head)
