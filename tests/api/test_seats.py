"""Whose seat is taken away where there are too few: not that of one who is about to ask."""

import asyncio
import os
import socket

import pytest
from aiohttp import web

from sidecar.api import reception
from sidecar.api.reception import Manners, Reception
from sidecar.process import Seats

MOST = 10
PATIENCE = 20.0
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


@pytest.fixture
async def listening():
    app = web.Application()
    app.router.add_get("/", hello)
    listener = socket.create_server(("127.0.0.1", 0))
    manners = Manners(header_timeout=60.0, body_timeout=1.0, keep_alive=60.0, uids=frozenset())
    opened = Reception(
        app, lambda serve: serve, listener, Seats(MOST, MOST), manners, lambda _: None
    )
    await opened.open()
    yield opened, listener.getsockname()
    await opened.close()


async def seated(opened, count):
    async with asyncio.timeout(PATIENCE):
        while len(opened._transports) < count:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0)


async def test_those_who_have_just_come_are_not_cut_for_those_behind_them(listening, monkeypatch):
    monkeypatch.setattr(reception, "GRACE", 2 * PATIENCE)
    opened, address = listening
    callers = [await asyncio.open_connection(*address) for _ in range(3 * MOST)]
    await seated(opened, MOST)
    async with asyncio.timeout(PATIENCE):
        for _, writer in callers:
            writer.write(REQUEST)
        answers = [await reader.read() for reader, _ in callers]
    for _, writer in callers:
        writer.close()
    assert {answer.split(b"\r\n", 1)[0] for answer in answers} == {b"HTTP/1.1 200 OK"}


async def test_one_whose_request_lies_unread_is_not_cut(listening):
    opened, address = listening
    callers = [await asyncio.open_connection(*address) for _ in range(MOST)]
    await seated(opened, MOST)
    for _, writer in callers[:-1]:
        os.write(writer.get_extra_info("socket").fileno(), REQUEST)  # the loop has no turn here
    assert opened._make_room(1, patience=0.0), "the silent one goes"
    assert not opened._make_room(1, patience=0.0), "and nobody else"
    async with asyncio.timeout(PATIENCE):
        answers = [await reader.read() for reader, _ in callers]
    for _, writer in callers:
        writer.close()
    assert answers.pop() == b""
    assert {answer.split(b"\r\n", 1)[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
