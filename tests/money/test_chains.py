"""Money as a gate and as routing: who is asked, in which order, and what the trail says of it."""

import asyncio
from decimal import Decimal

import pytest

from money.helpers import Chained, Quiet, budget, message, moment, tariff
from sidecar.delivery.errors import Misconfigured, Refused, Unavailable, Unknown
from sidecar.delivery.model import Money, SkipReason
from sidecar.delivery.policy import Order, total_cost
from sidecar.delivery.tariff import Per

CENT = tariff("0.01")


@pytest.fixture
def declared(books, clock):
    return Chained(books, clock)


@pytest.fixture
def cheapest(books, clock):
    return Chained(books, clock, Order.CHEAPEST)


def spent(link):
    return link.till.books.account(link.name, "USD", "monthly").spent


async def test_what_may_have_been_taken_is_billed_and_the_rest_is_not(declared):
    one = declared.add("one", CENT, None, Unavailable("x"), Unknown("x"), Refused("x"))
    two = declared.add("two", tariff("0.02", per=Per.SEGMENT))
    first = await declared.deliver()
    assert [str(a.cost) for a in first] == ["0.00 USD", "0.02 USD"]
    assert [a.units for a in first] == [0, 1]
    declared.clock.advance(60.0)
    second = await declared.deliver(message("a" * 161))
    assert [str(a.cost) for a in second] == ["0.01 USD", "0.04 USD"]
    assert total_cost(second) == Money(Decimal("0.05"), "USD")
    assert (spent(one), spent(two)) == (Decimal("0.01"), Decimal("0.06"))


async def test_who_has_no_tariff_has_no_cost(declared):
    declared.add("one", None)
    (accepted,) = await declared.deliver()
    assert (accepted.cost, accepted.units) == (None, 0)


async def test_what_has_no_price_has_no_cost_and_is_counted(declared):
    declared.add("one", tariff(None), None, Refused("x"))
    assert [(a.cost, a.units) for _ in range(2) for a in await declared.deliver()] == [
        (None, 0),
        (None, 1),
    ]


async def test_at_the_limit_a_provider_is_passed_by(declared):
    declared.add("one", CENT, budget(monthly="0.02", soft="1"))
    declared.add("two", tariff("0.05"))
    assert [await declared.trail() for _ in range(2)] == [["one:accepted"]] * 2
    # Its budget is spent to the cent, and then the others go first.
    assert await declared.trail() == ["one:soft_budget", "two:accepted"]
    assert declared.links[0].would_skip(message()) is SkipReason.OVER_BUDGET


async def test_at_soft_a_provider_goes_behind_and_still_serves(declared):
    declared.add("one", CENT, budget(monthly="0.04", soft="0.5"))
    two = declared.add("two", tariff("0.05"))
    assert [await declared.trail() for _ in range(2)] == [["one:accepted"]] * 2
    assert await declared.trail() == ["one:soft_budget", "two:accepted"]
    two.enabled = False
    assert await declared.trail() == ["one:soft_budget", "two:disabled", "one:accepted"]


async def test_a_chain_that_is_all_over_budget_says_when_the_window_turns(declared, clock):
    declared.add("one", CENT, budget(daily="0.01", soft="1"))
    declared.add("two", CENT, budget(monthly="0.01", soft="1"))
    assert [(await declared.trail())[-1] for _ in range(2)] == ["one:accepted", "two:accepted"]
    assert await declared.trail() == ["one:over_budget", "two:over_budget"]
    assert declared.chain.retry_after(message()) == moment("2026-11-11T00:00") - clock.time()


async def test_what_fits_no_budget_at_all_is_not_worth_another_try(declared):
    declared.add("one", CENT, budget(daily="0.005"))
    declared.add("two", CENT, budget(monthly="0.005"))
    assert await declared.trail() == ["one:over_budget", "two:over_budget"]
    assert declared.chain.retry_after(message()) is None


async def test_fifty_at_once_and_money_for_one(declared):
    one = declared.add("one", CENT, budget(daily="0.01"))
    trails = await asyncio.gather(*(declared.trail() for _ in range(50)))
    assert min(trails) == ["one:accepted"]
    assert sum("one:accepted" in trail for trail in trails) == 1
    assert spent(one) == Decimal("0.01")
    assert len(one.provider.sent) == 1
    assert (one.in_flight, one.breaker.consecutive_failures) == (0, 0)


async def test_money_that_a_failure_gave_back_can_be_spent(declared):
    declared.add("one", CENT, budget(daily="0.01"), Refused("x"))
    assert await declared.trail() == ["one:refused"]
    assert await declared.trail() == ["one:accepted"]
    assert await declared.trail() == ["one:over_budget"]


async def test_a_panic_probe_has_to_be_paid_too(declared):
    one = declared.add("one", CENT, budget(daily="0.005"))
    one.breaker.finish(one.breaker.start(5.0), "failure")
    assert await declared.trail() == ["one:over_budget"]
    assert not one.provider.sent


# Cheapest


async def test_the_cheapest_is_asked_first_and_equals_as_declared(cheapest):
    for name, price in (("dear", "0.05"), ("a", "0.01"), ("b", "0.01")):
        cheapest.add(name, tariff(price), None, Refused("x"))
    assert await cheapest.trail() == ["dear:dearer", "a:refused", "b:refused", "dear:refused"]


async def test_an_allowance_is_free_until_it_is_used_up(cheapest):
    cheapest.add("paid", tariff("0.01"))
    cheapest.add("free", tariff("0.05", free=2))
    taken = [(await cheapest.trail())[-1] for _ in range(3)]
    assert taken == ["free:accepted", "free:accepted", "paid:accepted"]


async def test_a_price_that_is_not_known_is_the_last(cheapest):
    cheapest.add("unknown", tariff(None))
    cheapest.add("none", None)
    cheapest.add("known", tariff("9.00"))
    assert await cheapest.trail() == ["unknown:dearer", "none:dearer", "known:accepted"]


async def test_the_price_is_that_of_this_message(cheapest):
    cheapest.add("by_message", tariff("0.03"))
    cheapest.add("by_segment", tariff("0.02", per=Per.SEGMENT))
    assert (await cheapest.trail())[-1] == "by_segment:accepted"
    assert (await cheapest.trail(message("a" * 161)))[-1] == "by_message:accepted"


async def test_an_open_circuit_is_preferred_to_nobody_for_its_price(cheapest):
    cheap = cheapest.add("cheap", tariff("0.01"), None, Misconfigured("x"))
    cheapest.add("dear", tariff("0.05"))
    assert await cheapest.trail() == ["cheap:misconfigured", "dear:accepted"]
    assert await cheapest.trail() == ["dear:accepted"]
    cheapest.clock.advance(cheap.breaker.seconds_to_half_open())
    assert await cheapest.trail() == ["cheap:accepted"]  # the trial that lets it come back


async def test_what_is_foreseen_is_in_the_order_of_the_message(cheapest):
    cheapest.add("dear", tariff("0.05"))
    cheapest.add("cheap", tariff("0.01"))
    passed_by, link = cheapest.chain.foresee(message())
    assert ([a.provider for a in passed_by], link.name) == (["dear"], "cheap")


async def half_open(declared):
    """A link whose circuit lets one trial through."""
    one = declared.add("one", CENT, None, Unavailable("x"))
    await declared.deliver()
    declared.clock.advance(one.breaker.seconds_to_half_open())
    return one


async def test_a_till_that_fails_holds_no_place_and_no_permit(declared, monkeypatch):
    one = await half_open(declared)
    monkeypatch.setattr(one.till, "reserve", lambda _: 1 / 0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await declared.deliver()
    assert (one.in_flight, declared.chain.room.in_flight) == (0, 0)
    assert one.breaker.barred_by() is None


async def test_a_till_that_gives_nothing_in_the_last_moment_holds_no_permit(declared, monkeypatch):
    one = await half_open(declared)
    monkeypatch.setattr(one.till, "reserve", lambda _: SkipReason.OVER_BUDGET)
    assert await declared.trail() == ["one:over_budget"]
    assert one.breaker.barred_by() is None
    assert not one.in_flight


async def test_trials_that_are_paid_for_close_the_circuit(declared):
    one = await half_open(declared)
    assert [await declared.trail() for _ in range(2)] == [["one:accepted"]] * 2
    assert one.breaker.state == "closed"


async def test_a_call_that_the_log_does_not_take_costs_nothing(declared):
    class Refusing(Quiet):
        async def sending(self, link, so_far, bill):
            return False

    one = declared.add("one", CENT)
    (skipped,) = await declared.deliver(journal=Refusing())
    assert skipped.reason is SkipReason.LOG_UNAVAILABLE
    assert spent(one) == 0
    assert one.till.books.account("one", "USD", "monthly").held == 0


async def test_a_call_that_is_cut_off_may_have_been_taken_and_is_billed(declared):
    called = asyncio.Event()

    async def never(message):
        called.set()
        await asyncio.get_running_loop().create_future()

    one = declared.add("one", CENT, None, never)
    sending = asyncio.create_task(declared.deliver())
    await called.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert spent(one) == Decimal("0.01")
