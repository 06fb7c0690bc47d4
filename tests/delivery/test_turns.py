"""Fair turns: a channel's burst makes one step in a turn of the loop while others are at work."""

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.delivery.turns import FEW, LATELY, Turns


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


async def burst_beside_nobody(turns, seconds, monkeypatch):
    """How many of 50 steps of one channel are made in each turn, so long after another's last."""
    turns.enter("email")
    turns.leave("email")
    loop = asyncio.get_running_loop()
    now = loop.time() + seconds
    monkeypatch.setattr(loop, "time", lambda: now)
    log, made = [], []
    tasks = [asyncio.create_task(walk(turns, "sms", 1, log)) for _ in range(50)]
    for _ in range(12):
        before = len(log)
        await asyncio.sleep(0)
        made.append(len(log) - before)
    assert all(task.done() for task in tasks)
    return made


async def test_where_another_is_expected_back_a_burst_makes_a_few_steps_in_one_turn(monkeypatch):
    made = await burst_beside_nobody(Turns(), LATELY / 2, monkeypatch)
    assert max(made) == FEW


async def test_where_nobody_is_expected_a_burst_goes_on_whole(monkeypatch):
    made = await burst_beside_nobody(Turns(), LATELY * 2, monkeypatch)
    assert max(made) == 50


async def test_it_is_shared_while_two_channels_are_at_work_or_were_lately(monkeypatch):
    turns = Turns()
    assert not turns.is_shared()
    turns.enter("sms")
    turns.leave("sms")
    assert not turns.is_shared()
    turns.enter("sms")
    assert not turns.is_shared()
    turns.enter("email")
    assert turns.is_shared()
    turns.leave("email")
    assert turns.is_shared()
    loop = asyncio.get_running_loop()
    later = loop.time() + 2 * LATELY
    monkeypatch.setattr(loop, "time", lambda: later)
    assert not turns.is_shared()


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
