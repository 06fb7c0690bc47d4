"""Plans in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import click

from sidecar.delivery.model import in_digits
from sidecar.money.plan import Line, Plan


def dump_plans(plans: Sequence[Plan]) -> Any:
    """One document a plan; a list of them where several are compared. Amounts are strings."""
    documents = [_dump(one, plans) for one in plans]
    return documents[0] if len(documents) == 1 else documents


def print_plans(plans: Sequence[Plan]) -> None:
    """What each provider would take and cost, and which plan saves what."""
    for number, one in enumerate(plans):
        if number:
            click.echo()
        for line in _lines(one):
            click.echo(line)
    if len(plans) > 1:
        click.echo()
        for one in plans:
            click.echo(f"{_title(one)}: {_total(one)}{_saves(one, plans)}")


def saving(one: Plan, plans: Sequence[Plan]) -> tuple[Decimal, Decimal]:
    """What a plan saves against the dearest of them, and how many per cent of it that is."""
    dearest = max(plan.total for plan in plans)
    saved = dearest - one.total
    percent = saved * 100 / dearest if dearest else Decimal(0)
    return saved, percent.quantize(Decimal("0.1"), ROUND_HALF_EVEN)


def _dump(one: Plan, plans: Sequence[Plan]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "currency": one.currency,
        "total": in_digits(one.total),
        "lines": [
            {
                "channel": line.channel,
                "provider": line.provider,
                "messages": line.messages,
                "free": line.free,
                "billed": line.billed,
                "cost": in_digits(line.cost),
            }
            for line in one.lines
        ],
        "chains": {channel: list(names) for channel, names in one.chains.items()},
        "beyond_free": dict(one.beyond),
    }
    if len(plans) > 1:
        saved, percent = saving(one, plans)
        document["saving"] = {"amount": in_digits(saved), "percent": str(percent)}
    return document


def _lines(one: Plan) -> Iterator[str]:
    for channel, names in one.chains.items():
        yield f"{channel} by {', then '.join(names)}:"
        for line in one.lines:
            if line.channel == channel:
                yield f"  {line.provider:<16} {_taken(line, one.currency)}"
        rest = one.beyond.get(channel)
        if rest:
            yield f"  {_count(rest)} beyond every free allowance: no price is known for them"
    yield f"total {_total(one)}"


def _taken(line: Line, currency: str) -> str:
    if not line.messages:
        return "nothing"
    told = _count(line.messages)
    if line.free and not line.billed:
        told += f", free (of {line.allowance:,} a month)"
    elif line.free:
        told += f", {line.free:,} of them free, {line.billed:,} billed"
    return told + (f": {in_digits(line.cost)} {currency}" if line.billed else "")


def _count(messages: int) -> str:
    return f"{messages:,} message{'' if messages == 1 else 's'}"


def _total(one: Plan) -> str:
    rest = sum(one.beyond.values())
    told = f"{in_digits(one.total)} {one.currency}" if one.total else "free"
    return told + (f", without {_count(rest)} that have no price" if rest else "")


def _title(one: Plan) -> str:
    return "; ".join(f"{channel} by {', then '.join(n)}" for channel, n in one.chains.items())


def _saves(one: Plan, plans: Sequence[Plan]) -> str:
    saved, percent = saving(one, plans)
    return f", saves {in_digits(saved)} {one.currency} ({percent} %)" if saved else ""
