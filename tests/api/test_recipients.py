"""Who is told a number, and who is not: as phonenumbers has it, without having it parse each."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.api.recipients import is_phone_number

CODES = sorted(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
DIGITS = "0123456789"


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """Behind a known calling code as a rule, and then often with a national prefix."""
    code = draw(st.sampled_from(CODES) | st.text(DIGITS, min_size=1, max_size=3))
    prefix = draw(st.sampled_from(["", "", "0", "1", "8", "06", "00"]))
    return f"+{code}{prefix}{draw(st.text(DIGITS, min_size=4, max_size=13))}"


@example("+14155550101")
@example("+114155550101")  # with the prefix that Americans dial among themselves
@example("+4407911123456")  # and Britons
@example("+390612345678")  # an Italian zero is a part of the number
@example("+5491123456789")
@example("+999123456789")
@given(numbers())
def test_a_number_is_possible_where_phonenumbers_says_so(number: str) -> None:
    assert is_phone_number(number) == said_by_the_library(number)


def said_by_the_library(number: str) -> bool:
    if not 7 <= len(number) - 1 <= 15 or number[1] == "0":  # E.164
        return False
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


@pytest.mark.parametrize(
    "number",
    [
        "14155550101",
        "+1415555010",
        "+1 415 555 0101",
        "+1415555010\uff11",
        "tel:+14155550101",
        "+",
        "",
    ],
)
def test_what_is_not_e164_is_none(number: str) -> None:
    assert not is_phone_number(number)
