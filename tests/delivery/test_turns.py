"""Fair turns: a channel's burst makes one step in a turn of the loop while others are at work."""

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.delivery.turns import FEW, LATELY, Turns


async def walk(turns, channel, steps, log):
    turns.enter(channel)
    for _ in range(steps):
        if (step := turns.take(channel)) is not None:
            await step
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
    turns = Turns()
    for _ in range(8):
        turns.enter("sms")
    assert [turns.take("sms") for _ in range(8)] == [None] * 8


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


@settings(max_examples=60)
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


doings = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.sampled_from("abc")),
        st.tuples(st.just("leave"), st.sampled_from("abc")),
        st.tuples(st.just("wait"), st.sampled_from([0.25, 0.5, LATELY, 3 * LATELY])),
    ),
    max_size=30,
)


@given(doings)
def test_it_is_shared_exactly_where_two_are_at_work_or_have_been_within_a_second(doings):
    async def play():
        loop = asyncio.get_running_loop()
        now, turns, at_work, left = 1000.0, Turns(), {}, {}
        loop.time = lambda: now
        for what, value in doings:
            if what == "wait":
                now += value
            elif what == "enter":
                at_work[value] = at_work.get(value, 0) + 1
                turns.enter(value)
            elif at_work.get(value):
                at_work[value] -= 1
                turns.leave(value)
                left[value] = now
            busy = {name for name, sends in at_work.items() if sends}
            lately = {name for name, at in left.items() if at > now - LATELY}
            assert turns.is_shared() == (len(busy | lately) > 1)
        del loop.time

    asyncio.run(play())


async def test_how_many_channels_are_at_work_is_told():
    heard = []
    turns = Turns(heard.append)
    for channel in ("sms", "sms", "email"):
        turns.enter(channel)
    for channel in ("sms", "email", "sms"):
        turns.leave(channel)
    assert heard == [1, 2, 1, 0]
