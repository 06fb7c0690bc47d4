"""An operation of the log is bounded once: by the log, or else by what is left of the deadline."""

import asyncio
from types import SimpleNamespace

import pytest

from sidecar.journal import within

SHORT, LONG = 0.01, 20.0


async def test_a_log_with_no_bound_of_its_own_gets_the_callers():
    log = SimpleNamespace(answers_within=LONG)
    with pytest.raises(TimeoutError):
        await within(SHORT, log, asyncio.Event().wait())


async def test_what_the_log_bounds_itself_is_not_cut_off_by_another_timer():
    log = SimpleNamespace(answers_within=SHORT / 2)
    answer = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(5 * SHORT, answer.set_result, "late")
    assert await within(SHORT, log, answer) == "late"


async def test_a_cancelled_caller_cancels_the_operation():
    log = SimpleNamespace(answers_within=SHORT)
    answer = asyncio.get_running_loop().create_future()
    caller = asyncio.create_task(within(LONG, log, answer))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait({caller})
    assert answer.cancelled()
