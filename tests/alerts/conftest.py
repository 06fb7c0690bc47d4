"""What a test of alerts needs: a clock, a road to a receiver, and what was said."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from harness.alerting import Road
from harness.webhooks import KEY, secret_of
from sidecar import transport
from sidecar.config import Alerts
from sidecar.testing import Answer, ManualClock, stub_server


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def logged():
    with capture_logs() as lines:
        yield lines


@pytest.fixture(params=["lean", "aiohttp"])
def engine(request):
    """A test with this one runs with both ways to speak HTTP."""
    transport.use(request.param)
    yield request.param
    transport.use("lean")


@pytest.fixture
def held(monkeypatch):
    """Let a stub take requests, and answer them when the gate that this gives is open.

    What is `given` it says at once.
    """

    def hold(stub, given=b""):
        gate, exchange = asyncio.Event(), stub._exchange

        async def behind_it(reader, writer):
            found = await reader.readuntil(b"\r\n\r\n")
            length = int(found.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            again = asyncio.StreamReader()
            again.feed_data(found + await reader.readexactly(length))
            again.feed_eof()
            writer.write(given)
            return await exchange(again, Later(writer, gate))

        monkeypatch.setattr(stub, "_exchange", behind_it)
        return gate

    return hold


class Later:
    """A writer that waits at a gate."""

    def __init__(self, writer, gate):
        self._writer = writer
        self._gate = gate
        self._held = []

    def write(self, data):
        self._held.append(data)

    async def drain(self):
        await self._gate.wait()
        self._writer.write(b"".join(self._held))
        self._held.clear()
        await self._writer.drain()


@pytest.fixture
async def road(clock):
    """Open a road whose stub says these answers, the last one again and again."""
    async with AsyncExitStack() as stack:

        async def begin(*answers, keys=(KEY,)):
            stub = await stack.enter_async_context(stub_server(*(answers or (Answer(204),))))
            secrets = [secret_of(key) for key in keys]
            url = f"{stub.url}/alerts"
            one = Road(stub, clock, Alerts(webhook=url, secret=secrets, allow_private=True))
            one.courier.start()
            stack.push_async_callback(one.courier.close)
            return one

        yield begin
