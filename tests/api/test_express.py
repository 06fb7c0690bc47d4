"""The short way begins a few requests in one step of the loop, in the order in which they came."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from sidecar.api.express import AT_ONCE, FEW_AT_ONCE, KNOWN, ExpressLane, _known, read


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


@pytest.fixture
async def begun():
    return []


@pytest.fixture
def shared():
    return False


@pytest.fixture
async def lane(begun, shared):
    def begin(wish):
        begun.append(wish.message.id)
        return asyncio.get_running_loop().create_future()

    return ExpressLane(
        SimpleNamespace(
            dispatcher=SimpleNamespace(begin=begin, is_shared=shared),
            door=SimpleNamespace(check=lambda _: None),
            watch=SimpleNamespace(arrival=lambda _: 0.0),
        )
    )


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


@pytest.mark.parametrize("shared", [True])
async def test_where_channels_share_the_loop_they_are_fewer(lane, begun):
    for number in range(AT_ONCE):
        lane.take(Connection(), request(number))
    assert begun == ids(*range(FEW_AT_ONCE))
    await asyncio.sleep(0)
    assert begun == ids(*range(2 * FEW_AT_ONCE))


async def test_nobody_overtakes_those_who_wait(lane, begun):
    for number in range(2 * AT_ONCE + 1):
        lane.take(Connection(), request(number))
    await asyncio.sleep(0)
    lane.take(Connection(), request(2 * AT_ONCE + 1))
    assert begun == ids(*range(2 * AT_ONCE))
    await asyncio.sleep(0)
    assert begun == ids(*range(2 * AT_ONCE + 2))


async def test_a_new_step_has_room_again(lane, begun):
    for number in range(3 * AT_ONCE):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        lane.take(Connection(), request(number))
    assert begun == ids(*range(3 * AT_ONCE))


async def test_one_that_fails_holds_up_none_of_those_behind_it(lane, begun, monkeypatch):
    def fail_once(connection, request, asked_at):
        monkeypatch.undo()
        raise ZeroDivisionError

    troubles = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    for number in range(AT_ONCE + 3):
        lane.take(Connection(), request(number))
    monkeypatch.setattr(lane, "_begin_alone", fail_once)
    for _ in range(4):
        await asyncio.sleep(0)
    assert begun == ids(*range(AT_ONCE), AT_ONCE + 1, AT_ONCE + 2)
    assert len(troubles) == 1


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


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "AUTHORIZATION",
        "Cookie",
        "X-Api-Key",
        "Proxy-Authorization",
        "X-Request-Id",
    ],
)
def test_what_may_be_a_secret_is_not_remembered(name):
    _known.clear()
    token = f"{name}: Bearer canary\r\n".encode()
    found = read(request(1).replace(b"\r\n\r\n", b"\r\n" + token + b"\r\n", 1), Connection())
    assert found.headers[name.lower()] == "Bearer canary"
    assert len(_known) == 3  # Host, Content-Type, Content-Length
    assert not [line for line in _known if b"canary" in line]


@pytest.mark.parametrize(
    ("line", "is_plain"),
    [
        ("Connection: keep-alive", True),
        ("connection: Keep-Alive", True),
        ("Connection: close", False),
        ("Connection: keep-alive, close", False),
        ("Connection: keep-alive, Upgrade", False),
        ("Proxy-Connection: keep-alive", False),
    ],
)
def test_a_wish_to_keep_the_connection_is_what_happens_anyway(line, is_plain):
    data = request(1).replace(b"\r\n\r\n", f"\r\n{line}\r\n\r\n".encode(), 1)
    assert (read(data, Connection()) is not None) is is_plain


def test_what_is_remembered_of_headers_has_a_bound():
    for number in range(3 * KNOWN):
        line = f"\r\nUser-Agent: k-{number}\r\n\r\n".encode()
        found = read(request(1).replace(b"\r\n\r\n", line, 1), Connection())
        assert found.headers["user-agent"] == f"k-{number}"
        assert len(_known) <= KNOWN
