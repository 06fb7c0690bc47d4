"""Whom a message may go to, and what no text may hold."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

ADDRESS_LIMIT = 254
"""Octets of an address (RFC 3696, erratum 1690)."""
# C0 without tab and line ends, DEL, C1, line and paragraph separators, and the bidirectional
# overrides and isolates, which make a text read differently from what it says.
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_PLAIN_LOCAL = re.compile(r"(?=.{1,64}@)[A-Za-z0-9_+][A-Za-z0-9_+-]*(?:\.[A-Za-z0-9_+-]+)*@")


class _Plan(NamedTuple):
    """What phonenumbers knows of the numbers behind one calling code."""

    lengths: frozenset[int]
    prefix: re.Pattern[str] | None  # of calls within the country; it is no part of a number


def have_libraries() -> None:
    """Load what knows addresses and numbers: 60 to 100 ms, for a thread behind the start.

    Raises what the import of a broken one does.
    """
    is_address("somebody@example.com")
    _plan("1")


def is_phone_number(number: str) -> bool:
    """Whether it is E.164 and a possible number of its country.

    By what phonenumbers knows. To have it parse the number costs twenty times as much, and is left
    for those that begin with a prefix which it might take away: `0`, say, and in Argentina all.
    """
    if not _E164.fullmatch(number):
        return False
    # No calling code is the beginning of another one (ITU-T E.164).
    for end in (2, 3, 4):
        plan = _plan(number[1:end])
        if plan is not None:
            if plan.prefix is not None and plan.prefix.match(number[end:]):
                return _is_possible(number)
            return len(number) - end in plan.lengths
    return False


@cache  # at most all codes of one to three digits
def _plan(code: str) -> _Plan | None:
    import phonenumbers  # noqa: PLC0415  # see have_libraries

    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code))
    if regions is None:
        return None
    known = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), regions[0])
    assert known is not None, "every calling code has its plan"
    what = known.general_desc
    assert what is not None, "every plan has its lengths"
    lengths = frozenset([*what.possible_length, *what.possible_length_local_only])
    prefix = known.national_prefix_for_parsing
    return _Plan(lengths, None if prefix is None else re.compile(prefix))


@lru_cache(maxsize=4_096)
def _is_possible(number: str) -> bool:
    import phonenumbers  # noqa: PLC0415  # see have_libraries

    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def is_plain_address(address: str) -> bool:
    """Whether it is an address in ASCII with nothing unusual before its `@`.

    Every recipient has another name, but domains come again: that is what is remembered.
    """
    name = _PLAIN_LOCAL.match(address)
    return (
        name is not None
        and address.isascii()
        and len(address) <= ADDRESS_LIMIT
        and is_address(f"a@{address[name.end() :]}")
    )


@lru_cache(maxsize=4_096)
def is_address(address: str) -> bool:
    """Whether it is one bare address (RFC 5321), and none that a mailer may take for an option."""
    if address.startswith("-") or "=?" in address or len(address) > ADDRESS_LIMIT:
        return False
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  # likewise

    try:
        validate_email(address, check_deliverability=False, globally_deliverable=False, strict=True)
    except EmailNotValidError:
        return False
    return True
