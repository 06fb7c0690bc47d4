"""The short way begins a few requests in one step of the loop, in the order in which they came."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from sidecar.api.express import AT_ONCE, ExpressLane


def request(number: int, channel: str = "sms") -> bytes:
    to = "+14155552671" if channel == "sms" else "ada@example.com"
    body = json.dumps({"channel": channel, "to": to, "text": "1", "id": f"m-{number}"})
    return (
        "POST /v1/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Connection:
    transport = None
    desk = SimpleNamespace(begin=lambda *_: None, end=lambda *_: None)

    def serve(self):
        self.is_served = True


class Step:
    """A loop's clock that stands still within a step, as uvloop's does."""

    def __init__(self, loop):
        self.now = 0.0
        self.call_soon = loop.call_soon

    def time(self):
        return self.now


@pytest.fixture
async def begun():
    return []


@pytest.fixture
async def step():
    return Step(asyncio.get_running_loop())


@pytest.fixture
async def lane(begun, step):
    def begin(wish):
        begun.append(wish.message.id)
        return asyncio.get_running_loop().create_future()

    lane = ExpressLane(
        SimpleNamespace(
            dispatcher=SimpleNamespace(begin=begin),
            door=SimpleNamespace(check=lambda _: None),
            watch=SimpleNamespace(arrival=lambda _: 0.0),
        )
    )
    lane._loop = step
    return lane


def ids(*numbers):
    return [f"m-{number}" for number in numbers]


async def test_what_comes_in_one_step_is_begun_a_few_at_a_time(lane, begun):
    connections = [Connection() for _ in range(2 * AT_ONCE + 3)]
    for number, connection in enumerate(connections):
        assert lane.take(connection, request(number))
    assert all(connection.is_served for connection in connections)
    assert begun == ids(*range(AT_ONCE))
    await asyncio.sleep(0)
    assert begun == ids(*range(2 * AT_ONCE))
    await asyncio.sleep(0)
    assert begun == ids(*range(2 * AT_ONCE + 3))


async def test_nobody_overtakes_those_who_wait(lane, begun, step):
    for number in range(AT_ONCE + 1):
        lane.take(Connection(), request(number))
    step.now = 1.0
    lane.take(Connection(), request(AT_ONCE + 1))
    assert begun == ids(*range(AT_ONCE))
    await asyncio.sleep(0)
    assert begun == ids(*range(AT_ONCE + 2))


async def test_a_new_step_has_room_again(lane, begun, step):
    for number in range(3 * AT_ONCE):
        step.now = float(number // AT_ONCE)
        lane.take(Connection(), request(number))
    assert begun == ids(*range(3 * AT_ONCE))


async def test_of_those_who_wait_each_channel_has_its_turn(lane, begun):
    for number in range(5 * AT_ONCE):
        lane.take(Connection(), request(number))
    lane.take(Connection(), request(99, "email"))
    assert begun == ids(*range(AT_ONCE))
    await asyncio.sleep(0)
    assert "m-99" in begun
    for _ in range(5):
        await asyncio.sleep(0)
    assert sorted(begun) == sorted(ids(*range(5 * AT_ONCE), 99))
