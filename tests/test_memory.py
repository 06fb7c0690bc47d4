"""What a crowd needed is given back, and nothing is done while there is one."""

from __future__ import annotations

import asyncio
import gc

import pytest

from sidecar.memory import EACH, QUIET, YOUNG, Threshold, Thrift, give_back, resident, watch


class Process:
    def __init__(self):
        self.begun = 0
        self.under_way = 0
        self.resident = 100
        self.given = 0

    def give_back(self):
        self.given += 1
        self.resident = max(100, self.resident - 50)


@pytest.fixture
def process():
    return Process()


@pytest.fixture
def thrift(process):
    return Thrift(
        lambda: process.begun,
        lambda: process.under_way,
        give_back=process.give_back,
        resident=lambda: process.resident,
    )


def test_it_waits_until_the_crowd_has_gone(process, thrift):
    process.begun, process.resident = QUIET, 200
    thrift.look()
    assert process.given == 0
    process.begun += QUIET - 1
    thrift.look()
    assert process.given == 1


def test_a_crowd_that_waits_has_not_gone(process, thrift):
    process.resident, process.under_way = 200, QUIET
    thrift.look()
    assert process.given == 0


def test_what_cannot_be_given_back_is_not_asked_for_again(process, thrift):
    process.resident = 200
    thrift.look()
    thrift.look()
    assert (process.given, process.resident) == (1, 150)
    process.resident = 160
    thrift.look()
    assert process.given == 2


def test_a_little_more_is_left_alone(process, thrift):
    process.resident = 105
    thrift.look()
    assert process.given == 0


def test_it_can_be_done_and_seen_here():
    class Knot:
        pass

    gc.disable()
    try:
        knot = Knot()
        knot.itself = knot
        del knot
        give_back()
        assert not [one for one in gc.get_objects() if isinstance(one, Knot)]
    finally:
        gc.enable()
    assert resident() > 2**20 or resident() == 0


@pytest.fixture
def threshold(process):
    before = gc.get_threshold()
    yield Threshold(lambda: process.under_way)
    gc.set_threshold(*before)


def test_what_is_under_way_is_not_looked_through_for_garbage(process, threshold):
    process.under_way = 2_000
    threshold.look()
    gc.collect()
    looks = collections()
    crowd = [[] for _ in range(EACH * 2_000)]
    assert (collections(), len(crowd)) == (looks, EACH * 2_000)
    crowd += [[] for _ in range(2 * YOUNG)]  # what is more than that may be garbage
    assert collections() > looks


def test_a_crowd_is_reckoned_with_a_while_after_it_has_gone(process, threshold):
    process.under_way = 2_000
    threshold.look()
    process.under_way = 0
    threshold.look()
    assert YOUNG < gc.get_threshold()[0] < YOUNG + EACH * 2_000
    for _ in range(99):
        threshold.look()
    assert gc.get_threshold() == (YOUNG, 20, 50)


def test_a_crowd_that_grows_is_seen(process, threshold):
    for process.under_way in (10, 2_000):
        threshold.look()
    assert gc.get_threshold() == (YOUNG + EACH * 2_000, 20, 50)


@pytest.mark.usefixtures("threshold")
async def test_both_are_watched_until_the_end(process, monkeypatch):
    monkeypatch.setattr("sidecar.memory.GLANCE", 0.001)
    monkeypatch.setattr("sidecar.memory.INTERVAL", 0.004)
    looked = asyncio.Queue()

    def begun():
        looked.put_nowait(gc.get_threshold()[0])
        return 0

    process.under_way = 7
    watching = asyncio.create_task(watch(begun, lambda: process.under_way))
    async with asyncio.timeout(20):
        seen = [await looked.get() for _ in range(3)]
    watching.cancel()
    await asyncio.wait({watching})
    assert seen[1:] == [YOUNG + EACH * 7] * 2  # the first was asked before there was a look
    assert gc.get_threshold()[0] == YOUNG


def collections():
    return sum(one["collections"] for one in gc.get_stats())
