"""The part of a limit that every channel keeps, whatever the others do."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.delivery.chain import Chain
from sidecar.delivery.link import Limits, Room
from sidecar.delivery.model import Message
from sidecar.delivery.policy import ChainPolicy
from sidecar.delivery.shares import fits, may_wait

NAMES = ["email", "sms", "voice"]


@pytest.mark.parametrize(
    ("taken", "channel", "more"),
    [
        ({"sms": 255}, "sms", True),  # alone it has everything
        ({"sms": 256}, "sms", False),
        ({"sms": 191, "email": 0}, "sms", True),
        ({"sms": 192, "email": 0}, "sms", False),  # the other 64 are e-mail's
        ({"sms": 192, "email": 0}, "email", True),
        ({"sms": 192, "email": 63}, "email", True),
        ({"sms": 192, "email": 63}, "sms", False),
        ({"sms": 192, "email": 64}, "email", False),
        ({"sms": 190, "email": 65}, "sms", True),  # nobody's part is left unused
        ({"sms": 190, "email": 65}, "email", True),
        ({"sms": 300, "email": 0}, "email", False),  # a limit was lowered: it has to empty first
    ],
)
def test_half_of_the_places_are_divided_and_kept(taken, channel, more):
    assert fits(256, taken, channel) is more


@given(st.integers(0, 40), st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=120))
def test_whoever_has_less_than_its_part_always_gets_a_place(total, steps):
    taken = dict.fromkeys(NAMES, 0)
    for channel, comes in steps:
        if not comes:
            taken[channel] = max(0, taken[channel] - 1)
            continue
        if taken[channel] < total // 6:
            assert fits(total, taken, channel)
        if fits(total, taken, channel):
            taken[channel] += 1
    assert sum(taken.values()) <= total


async def test_a_channel_whose_providers_are_all_slow_leaves_the_other_its_places(box, until):
    room = Room(Limits(in_flight=8, in_flight_per_provider=4, queue=8), box.clock, ["sms", "email"])
    slow = [box.link(name) for name in ("a", "b", "c")]
    fast = box.link("fast")
    for link in slow:
        for _ in range(4):
            await room.enter(link, 0.0, "sms")
    assert room.in_flight == 6, "two of the eight are e-mail's"
    assert not room.has_room(slow[2], "sms")
    assert await room.enter(fast, 0.0, "email")
    assert await room.enter(fast, 0.0, "email")
    assert not await room.enter(fast, 0.0, "email")
    room.leave(slow[0], "sms")
    assert room.has_room(slow[0], "sms")


@pytest.mark.parametrize(
    ("waiting", "channel", "may"),
    [
        ({"sms": 255}, "sms", True),
        ({"sms": 256}, "sms", False),
        ({"sms": 255, "email": 0}, "sms", True),  # all of it, where nobody else is there
        ({"sms": 256, "email": 0}, "sms", False),
        ({"sms": 256, "email": 0}, "email", True),  # its part comes on top
        ({"sms": 256, "email": 63}, "email", True),
        ({"sms": 256, "email": 64}, "email", False),
        ({"sms": 192, "email": 64}, "sms", False),
        ({}, "sms", True),
    ],
)
def test_all_of_the_queue_may_be_one_channels_and_the_others_find_their_part(waiting, channel, may):
    assert may_wait(256, waiting, channel) is may


async def test_a_full_queue_keeps_no_other_channel_out(box, until):
    limits = Limits(in_flight=4, in_flight_per_provider=1, queue=4)
    room = Room(limits, box.clock, ["sms", "email"])
    a, b = box.link("a"), box.link("b")
    assert await room.enter(a, 0.0, "sms")
    assert await room.enter(b, 0.0, "email")
    waiting = [asyncio.create_task(room.enter(a, 5.0, "sms")) for _ in range(5)]
    await until(lambda: room.waiting == 4)
    await until(lambda: any(task.done() for task in waiting))
    assert [task.result() for task in waiting if task.done()] == [False]
    late = asyncio.create_task(room.enter(b, 5.0, "email"))
    await until(lambda: room.waiting == 5)
    room.leave(b, "email")
    assert await late
    for _ in range(5):
        room.leave(a, "sms")
    assert sum(await asyncio.gather(*waiting)) == 4
    assert (room.waiting, a.in_flight) == (0, 0)


async def test_a_channel_that_a_reload_took_away_keeps_nothing(box):
    room = Room(Limits(in_flight=4, in_flight_per_provider=4), box.clock, ["sms", "email"])
    link = box.link("a")
    chain = Chain("sms", [link], ChainPolicy(), room, box.clock)
    for _ in range(3):
        assert await room.enter(link, 0.0, "sms")
    assert not room.has_room(link, "sms")
    room.resize(room.limits, ["sms"])
    assert room.has_room(link, "sms")
    attempts = await chain.deliver(Message("m", "sms", "+1", "x"), 1e9, box.journal)
    assert [attempt.outcome for attempt in attempts] == ["accepted"]
