"""A future that is the waiter's own: set by whoever knows the end, or by the clock."""

from __future__ import annotations

import asyncio
import weakref

import pytest

from sidecar.delivery.clock import SystemClock
from sidecar.testing import ManualClock

LONG = 3_600.0


def signal():
    return asyncio.get_running_loop().create_future()


@pytest.fixture(params=[SystemClock, ManualClock])
def clock(request):
    return request.param()


async def test_it_ends_where_somebody_sets_it(clock):
    end = signal()
    asyncio.get_running_loop().call_soon(end.set_result, None)
    await clock.expect(end, LONG)


async def test_it_is_set_when_the_time_is_up(clock):
    end = signal()
    await clock.expect(end, 0.0)
    assert end.done()


async def test_a_waiter_that_is_cancelled_cancels_it(clock):
    end = signal()
    waiter = asyncio.create_task(clock.expect(end, LONG))
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait({waiter})
    assert waiter.cancelled()
    assert end.cancelled()


async def test_nothing_of_it_is_kept_until_its_time(clock):
    end = signal()
    end.set_result(None)
    await clock.expect(end, LONG)
    kept = weakref.ref(end)
    del end
    assert kept() is None
