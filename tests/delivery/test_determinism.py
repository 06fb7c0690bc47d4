"""The same script and the same clock give the same trail, byte for byte."""

import asyncio
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

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
from sidecar.delivery.model import Message, Receipt
from sidecar.delivery.policy import ChainPolicy
from sidecar.testing import ManualClock, ScriptedProvider

STEPS = {
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
    async def sending(self, link, so_far):
        return True


async def play(plan, seed):
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
    for number in range(12):
        message = Message(f"m-{number}", "sms", "+14155552671", "Your code is 482913")
        attempts = await chain.deliver(message, clock.monotonic() + 10.0, AlwaysLogged())
        log += [(repr(attempts), chain.retry_after(), [link.breaker.state for link in links])]
        clock.advance(random.choice([0.25, 5.0, 60.0]))
    return log


scripts = st.lists(st.sampled_from(sorted(STEPS)), max_size=12)


@settings(max_examples=40, deadline=None)
@given(plan=st.fixed_dictionaries({"a": scripts, "b": scripts}), seed=st.integers(0, 2**16))
def test_the_same_script_clock_and_seed_give_the_same_log(plan, seed):
    first = asyncio.run(play(plan, seed))
    assert asyncio.run(play(plan, seed)) == first
    assert first[-1][0]
