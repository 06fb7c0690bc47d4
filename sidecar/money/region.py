"""The country of a phone number, for tariffs that differ by it."""

from __future__ import annotations


def country_of(number: str) -> str | None:
    """ISO 3166-1 alpha-2 of an E.164 number; None where it belongs to no one country, or none."""
    import phonenumbers  # noqa: PLC0415  # 17 us a number, and only where a tariff asks for it

    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None
