"""What a month would come to, by the prices and in the order that the sends themselves go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sidecar.delivery.model import ZERO
from sidecar.delivery.policy import Order
from sidecar.delivery.tariff import Per, Tariff


@dataclass(frozen=True, slots=True)
class Link:
    """A provider of a chain that is planned for; `tariff` is None where no price is known."""

    name: str
    tariff: Tariff | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """So many messages of `segments` each, to one channel's chain, in its order."""

    channel: str
    links: Sequence[Link]
    messages: int
    order: Order = Order.DECLARED
    segments: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    """What one provider of a chain would take: `free` messages at no charge, `billed` others."""

    channel: str
    provider: str
    messages: int
    free: int
    billed: int
    cost: Decimal
    allowance: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A month. `beyond` counts, by channel, the messages that no provider has a known price for."""

    chains: Mapping[str, Sequence[str]]
    currency: str
    lines: Sequence[Line]
    beyond: Mapping[str, int]

    @property
    def total(self) -> Decimal:
        return sum((line.cost for line in self.lines), ZERO)


def plan(wanted: Sequence[Wanted]) -> Plan:
    """Send them all. Raises ValueError where the tariffs are in several currencies."""
    tariffs = [link.tariff for one in wanted for link in one.links if link.tariff is not None]
    currencies = {tariff.currency for tariff in tariffs if tariff.price or tariff.countries}
    if len(currencies) > 1:
        raise ValueError(f"the tariffs are in several currencies: {', '.join(sorted(currencies))}")
    left: dict[str, int] = {}  # of each provider's allowance: two chains may share one
    lines: list[Line] = []
    beyond: dict[str, int] = {}
    for one in wanted:
        taken, rest = _walk(one, left)
        lines += taken
        if rest:
            beyond[one.channel] = rest
    chains = {one.channel: [link.name for link in one.links] for one in wanted}
    return Plan(chains, next(iter(currencies), "USD"), lines, beyond)


def _walk(wanted: Wanted, left: dict[str, int]) -> tuple[list[Line], int]:
    """Message for message as a chain would, but those that go the same way at once."""
    lines = {link.name: Line(wanted.channel, link.name, 0, 0, 0, ZERO) for link in wanted.links}
    rest = wanted.messages
    while rest:
        best = _next(wanted, left)
        if best is None:
            break
        link, tariff = best
        units = _units(tariff, wanted)
        free = left.setdefault(link.name, tariff.free_per_month)
        whole = free // units  # as many as are free altogether; the next one may be in part
        count = min(rest, whole or (1 if free else rest))
        cost = tariff.charge(count * units, free)
        assert cost is not None, "who has no price is not chosen beyond what is free"
        left[link.name] = max(0, free - count * units)
        before = lines[link.name]
        lines[link.name] = Line(
            wanted.channel,
            link.name,
            before.messages + count,
            before.free + (count if whole else 0),
            before.billed + (0 if whole else count),
            before.cost + cost,
            tariff.free_per_month,
        )
        rest -= count
    return list(lines.values()), rest


def _next(wanted: Wanted, left: Mapping[str, int]) -> tuple[Link, Tariff] | None:
    """Who takes the next message; None where nobody's price for it is known."""
    prices = [
        (link, link.tariff, link.tariff.charge(_units(link.tariff, wanted), _left(link, left)))
        for link in wanted.links
        if link.tariff is not None
    ]
    priced = [(link, tariff, price) for link, tariff, price in prices if price is not None]
    if not priced:
        return None
    if wanted.order is Order.CHEAPEST:
        priced.sort(key=lambda one: one[2])
    return priced[0][:2]


def _left(link: Link, left: Mapping[str, int]) -> int:
    return left.get(link.name, link.tariff.free_per_month if link.tariff else 0)


def _units(tariff: Tariff, wanted: Wanted) -> int:
    return wanted.segments if tariff.per is Per.SEGMENT else 1
