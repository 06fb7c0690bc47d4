"""Fair turns: a channel's burst makes one step in a turn of the loop while others are at work."""

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.delivery.turns import Turns


async def walk(turns, channel, steps, log):
    turns.enter(channel)
    for _ in range(steps):
        await turns.take(channel)
        log.append(channel)
    turns.leave(channel)


async def test_a_burst_makes_one_step_between_two_of_another_channel():
    turns, log = Turns(), []
    async with asyncio.TaskGroup() as group:
        for _ in range(64):
            group.create_task(walk(turns, "sms", 4, log))
        group.create_task(walk(turns, "email", 4, log))
    mails = [n for n, name in enumerate(log) if name == "email"]
    assert max(b - a for a, b in pairwise(mails)) <= 3
    assert log.count("sms") == 256


async def test_a_channel_alone_never_waits():
    turns, log = Turns(), []
    for _ in range(8):
        turns.enter("sms")
    for _ in range(8):
        take = turns.take("sms")
        try:
            take.send(None)
        except StopIteration:
            log.append("went on at once")
    assert len(log) == 8


async def test_the_last_channel_left_goes_on_whole():
    turns, log = Turns(), []
    turns.enter("email")
    tasks = [asyncio.create_task(walk(turns, "sms", 1, log)) for _ in range(50)]
    await asyncio.sleep(0)
    turns.leave("email")
    for _ in range(4):
        await asyncio.sleep(0)
    assert all(task.done() for task in tasks)


async def test_one_who_is_cancelled_gives_up_only_its_own_step():
    turns, log = Turns(), []
    turns.enter("email")
    tasks = [asyncio.create_task(walk(turns, "sms", 1, log)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in tasks[1:4]:
        task.cancel()
    await asyncio.wait_for(tasks[4], 5)
    assert log == ["sms", "sms"]


plans = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(plans)
def test_everyone_arrives_and_nothing_turns_on_afterwards(plan):
    async def all_of_them():
        turns, log = Turns(), []
        await asyncio.gather(*(walk(turns, channel, steps, log) for channel, steps in plan))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not turns._turning
        return log

    log = asyncio.run(all_of_them())
    assert len(log) == sum(steps for _, steps in plan)
