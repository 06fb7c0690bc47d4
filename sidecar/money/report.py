"""What a month has cost, by provider."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import click

from sidecar.delivery.model import in_digits
from sidecar.store.costs import DayCosts, Sums

Month = Sequence[DayCosts]
"""One entry a provider and currency, by name."""


def report_of(days: Iterable[DayCosts]) -> Month:
    """The days of one month together."""
    return sorted(Sums(replace(one, day="") for one in days), key=lambda one: one.key)


def dump_report(spent: Month) -> list[dict[str, Any]]:
    """For JSON; amounts are strings."""
    return [
        {
            "provider": one.provider,
            "currency": one.currency or None,
            "attempts": one.tried,
            "accepted": one.accepted,
            "billed": one.billed,
            "units": one.units,
            "cost": in_digits(one.amount) if one.currency else None,
            "average": _average(one),
            "after_failover": in_digits(one.after_failover) if one.currency else None,
        }
        for one in spent
    ]


def print_report(month: str, spent: Month) -> None:
    """For a person: what each cost, what a send cost on average, and what failover added."""
    if not spent:
        click.echo(f"{month}: nothing was sent")
        return
    click.echo(f"{month} (UTC)")
    for one in spent:
        click.echo(f"  {one.provider:<16} {_counts(one)}; {_cost(one)}")
    for currency in sorted({one.currency for one in spent} - {""}):
        ours = [one for one in spent if one.currency == currency]
        total = sum((one.amount for one in ours), Decimal(0))
        added = sum((one.after_failover for one in ours), Decimal(0))
        click.echo(f"total {in_digits(total)} {currency}, {_failover(added, currency)}")


def _counts(one: DayCosts) -> str:
    return f"{one.tried:,} attempts, {one.accepted:,} accepted, {one.billed:,} billed"


def _cost(one: DayCosts) -> str:
    if not one.currency:
        return "no price is known"
    average = _average(one)
    told = f"{in_digits(one.amount)} {one.currency}"
    return told + (f", {average} a send on average" if average else "")


def _failover(added: Decimal, currency: str) -> str:
    if not added:
        return "none of it for attempts after another provider's"
    return f"{in_digits(added)} {currency} of it for attempts after another provider's (failover)"


def _average(one: DayCosts) -> str | None:
    """What an accepted send cost, what may have been taken besides included; to six decimals."""
    if not one.accepted or not one.currency:
        return None
    exact = one.amount / one.accepted
    return in_digits(exact.quantize(Decimal("0.000001"), ROUND_HALF_EVEN))
