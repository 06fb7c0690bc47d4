"""Amounts of money as people write them: `100.00 USD`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from sidecar.delivery.model import Money

PATTERN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?([A-Z]{3})")
_RULE = "an amount is written like 100.00 USD: a number, and a currency of three capital letters"


def parse_money(value: Any) -> Money:
    """The amount in `100.00 USD`. Raises ValueError for anything else, such as less than 0."""
    if isinstance(value, Money):
        return value
    match = PATTERN.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(_RULE)
    return Money(Decimal(match[1]), match[2])
