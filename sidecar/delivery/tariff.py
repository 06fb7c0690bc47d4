"""What a vendor asks for a message, and how a message is counted for it. Decimal, never float."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from sidecar.delivery.model import ZERO, Message
from sidecar.delivery.segments import count_segments


class Per(StrEnum):
    """What one unit of a tariff is."""

    MESSAGE = "message"
    SEGMENT = "segment"


@dataclass(frozen=True, slots=True)
class Tariff:
    """A vendor's prices as they stood on a day.

    `price` is that of one unit, in `currency` (ISO 4217); None where none is known beyond what is
    free. `countries` has other prices by the recipient's country (ISO 3166-1 alpha-2), on `sms`.
    `free_per_month` is in units and begins anew with every month (UTC). `dated` is the day of these
    figures (ISO 8601), `source` says whose they are.
    """

    per: Per
    price: Decimal | None
    currency: str = "USD"
    countries: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    free_per_month: int = 0
    dated: str = ""
    source: str = ""

    @classmethod
    def per_message(cls, price: str, *, free: int = 0, dated: str, source: str) -> Tariff:
        """A price for a message, such as `0.0001 USD`, with so many free a month."""
        amount, currency = price.split()
        return cls(
            Per.MESSAGE, Decimal(amount), currency, free_per_month=free, dated=dated, source=source
        )

    @classmethod
    def per_segment(cls, price: str, *, free: int = 0, dated: str, source: str) -> Tariff:
        """A price for each segment of an SMS, such as `0.0083 USD`."""
        return replace(
            cls.per_message(price, free=free, dated=dated, source=source), per=Per.SEGMENT
        )

    def units_of(self, message: Message) -> int:
        """How many units the vendor counts for it; at least one."""
        return count_segments(message.text).count if self.per is Per.SEGMENT else 1

    def unit_price(self, country: str | None = None) -> Decimal | None:
        """The price of one unit that is not free, for a recipient in `country`."""
        return self.countries.get(country, self.price) if country else self.price

    def charge(self, units: int, free_left: int, country: str | None = None) -> Decimal | None:
        """What so many units cost with `free_left` of the allowance; None where no price is known.

        This is the only place where a price is worked out.
        """
        billed = max(0, units - max(0, free_left))
        if not billed:
            return ZERO
        price = self.unit_price(country)
        return None if price is None else billed * price
