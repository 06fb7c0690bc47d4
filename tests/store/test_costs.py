"""The sums of each day: counted once, whatever is pruned, run again, or dated by another clock."""

from dataclasses import replace
from decimal import Decimal

import pytest

from sidecar.delivery.model import Attempt, Bill, Delivery, Money, Outcome, Status
from sidecar.store import Claim
from sidecar.store.costs import DayCosts, Sums, day_of
from sidecar.store.reading import read_costs
from sidecar.store.recovery import under_way
from sidecar.store.sqlite import SqliteLog

NOON = 1_795_953_600.0  # 2026-11-29T12:00Z
CENT = Money(Decimal("0.01"), "USD")


class Clocked:
    """A log on disk whose clock is `now`."""

    def __init__(self, path):
        self.path, self.now = path, NOON
        self.log = None

    async def begin(self):
        self.log = SqliteLog(self.path, timeout=20.0, now=lambda: self.now)
        return await self.log.open()

    async def claim(self, name, at=None):
        claim = Claim(name, "sms", "otp", "", "", "", self.now if at is None else at)
        return await self.log.claim(claim, keep_keys=60.0)

    async def send(self, name, *outcomes, at=None):
        at = self.now if at is None else at
        claimed = await self.claim(name, at)
        attempts = tuple(
            Attempt(f"p{number}", "k", outcome, at, cost=CENT, units=1)
            for number, outcome in enumerate(outcomes)
        )
        status = Status.ACCEPTED if outcomes[-1] is Outcome.ACCEPTED else Status.UNKNOWN
        await self.log.finish(claimed, Delivery(name, "sms", "otp", status, at, at, attempts))

    async def spent(self, since=""):
        whole = Sums(replace(one, day="") for one in await self.log.costs(since))
        return {one.provider: (one.billed, str(one.amount)) for one in whole}


@pytest.fixture
async def clocked(tmp_path):
    made = Clocked(tmp_path / "log.db")
    await made.begin()
    yield made
    await made.log.close()


async def test_what_was_spent_by_provider_and_what_went_to_a_fallback(clocked):
    await clocked.send("a", Outcome.ACCEPTED)
    await clocked.send("b", Outcome.UNKNOWN, Outcome.ACCEPTED)
    first, second = sorted(await clocked.log.costs(""), key=lambda one: one.provider)
    assert first == DayCosts("2026-11-29", "p0", "USD", 2, 1, 2, 2, Decimal("0.02"))
    assert (second.amount, second.after_failover) == (Decimal("0.01"), Decimal("0.01"))


async def test_what_is_pruned_stays_in_the_sums(clocked):
    for number in range(7):
        await clocked.send(f"m{number}", Outcome.ACCEPTED, at=NOON + number)
    before = await clocked.spent()
    assert await clocked.log.sum_up(NOON + 2, 2) == 2
    assert await clocked.log.prune(NOON + 5, 3) == 3
    assert await clocked.log.prune(NOON + 5, 3) == 2
    assert await clocked.spent() == before == {"p0": (7, "0.07")}


async def test_steps_count_each_delivery_once(clocked):
    for number in range(9):
        await clocked.send(f"m{number}", Outcome.ACCEPTED)
    counted = [await clocked.log.sum_up(NOON, 4) for _ in range(4)]
    assert counted == [4, 4, 1, 0]
    assert await clocked.spent() == {"p0": (9, "0.09")}


async def test_what_is_under_way_is_counted_when_it_ends(clocked):
    claimed = await clocked.claim("slow")
    await clocked.send("quick", Outcome.ACCEPTED, at=NOON + 1)
    assert await clocked.log.sum_up(NOON + 60, 100) == 1
    ended = Attempt("p0", "k", Outcome.ACCEPTED, NOON, cost=CENT, units=1)
    done = Delivery("slow", "sms", "otp", Status.ACCEPTED, NOON, NOON, (ended,))
    await clocked.log.finish(claimed, done)
    assert await clocked.spent() == {"p0": (2, "0.02")}
    assert await clocked.log.sum_up(NOON + 60, 100) == 1
    assert await clocked.spent() == {"p0": (2, "0.02")}


async def test_what_a_crash_cuts_off_is_spent(clocked):
    claimed = await clocked.claim("cut")
    await clocked.log.sending(claimed, (), under_way("p0", "k", NOON, Bill(CENT, 2)))
    assert await clocked.spent() == {}
    await clocked.log.close()
    assert (await clocked.begin()).attempts == 1
    (one,) = await clocked.log.costs("")
    assert (one.billed, one.accepted, one.units, one.amount) == (1, 0, 2, CENT.amount)


@pytest.mark.parametrize("summed_up", [True, False])
async def test_a_clock_that_was_set_back_counts_nothing_twice_and_loses_nothing(clocked, summed_up):
    await clocked.send("ahead", Outcome.ACCEPTED)
    if summed_up:
        await clocked.log.sum_up(NOON, 100)
    await clocked.log.close()
    clocked.now = NOON - 86_400.0 * 40
    await clocked.begin()
    assert await clocked.spent() == {"p0": (1, "0.01")}
    clocked.now += 1
    await clocked.send("now", Outcome.ACCEPTED)
    assert await clocked.spent() == {"p0": (2, "0.02")}
    await clocked.log.sum_up(clocked.now, 100)
    assert await clocked.spent() == {"p0": (2, "0.02")}


@pytest.mark.parametrize("summed_up", [True, False])
async def test_a_delivery_that_runs_again_has_both_runs_in_the_sums(clocked, summed_up):
    claimed = await clocked.claim("again")
    failed = Attempt("p0", "k", Outcome.UNAVAILABLE, NOON, cost=replace(CENT, amount=Decimal(0)))
    done = Delivery("again", "sms", "otp", Status.FAILED, NOON, NOON, (failed,))
    await clocked.log.finish(claimed, done)
    if summed_up:
        await clocked.log.sum_up(NOON, 100)
    clocked.now += 100
    await clocked.send("again", Outcome.ACCEPTED)
    for _ in range(2):
        (one,) = await clocked.log.costs("")
        assert (one.tried, one.accepted, one.billed, one.amount) == (2, 1, 1, CENT.amount)
        await clocked.log.sum_up(clocked.now, 100)


async def test_it_can_be_read_beside_the_writer_by_month(clocked):
    await clocked.send("a", Outcome.ACCEPTED)
    await clocked.send("b", Outcome.ACCEPTED, at=NOON + 86_400 * 3)
    (november,) = read_costs(clocked.path, "2026-11")
    assert november.day == day_of(NOON) == "2026-11-29"
    assert [one.day for one in read_costs(clocked.path, "2026-12")] == ["2026-12-02"]
