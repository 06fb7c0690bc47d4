"""An operation of the log is bounded once, and what a drain finds of a delivery under way."""

import asyncio
from decimal import Decimal
from types import SimpleNamespace

import pytest

from sidecar.delivery.model import Attempt, Bill, Money, Outcome
from sidecar.journal import Journal, within
from sidecar.store import Claimed
from sidecar.testing import ManualClock

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


@pytest.mark.parametrize("bound", [SHORT, LONG], ids=["the log's bound", "the caller's"])
async def test_a_cancelled_caller_cancels_the_operation(bound):
    log = SimpleNamespace(answers_within=bound)
    answer = asyncio.get_running_loop().create_future()

    async def call():
        await within(LONG, log, answer)

    caller = asyncio.create_task(call())
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait({caller})
    assert answer.cancelled()


# What a drain finds


class Taken:
    """A log that takes every row."""

    answers_within = SHORT

    async def sending(self, claimed, so_far, call):
        pass


def link(name):
    return SimpleNamespace(name=name, kind="scripted")


async def test_a_drain_calls_only_the_call_under_way_unknown_and_bills_no_other():
    journal = Journal(Taken(), Claimed("m-1", 1), ManualClock(), degrade=False)
    bill = Bill(Money(Decimal("0.01"), "USD"), 1)
    await journal.sending(link("one"), (), bill)
    (called,) = journal.cut_off()
    assert (called.provider, called.outcome, called.cost) == ("one", Outcome.UNKNOWN, bill.cost)
    failed = Attempt("one", "scripted", Outcome.UNAVAILABLE, 1.0)
    journal.ended([failed])
    assert journal.cut_off() == (failed,)
    await journal.sending(link("two"), (failed,), bill)
    assert [one.outcome for one in journal.cut_off()] == [Outcome.UNAVAILABLE, Outcome.UNKNOWN]
