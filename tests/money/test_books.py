"""The books: what is kept aside, spent and let go; windows that turn; what the log says."""

import asyncio
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from money.helpers import Desk, budget, message, moment, send, tariff
from sidecar.delivery.model import SkipReason
from sidecar.delivery.tariff import Per
from sidecar.money.books import WHOLE, Books
from sidecar.money.budget import Window
from sidecar.money.statement import dump_till
from sidecar.store.costs import DayCosts
from sidecar.testing import ManualClock

OVER = SkipReason.OVER_BUDGET


def test_of_fifty_that_want_the_last_money_one_gets_it(books):
    till = books.till("twilio", tariff("1.00"), budget(monthly="10.00"))
    for _ in range(9):
        send(till)
    holds = [till.reserve(message()) for _ in range(50)]
    assert sum(hold is not OVER for hold in holds) == 1


def test_what_was_surely_not_sent_is_let_go_and_unknown_is_kept(books):
    till = books.till("twilio", tariff("1.00"), budget(monthly="1.00"))
    hold = till.reserve(message())
    assert till.shut(message()) is OVER
    hold.settle(billable=False)
    hold.settle(billable=True)  # the first word counts
    assert till.shut(message()) is None
    send(till, billable=True)
    assert till.shut(message()) is OVER


def test_both_windows_and_the_whole_limit_a_provider(books, clock):
    books.whole = budget(monthly="3.00")
    one = books.till("one", tariff("1.00"), budget(daily="2.00"))
    two = books.till("two", tariff("1.00"), None)
    send(one), send(one)
    assert one.shut(message()) is OVER
    assert send(two) is not OVER
    assert two.shut(message()) is OVER
    assert one.opens_in() == two.opens_in() == moment("2026-12-01T00:00") - clock.time()


def test_the_day_turns_before_the_month(books, clock):
    till = books.till("one", tariff("1.00"), budget(daily="1.00", monthly="9.00"))
    send(till)
    assert till.opens_in() == moment("2026-11-11T00:00") - clock.time()
    clock.advance(till.opens_in())
    assert till.shut(message()) is None
    assert dump_till(till)["spent_this_month"] == "1.00"
    assert dump_till(till)["spent_today"] == "0.00"


@pytest.mark.parametrize(
    ("last", "first"),
    [
        ("2026-12-31T23:59:59", "2027-01"),
        ("2028-02-29T23:59:59", "2028-03"),
        ("2027-02-28T23:59:59", "2027-03"),
        ("2026-10-31T23:59:59", "2026-11"),
    ],
)
def test_a_month_ends_at_midnight_utc(last, first):
    clock = ManualClock(moment(last))
    till = Books(clock).till("one", tariff("1.00", free=1), budget(monthly="1.00"))
    send(till), send(till)
    assert till.shut(message()) is OVER
    assert till.opens_in() == 1.0
    clock.advance(1.0)
    assert till.books.today().month == first
    assert (till.shut(message()), till.free_left()) == (None, 1)


def test_a_leap_day_is_a_day_of_its_own():
    clock = ManualClock(moment("2028-02-28T23:59:59"))
    till = Books(clock).till("one", tariff("1.00"), budget(daily="1.00"))
    send(till)
    clock.advance(1.0)
    assert till.books.today().day == "2028-02-29"
    assert till.books.today().month == "2028-02"


def test_what_is_kept_aside_over_midnight_burdens_no_new_day(books, clock):
    till = books.till("one", tariff("1.00"), budget(daily="1.00"))
    hold = till.reserve(message())
    clock.advance(86_400.0)
    assert till.shut(message()) is None
    hold.settle(billable=True)
    assert till.shut(message()) is None


def test_the_allowance_is_free_until_it_is_used_up(books):
    till = books.till("one", tariff("1.00", per=Per.SEGMENT, free=3), None)
    prices = [str(send(till, "a" * 161).bill.cost) for _ in range(3)]
    assert prices == ["0.00 USD", "1.00 USD", "2.00 USD"]
    assert till.free_left() == 0


def test_what_is_free_or_has_no_price_fits_a_budget_that_is_spent(books):
    paid = books.till("one", tariff("1.00"), budget(monthly="1.00"))
    send(paid)
    assert paid.shut(message()) is OVER
    free = books.till("one", tariff("1.00", free=100), budget(monthly="1.00"))
    assert free.shut(message()) is None
    unpriced = books.till("one", tariff(None), None)
    assert send(unpriced).bill.cost is None


def test_a_dear_message_is_refused_where_a_short_one_fits(books, clock):
    till = books.till("one", tariff("1.00", per=Per.SEGMENT), budget(daily="2.00"))
    send(till)
    assert till.reserve(message("a" * 161)) is OVER
    assert till.opens_in(message("a" * 161)) == moment("2026-11-11T00:00") - clock.time()
    assert till.opens_in(message()) == 0.0


def test_soft_is_told_of_its_own_budget_and_of_the_whole_for_what_costs_money(books):
    one = books.till("one", tariff("1.00"), budget(monthly="10.00", soft="0.5"))
    free = books.till("free", tariff("0"), None)
    for _ in range(4):
        send(one)
    assert not one.is_short(message())
    send(one)
    assert one.is_short(message())
    books.whole = budget(monthly="6.00")
    assert books.till("other", tariff("1.00"), None).is_short(None)
    assert not free.is_short(None)


# Alerts


def test_each_level_is_told_once_and_resolved_when_the_window_turns(books, clock, desk):
    till = books.till("one", tariff("1.00"), budget(monthly="10.00"))
    for _ in range(12):
        send(till)
    told = [f"one, monthly budget, {level}" for level in ("50%", "80%", "100%")]
    assert desk == told
    clock.advance(30 * 86_400.0)
    books.today()
    assert desk[3:] == [f"{subject} resolved" for subject in told]


def test_a_message_that_does_not_fit_is_the_end_of_the_budget(books, desk):
    till = books.till("one", tariff("3.00"), budget(daily="10.00"))
    for _ in range(5):
        send(till)
    assert desk == [f"one, daily budget, {level}" for level in ("50%", "80%", "100%")]


def test_a_raised_budget_resolves_what_was_told(books, desk):
    small = books.till("one", tariff("1.00"), budget(monthly="10.00"))
    for _ in range(9):
        send(small)
    send(books.till("one", tariff("1.00"), budget(monthly="20.00")))
    assert desk[-1] == "one, monthly budget, 80% resolved"
    assert len(desk) == 3


# What the log says


def test_restore_takes_this_month_and_today(books):
    books.restore(
        [
            DayCosts("2026-10-31", "one", "USD", 1, 1, 1, 1, Decimal(7)),
            DayCosts("2026-11-01", "one", "USD", 2, 2, 2, 4, Decimal(5)),
            DayCosts("2026-11-10", "one", "USD", 1, 1, 1, 2, Decimal(3)),
            DayCosts("2026-11-10", "one", "", 1, 1, 1, 1),
        ]
    )
    shown = dump_till(books.till("one", tariff("1.00", free=10), None))
    assert (shown["spent_this_month"], shown["spent_today"]) == ("8.00", "3.00")
    assert (shown["units_this_month"], shown["free_left"]) == (7, 3)
    assert books.account(WHOLE, "USD", Window.MONTH).spent == 8


class BooksAndALedger(RuleBasedStateMachine):
    """Whatever is reserved, settled and when: the books are the sum of what was billed in a window.

    Never is more than a budget spent and kept aside.
    """

    def __init__(self):
        super().__init__()
        self.clock = ManualClock(moment("2028-02-27T20:00"))
        self.books = Books(self.clock, Desk())
        self.limit = budget(monthly="20.00", daily="8.00")
        self.till = self.books.till("one", tariff("1.00", per=Per.SEGMENT, free=2), self.limit)
        self.holds = []
        self.ledger = []  # (day, amount)

    @rule(segments=st.integers(1, 3))
    def reserve(self, segments):
        hold = self.till.reserve(message("a" * (153 * segments if segments > 1 else 9)))
        if hold is not OVER:
            self.holds.append((self.books.today().day, hold))

    @rule(which=st.integers(0, 20), billable=st.booleans())
    def settle(self, which, billable):
        if self.holds:
            day, hold = self.holds.pop(which % len(self.holds))
            hold.settle(billable=billable)
            if billable:
                self.ledger.append((day, hold.bill.cost.amount))

    @rule(hours=st.integers(1, 30))
    def time_goes_on(self, hours):
        self.clock.advance(hours * 3600.0)

    @invariant()
    def the_books_are_the_ledger(self):
        today = self.books.today()
        for window, begin in ((Window.DAY, today.day), (Window.MONTH, today.month)):
            spent = sum((a for day, a in self.ledger if day.startswith(begin)), Decimal(0))
            held = sum(h.bill.cost.amount for day, h in self.holds if day.startswith(begin))
            account = self.books.account("one", "USD", window)
            assert (account.spent, account.held) == (spent, held)
            assert account.taken <= self.limit.limits("USD")[window]


TestBooksAndALedger = BooksAndALedger.TestCase
TestBooksAndALedger.settings = settings(max_examples=60, stateful_step_count=40)


async def test_fifty_tasks_at_once(books):
    till = books.till("one", tariff("1.00"), budget(daily="7.00"))

    async def one():
        hold = till.reserve(message())
        await asyncio.sleep(0)
        if hold is not OVER:
            hold.settle(billable=True)
        return hold is not OVER

    assert sum(await asyncio.gather(*(one() for _ in range(50)))) == 7


# What a reviewer proved


def test_money_that_is_only_kept_aside_is_not_told_as_spent(books, desk):
    till = books.till("one", tariff("1.00"), budget(monthly="10.00"))
    holds = [till.reserve(message()) for _ in range(10)]
    assert till.reserve(message()) is OVER
    assert (desk, till.opens_in(message())) == ([], 1.0)
    for hold in holds:
        hold.settle(billable=True)
    assert desk[-1] == "one, monthly budget, 100%"


def test_a_clock_that_steps_over_midnight_and_back_forgets_nothing():
    clock = ManualClock(moment("2026-11-30T23:59:30"))
    till = Books(clock).till("one", tariff("1.00"), budget(monthly="9.00", daily="9.00"))
    send(till)
    clock.stepped = 60.0
    assert till.books.today().month == "2026-12"
    send(till)
    clock.stepped = 0.0
    send(till)
    assert (till.books.today().day, dump_till(till)["spent_today"]) == ("2026-12-01", "2.00")


def test_units_of_a_new_month_are_its_own(books, clock):
    till = books.till("one", tariff("1.00"), None)
    send(till)
    clock.advance(30 * 86_400.0)
    send(till)
    assert dump_till(till)["units_this_month"] == 1


def test_what_a_reload_changed_is_what_the_alerts_go_by(books, desk):
    old = books.till("one", tariff("1.00"), budget(monthly="2.00"))
    hold = old.reserve(message())
    books.budgets = {"one": budget(monthly="100.00")}
    hold.settle(billable=True)
    assert desk == []


def test_a_budget_that_is_taken_away_takes_its_alerts_along(books, desk):
    books.budgets = {"one": budget(monthly="1.00")}
    send(books.till("one", tariff("1.00"), books.budgets["one"]))
    books.budgets["one"] = budget(monthly="1.50")
    books.review()
    books.budgets.clear()
    books.review()
    told = [line.rpartition(", ")[2] for line in desk]
    assert told == ["100%", "80% resolved", "100% resolved", "50% resolved"]


def test_a_send_that_ends_when_its_provider_is_no_more_tells_of_the_whole_alone(books, desk):
    till = books.till("one", tariff("1.00"), budget(monthly="2.00"))
    books.budgets = {"one": till.budget}
    hold = till.reserve(message())
    books.whole, books.budgets = budget(monthly="1.50"), {"two": None}
    books.review()
    hold.settle(billable=True)
    assert till.reserve(message()) is OVER
    assert desk == [f"all providers, monthly budget, {level}" for level in ("50%", "100%")]


def test_another_currency_takes_the_alerts_of_the_old_one_along(books, desk):
    books.budgets = {"one": budget(monthly="10.00")}
    books.whole = budget(monthly="15.00")
    old = books.till("one", tariff("1.00"), books.budgets["one"])
    for _ in range(9):
        send(old)
    told, hold = list(desk), old.reserve(message())
    assert len(told) == 3, "50 and 80 % of its own budget, 50 % of the whole"
    desk.clear()
    euros = budget(monthly="8.50", currency="EUR")
    books.whole, books.budgets = euros, {"one": euros}
    books.review()
    assert sorted(desk) == sorted(f"{one} resolved" for one in told)
    hold.settle(billable=True)
    assert send(old) is OVER, "its own budget is the one that it began with"
    assert len(desk) == 3, "10 USD are nothing of 8.50 EUR"
    new = books.till("one", tariff("1.00", currency="EUR"), euros)
    for _ in range(5):
        send(new)
    assert desk[3:] == [f"{who}, monthly budget, 50%" for who in ("one", "all providers")]


def test_a_budget_of_another_currency_shuts_nothing_and_moves_nothing_back(books):
    old = books.till("one", tariff("1.00"), None)
    books.whole = budget(monthly="1.00", currency="EUR")
    assert send(old) is not OVER
    assert (old.shut(message()), old.is_short(message()), old.opens_in(message())) == (None, 0, 0)


def test_what_costs_more_than_a_whole_budget_waits_for_no_window(books, clock):
    till = books.till("one", tariff("1.00", per=Per.SEGMENT), budget(daily="1.50"))
    assert till.reserve(message("a" * 161)) is OVER
    assert till.opens_in(message("a" * 161)) is None
    assert till.opens_in(message()) == 0.0
    free = books.till("two", tariff("1.00", free=1), budget(monthly="0.50"))
    send(free)
    assert free.opens_in(message()) == moment("2026-12-01T00:00") - clock.time()
