"""Work that lasts: begun anew after a cancellation or a death, until it is ended."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from sidecar import lasting


class Work:
    def __init__(self):
        self.begun = 0
        self.running = asyncio.Event()
        self.fault = None

    async def run(self):
        self.begun += 1
        self.running.set()
        if self.fault is not None:
            raise self.fault
        await asyncio.get_running_loop().create_future()


@pytest.fixture
def work(monkeypatch):
    monkeypatch.setattr(lasting, "AGAIN_AFTER", 0.0)
    return Work()


async def test_what_a_stranger_cancels_begins_anew_and_is_told(work):
    one = lasting.Lasting(work.run)
    await work.running.wait()
    work.running.clear()
    with capture_logs() as told:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await work.running.wait()
    assert work.begun == 2
    assert [(line["work"], line["error"]) for line in told] == [("Work.run", "CancelledError")]
    await one.end()


async def test_what_dies_begins_anew(work):
    work.fault = ZeroDivisionError("+14155550123")
    with capture_logs() as told:
        one = lasting.Lasting(work.run)
        await work.running.wait()
        work.running.clear()
        await work.running.wait()
        work.fault = None
        await one.end()
    assert {line["event"] for line in told} == {"work_ended"}
    assert told[0]["error"].startswith("ZeroDivisionError at test_lasting.py:")


async def test_what_ends_at_once_waits_longer_each_time_until_it_lasts(work, monkeypatch):
    monkeypatch.setattr(lasting, "AGAIN_AFTER", 2.0)
    loop, work.fault = asyncio.get_running_loop(), ZeroDivisionError()
    pauses, now = [], [0.0]
    monkeypatch.setattr(loop, "time", lambda: now[0], raising=False)
    monkeypatch.setattr(loop, "call_later", lambda pause, begin: pauses.append((pause, begin)))
    one = lasting.Lasting(work.run)
    for count in range(1, 8):
        while len(pauses) < count:  # noqa: ASYNC110  # the loop's own `call_later` tells nobody
            await asyncio.sleep(0)
        pauses[-1][1]()
        if count == 6:
            now[0] = 60.0  # it lasts for so long, and then ends
    assert [pause for pause, _ in pauses] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 2.0]
    await one.end()


async def test_its_end_is_told_to_nobody_and_is_the_end(work):
    one = lasting.Lasting(work.run)
    await work.running.wait()
    with capture_logs() as told:
        await one.end()
        await asyncio.sleep(0)
    assert (told, work.begun) == ([], 1)


async def test_ended_while_it_waits_to_begin_anew_it_does_not(work, monkeypatch):
    work.fault = ZeroDivisionError()
    one = lasting.Lasting(work.run)
    await work.running.wait()
    await asyncio.sleep(0)
    await one.end()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert work.begun == 1
