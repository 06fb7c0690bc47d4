"""Amounts and tariffs: what is read, what is refused, what a message costs."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from money.helpers import message, tariff
from sidecar.delivery.model import Money, in_digits
from sidecar.delivery.tariff import Per, Tariff
from sidecar.money.amounts import parse_money
from sidecar.money.region import country_of

amounts = st.decimals(0, 10**9, places=6)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("100.00 USD", "100"), ("0.0075 USD", "0.0075"), ("5EUR", "5"), (" 1 GBP ", "1")],
)
def test_an_amount_is_a_number_and_a_currency(text, amount):
    assert parse_money(text).amount == Decimal(amount)


@pytest.mark.parametrize(
    "value",
    [
        *(100, 1.5, None, True),
        *("100", "USD 100", "-1 USD", "1e3 USD", "1 usd", "1,00 USD", "NaN USD", ""),
        *("\u0661 USD", "1 USD\n1", "1" * 13 + " USD"),
    ],
)
def test_anything_else_is_refused(value):
    with pytest.raises(ValueError, match=r"written like 100\.00 USD"):
        parse_money(value)


@given(amounts)
def test_what_is_written_can_be_read_again(amount):
    assert parse_money(str(Money(amount, "USD"))) == Money(amount, "USD")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("150", "150.00"),
        ("0.00645", "0.00645"),
        ("1E+2", "100.00"),
        ("1.50", "1.50"),
    ],
)
def test_digits_for_people(amount, text):
    assert in_digits(Decimal(amount)) == text


@given(st.integers(0, 10_000), st.integers(-5, 10_000), amounts)
def test_only_what_is_beyond_the_allowance_is_charged(units, free_left, price):
    charge = tariff(price).charge(units, free_left)
    assert charge == max(0, units - max(0, free_left)) * price
    assert isinstance(charge, Decimal)


def test_without_a_price_only_what_is_free_costs_something_known():
    only_free = tariff(None, free=10)
    assert only_free.charge(10, 10) == 0
    assert only_free.charge(11, 10) is None


def test_a_country_of_its_own_price():
    here = Tariff(Per.SEGMENT, Decimal("0.0075"), countries={"GB": Decimal("0.04")})
    assert here.charge(2, 0, "GB") == Decimal("0.08")
    assert here.charge(2, 0, "US") == here.charge(2, 0, None) == Decimal("0.0150")


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+442079460958", "GB"),
        ("+14155552671", "US"),
        ("+16135550123", "CA"),
        ("+80012345678", "001"),
        ("+999", None),
        ("nobody", None),
    ],
)
def test_the_country_of_a_number(number, country):
    assert country_of(number) == country


def test_an_sms_is_counted_in_segments_and_a_mail_is_one():
    long = message("a" * 161)
    assert tariff(per=Per.SEGMENT).units_of(long) == 2
    assert tariff(per=Per.MESSAGE).units_of(long) == 1
    assert tariff(per=Per.SEGMENT).units_of(message("😀" * 67)) == 3
