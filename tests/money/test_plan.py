"""The planner: the figures that were promised, and that it is the sends themselves, counted."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from money.helpers import message, moment, tariff
from sidecar.config.tariffs import read_tariffs
from sidecar.delivery.errors import ConfigError
from sidecar.delivery.policy import Order
from sidecar.delivery.tariff import Per
from sidecar.money.books import Books
from sidecar.money.plan import Link, Wanted, plan
from sidecar.money.planning import Planner
from sidecar.money.say import saving
from sidecar.testing import ManualClock

SHIPPED = Path(__file__).parents[2] / "config" / "tariffs" / "2025-10.yaml"


def shipped(channel, *names, messages=20_000):
    tariffs = read_tariffs(SHIPPED)
    return plan([Wanted(channel, [Link(name, tariffs[name]) for name in names], messages)])


def test_the_figures_of_the_shipped_tariff():
    alone, with_sns = shipped("sms", "twilio"), shipped("sms", "sns", "twilio")
    assert (alone.total, with_sns.total) == (Decimal("150.00"), Decimal("122.55"))
    assert saving(with_sns, [alone, with_sns]) == (Decimal("27.45"), Decimal("18.3"))
    by_ses, others = shipped("email", "ses"), shipped("email", "sendgrid", "smtp")
    assert (by_ses.total, dict(by_ses.beyond)) == (0, {})
    assert (others.total, dict(others.beyond)) == (0, {"email": 2_000})
    assert [(line.provider, line.free) for line in others.lines] == [
        ("sendgrid", 3_000),
        ("smtp", 15_000),
    ]


def test_an_allowance_is_shared_by_the_chains_that_name_it():
    link = Link("one", tariff("1.00", free=10))
    both = plan([Wanted("sms", [link], 8), Wanted("email", [link], 8)])
    assert both.total == 6


def test_who_has_no_tariff_takes_nothing():
    bare = plan([Wanted("sms", [Link("one", None)], 5)])
    assert (bare.total, dict(bare.beyond)) == (0, {"sms": 5})


def test_several_currencies_are_refused():
    euro = tariff("1.00", currency="EUR")
    with pytest.raises(ValueError, match="several currencies: EUR, USD"):
        plan([Wanted("sms", [Link("a", euro), Link("b", tariff("1.00"))], 5)])


prices = st.none() | st.decimals(0, 2, places=2)
tariffs = st.builds(
    lambda price, per, free: tariff(price, per=per, free=free),
    prices,
    st.sampled_from(Per),
    st.integers(0, 7),
)


@given(
    st.lists(tariffs, min_size=1, max_size=3),
    st.integers(0, 25),
    st.integers(1, 3),
    st.sampled_from(Order),
)
def test_a_plan_is_what_the_books_would_say_after_the_sends(given_tariffs, messages, size, order):
    links = [Link(f"p{n}", one) for n, one in enumerate(given_tariffs)]
    planned = plan([Wanted("sms", links, messages, order, size)])
    books = Books(ManualClock(moment("2026-11-10T12:00")))
    tills = [books.till(link.name, link.tariff, None) for link in links]
    text = message("a" * (153 * size if size > 1 else 9))
    took, spent, beyond = dict.fromkeys((link.name for link in links), 0), Decimal(0), 0
    for _ in range(messages):
        quotes = [(till.quote(text).cost, till) for till in tills]
        priced = [(cost.amount, till) for cost, till in quotes if cost is not None]
        if not priced:
            beyond += 1
            continue
        by_price = min(priced, key=lambda one: one[0])
        amount, till = by_price if order is Order.CHEAPEST else priced[0]
        till.reserve(text).settle(billable=True)
        took[till.name] += 1
        spent += amount
    assert {line.provider: line.messages for line in planned.lines} == took
    assert (planned.total, sum(planned.beyond.values())) == (spent, beyond)


def test_a_file_of_tariffs_with_faults_says_where(tmp_path):
    path = tmp_path / "tariffs.yaml"
    path.write_text("dated: '2025-10-01'\nsource: x\ntariffs:\n  twilio: {per_mesage: 1 USD}\n")
    with pytest.raises(ConfigError, match=r"tariffs\.yaml:4:12: .*unknown key"):
        read_tariffs(path)
    with pytest.raises(ConfigError, match="No such file"):
        read_tariffs(tmp_path / "none.yaml")


# What is named wrongly


def planner(tmp_path, text):
    path = tmp_path / "tariffs.yaml"
    path.write_text(f"dated: '2025-10-01'\nsource: x\ntariffs:\n{text}")
    return Planner(tmp_path / "none.yaml", read_tariffs(path), needed=False)


def test_a_tariff_for_nobody_is_told(tmp_path):
    with pytest.raises(ValueError, match="is named `twillio`"):
        planner(tmp_path, "  twillio: {per_message: 1 USD}\n").plans(
            {"sms": 5}, 1, [("sms", ["twilio"])]
        )


def test_plans_in_several_currencies_are_not_compared(tmp_path):
    told = [("sms", ["sns"]), ("sms", ["twilio"])]
    with pytest.raises(ValueError, match="several currencies: EUR, USD"):
        planner(tmp_path, "  sns: {per_message: 1 EUR}\n").plans({"sms": 5}, 1, told)


def test_a_country_that_no_number_has_is_told(tmp_path):
    with pytest.raises(ConfigError, match="`countries` names UK"):
        planner(tmp_path, "  twilio: {countries: {UK: 1 USD, GB: 2 USD}}\n")
