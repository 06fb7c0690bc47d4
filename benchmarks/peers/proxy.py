"""A bare proxy on aiohttp: a handler, and a POST of the same body through a pooled session.

python proxy.py UPSTREAM [asyncio]
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web
from static import listen

SESSION = web.AppKey("SESSION", aiohttp.ClientSession)


async def forward(request: web.Request) -> web.Response:
    body = await request.read()
    session = request.app[SESSION]
    headers = {"Content-Type": "application/json"}
    async with session.post(sys.argv[1], data=body, headers=headers) as reply:
        answer = await reply.read()
        return web.Response(status=reply.status, body=answer, content_type="application/json")


async def pool(app: web.Application) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context())
    app[SESSION] = aiohttp.ClientSession(connector=connector)
    yield
    await app[SESSION].close()


async def main() -> None:
    app = web.Application()
    app.cleanup_ctx.append(pool)
    app.router.add_post("/v1/send", forward)
    await listen(app)


if __name__ == "__main__":
    (asyncio if "asyncio" in sys.argv else uvloop).run(main())
