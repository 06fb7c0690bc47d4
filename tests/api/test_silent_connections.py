"""Those who connect and say nothing are cut a few at a time: nobody else waits for all of them."""

import asyncio
import socket
from dataclasses import replace
from itertools import pairwise

from aiohttp import web

from sidecar.api.reception import BATCH, Manners, Reception
from sidecar.process import Seats

SILENT = 5 * BATCH
PATIENCE = 20.0


async def test_they_are_cut_a_few_in_a_turn():
    listener = socket.create_server(("127.0.0.1", 0))
    seats = Seats(connections=100, most=100)
    manners = Manners(header_timeout=60.0, body_timeout=1.0, keep_alive=60.0, uids=frozenset())
    reception = Reception(
        web.Application(), lambda serve: serve, listener, seats, manners, lambda _: None
    )
    await reception.open()
    callers = [await asyncio.open_connection(*listener.getsockname()) for _ in range(SILENT)]
    async with asyncio.timeout(PATIENCE):
        while len(reception._transports) < SILENT:  # noqa: ASYNC110  # each turn is looked at
            await asyncio.sleep(0)
        reception._manners = replace(manners, header_timeout=0.0)  # all at once
        left = [SILENT]
        while left[-1]:
            await asyncio.sleep(0)
            left.append(len(reception._transports))
        for reader, _ in callers:
            assert await reader.read() == b""  # each is cut, with nothing said
    assert max(before - after for before, after in pairwise(left)) <= BATCH
    for _, writer in callers:
        writer.close()
    await reception.close()
