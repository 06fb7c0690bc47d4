"""An official SDK in 64 threads behind aiohttp: how an asynchronous app calls it today.

python sdk_threads.py KIND URL
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import uvloop
from aiohttp import web
from calls import CALLS, THREADS
from static import listen


async def main() -> None:
    call = CALLS[sys.argv[1]](sys.argv[2])
    threads = ThreadPoolExecutor(THREADS)
    loop = asyncio.get_running_loop()

    async def send(request: web.Request) -> web.Response:
        message = await request.json()
        await loop.run_in_executor(threads, call, message["to"], message["text"])
        return web.json_response({"status": "accepted"})

    app = web.Application()
    app.router.add_post("/v1/send", send)
    await listen(app)


if __name__ == "__main__":
    uvloop.run(main())
