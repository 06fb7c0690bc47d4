"""The pure core on a hand-turned clock, its providers on a script: the log of what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from sidecar.delivery.breaker import Breaker, BreakerSettings
from sidecar.delivery.chain import Chain
from sidecar.delivery.errors import (
    LocalFault,
    Misconfigured,
    Refused,
    Rejected,
    Throttled,
    Unavailable,
    Unknown,
)
from sidecar.delivery.link import Limits, Link, Room
from sidecar.delivery.model import Attempt, Bill, Message, Receipt
from sidecar.delivery.policy import ChainPolicy
from sidecar.testing import ManualClock, ScriptedProvider

Script = Mapping[str, Sequence[str]]
STEPS: dict[str, Callable[[], Any]] = {
    "accepted": lambda: Receipt("SM1"),
    "rejected": lambda: Rejected("x"),
    "refused": lambda: Refused("x"),
    "throttled": lambda: Throttled("x", retry_after=3.0),
    "unavailable": lambda: Unavailable("x"),
    "unknown": lambda: Unknown("x"),
    "misconfigured": lambda: Misconfigured("x"),
    "crashed": lambda: ValueError("x"),
    "local": lambda: LocalFault("x"),
}


class AlwaysLogged:
    async def sending(self, link: Link, so_far: Sequence[Attempt], bill: Bill | None) -> bool:
        return True

    def ended(self, attempts: Sequence[Attempt]) -> None:
        pass


async def play(plan: Script, seed: int) -> list[Any]:
    """Twelve messages, or as many as the longest script has steps, through a chain of `plan`."""
    clock, random = ManualClock(), Random(seed)
    links = [
        Link(
            name,
            "scripted",
            ScriptedProvider(name, [STEPS[step]() for step in script]),
            Breaker(
                BreakerSettings(failure_threshold=2, jitter=0.1),
                clock.monotonic,
                lambda: random.uniform(-1.0, 1.0),
            ),
            clock,
        )
        for name, script in plan.items()
    ]
    chain = Chain("sms", links, ChainPolicy(), Room(Limits(), clock), clock)
    log = []
    for number in range(max(12, *map(len, plan.values()))):
        message = Message(f"m-{number}", "sms", "+14155552671", "Your code is 482913")
        attempts = await chain.deliver(message, clock.monotonic() + 10.0, AlwaysLogged())
        log += [(repr(attempts), chain.retry_after(), [link.breaker.state for link in links])]
        clock.advance(random.choice([0.25, 5.0, 60.0]))
    return log
