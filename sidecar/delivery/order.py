"""In which order a chain asks its providers: declared, cheapest first, short of money last."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from sidecar.delivery.breaker import State
from sidecar.delivery.link import Link
from sidecar.delivery.model import Message, SkipReason
from sidecar.delivery.policy import Order

_UNPRICED = Decimal("Infinity")

Moved = tuple[tuple[Link, SkipReason], ...]
"""The links that others were moved before, with why, in the declared order."""


def arranged(
    links: Sequence[Link], order: Order, message: Message | None
) -> tuple[Sequence[Link], Moved]:
    """The links in the order in which `message` asks them, and which of them were moved back.

    Whoever's budget is nearly spent goes behind the others. With `cheapest` the price decides, and
    the declared order among equals; an open circuit is preferred to nobody for its price.
    """
    short = {
        link
        for link in links
        if (till := link.till) is not None and till.is_limited and till.is_short(message)
    }
    if not short and order is Order.DECLARED:
        return links, ()
    ranks = {
        link: (link in short, *(_price(link, message) if order is Order.CHEAPEST else ()))
        for link in links
    }
    sorted_links = sorted(links, key=ranks.__getitem__)
    return sorted_links, tuple(
        (link, SkipReason.SOFT_BUDGET if link in short else SkipReason.DEARER)
        for position, link in enumerate(links)
        if _was_moved(link, links[position + 1 :], sorted_links)
        and (link in short or not ranks[link][1])
    )


def _price(link: Link, message: Message | None) -> tuple[bool, Decimal]:
    is_out = link.breaker.state in (State.OPEN, State.ISOLATED)
    price = None if link.till is None else link.till.dearness(message)
    return is_out, _UNPRICED if price is None else price


def _was_moved(link: Link, later: Sequence[Link], now: Sequence[Link]) -> bool:
    before = set(now[: now.index(link)])
    return any(other in before for other in later)
