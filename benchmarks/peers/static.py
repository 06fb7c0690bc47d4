"""The least that aiohttp can do: read a request, answer it. What any server on it must cost."""

from __future__ import annotations

import asyncio

import uvloop
from aiohttp import web


async def answer(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response({"id": "static"})


async def main() -> None:
    app = web.Application()
    app.router.add_post("/v1/send", answer)
    await listen(app)


async def listen(app: web.Application) -> None:
    """Serve on a free port of loopback, and say which."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201  # the bench reads it
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
