"""Callers that mean no good: what may come back is an answer of the 400s, or a close."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

PATIENCE = 10.0
POST = b"POST /v1/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
REQUESTS = {
    "no JSON": POST + b"Content-Length: 5\r\n\r\nhello",
    "an empty body": POST + b"Content-Length: 0\r\n\r\n",
    "deep JSON": POST + b"Content-Length: 50000\r\n\r\n" + b"[" * 50_000,
    "an integer of 5000 digits": POST + b"Content-Length: 5000\r\n\r\n" + b"1" * 5000,
    "a surrogate": POST + b'Content-Length: 18\r\n\r\n{"text": "\\ud800"}',
    "another type": POST.replace(b"application/json", b"text/plain")
    + b"Content-Length: 2\r\n\r\n{}",
    "gzip": POST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "100 MB announced": POST + b"Content-Length: 100000000\r\n\r\n{",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n{}",
    "a length and chunks": POST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a huge chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    "a chunk without an end": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "200 headers": POST + b"".join(b"X-%d: a\r\n" % i for i in range(200)) + b"\r\n",
    "a header of 20 KB": POST + b"X-A: " + b"a" * 20_000 + b"\r\n\r\n",
    "a NUL": GET + b"X-A: a\0b\r\n\r\n",
    "two Hosts": POST + b"Host: evil.example\r\nContent-Length: 2\r\n\r\n{}",
    "another Host": POST.replace(b"localhost", b"evil.example") + b"Content-Length: 2\r\n\r\n{}",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100f1010000ed0303") + bytes(range(200)),
    "a bad escape": b"GET /%00%ff%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "half a head": POST,
    "silence": b"",
}


class Hostile:
    """`said` has what came back, by the request's name; `sent` counts the requests."""

    def __init__(self, path: str, chance: random.Random) -> None:
        self.said: list[tuple[str, bytes]] = []
        self.sent = 0
        self._path = path
        self._chance = chance

    async def one(self) -> None:
        name = self._chance.choice(list(REQUESTS))
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_unix_connection(self._path)
                self.sent += 1
                try:
                    writer.write(REQUESTS[name])
                    self.said.append((name, await reader.read(100_000)))
                finally:
                    writer.transport.abort()
