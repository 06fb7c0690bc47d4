"""Tariffs, budgets and messages in few words."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property

from sidecar.delivery.breaker import Breaker, BreakerSettings
from sidecar.delivery.chain import Chain
from sidecar.delivery.link import Limits, Link, Room
from sidecar.delivery.model import Message
from sidecar.delivery.policy import ChainPolicy, Order
from sidecar.delivery.tariff import Per, Tariff
from sidecar.money.budget import Budget
from sidecar.testing import ScriptedProvider


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def message(text="Your code is 482913", to="+14155552671", channel="sms"):
    return Message("m-1", channel, to, text)


def tariff(price="1.00", *, per=Per.MESSAGE, free=0, **more):
    return Tariff(per, None if price is None else Decimal(price), free_per_month=free, **more)


def budget(monthly=None, daily=None, soft="0.8", currency="USD"):
    return Budget(
        currency,
        None if monthly is None else Decimal(monthly),
        None if daily is None else Decimal(daily),
        Decimal(soft),
    )


class Desk(list):
    """Notes alerts as `... 50%` and `... 50% resolved`."""

    def __call__(self, alert):
        self.append(f"{alert.subject}{' resolved' if alert.resolved else ''}")


def send(till, text="Your code is 482913", *, billable=True):
    """Reserve and settle; what was reserved, or why not."""
    hold = till.reserve(message(text))
    if hasattr(hold, "settle"):
        hold.settle(billable=billable)
    return hold


class Quiet:
    """A journal that takes everything."""

    async def sending(self, link, so_far, bill):
        return True

    def ended(self, attempts):
        pass


class Chained:
    """A chain of scripted providers with tills: `chained.add(name, tariff, budget, *script)`."""

    def __init__(self, books, clock, order=Order.DECLARED):
        self.books, self.clock = books, clock
        self.policy = ChainPolicy(order=order)
        self.links = []

    def add(self, name, price, limit=None, *script):
        till = None if price is None else self.books.till(name, price, limit)
        breaker = Breaker(BreakerSettings(failure_threshold=1), self.clock.monotonic)
        provider = ScriptedProvider(name, script)
        self.links.append(Link(name, "scripted", provider, breaker, self.clock, till=till))
        return self.links[-1]

    @cached_property
    def chain(self):
        room = Room(Limits(), self.clock)
        return Chain("sms", self.links, self.policy, room, self.clock)

    async def deliver(self, one=None, journal=None):
        deadline = self.clock.monotonic() + 10.0
        return await self.chain.deliver(one or message(), deadline, journal or Quiet())

    async def trail(self, one=None):
        """`name:outcome`, or `name:reason` of who was skipped."""
        ended = await self.deliver(one)
        return [f"{a.provider}:{a.outcome if a.tried else a.reason}" for a in ended]
