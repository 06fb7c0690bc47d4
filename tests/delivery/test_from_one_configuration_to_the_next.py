"""What goes over when a chain is built anew: circuits, what is known of a provider, whose turn."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.delivery.breaker import State
from sidecar.delivery.chain import Chain
from sidecar.delivery.errors import Misconfigured, Throttled, Unavailable
from sidecar.delivery.link import Limits, Link
from sidecar.delivery.model import Receipt
from sidecar.delivery.policy import ChainPolicy, Verdict


def renewed(link, **settings):
    """Another link to the same provider, as a reload makes it."""
    return Link(
        link.name,
        link.kind,
        link.provider,
        link.breaker,
        link.clock,
        standing=link.standing,
        **settings,
    )


def chain_of(box, *links):
    return Chain("sms", links, ChainPolicy(), box.room, box.clock)


async def test_an_open_circuit_that_is_looked_at_again_is_tried_now(box, trail):
    link = box.link("a", Misconfigured("key"))
    await box.deliver()
    assert link.breaker.state is State.OPEN
    link.breaker.look_again()
    assert link.breaker.state is State.HALF_OPEN
    assert link.breaker.reason == Verdict.MISCONFIGURED
    assert link.breaker.seconds_to_half_open() is None
    assert trail(await box.deliver()) == ["a:accepted"]


async def test_looking_again_shortens_nothing_but_the_open_time(box):
    link = box.link("a", Misconfigured("1"), Misconfigured("2"))
    await box.deliver()
    link.breaker.look_again()
    await box.deliver()
    assert link.breaker.seconds_to_half_open() == 120.0, "opened again without a close between"


@pytest.mark.parametrize("state", [State.CLOSED, State.ISOLATED, State.DISABLED])
def test_looking_again_leaves_every_other_state_alone(box, state):
    breaker = box.link("a").breaker
    {State.ISOLATED: breaker.isolate, State.DISABLED: breaker.disable}.get(state, lambda: None)()
    breaker.look_again()
    assert breaker.state is state


def test_looking_again_half_open_lengthens_nothing(box, clock):
    link = box.link("a")
    box.break_down("a")
    clock.advance(61.0)
    permit = link.breaker.start(5.0)
    link.breaker.look_again()
    assert link.breaker.state is State.HALF_OPEN
    assert link.breaker.start(5.0) is None, "the trial is under way still"
    link.breaker.finish(permit, Verdict.SUCCESS)
    assert link.breaker.start(5.0) is not None


async def test_what_is_known_of_a_provider_goes_over(box, clock, message):
    link = box.link("a", Unavailable("x"), Throttled("later", retry_after=30.0))
    await box.deliver()
    await box.deliver()
    again = renewed(link, timeout=1.0)
    assert again.throttled_for() == link.throttled_for() == 30.0
    assert again.last_error is link.last_error
    assert again.breaker.consecutive_failures == 1
    clock.advance(31.0)
    await chain_of(box, again).deliver(message, clock.monotonic() + 10.0, box.journal)
    assert link.last_success_at == again.last_success_at is not None


async def test_a_send_under_way_is_counted_by_both(box, until, trail):
    held = asyncio.Event()

    async def hold(_message):
        await held.wait()
        return Receipt("m-1")

    link = box.link("a", hold)
    sending = box.start()
    await until(lambda: link.in_flight == 1)
    again = renewed(link)
    assert again.in_flight == 1
    held.set()
    assert trail(await sending) == ["a:accepted"]
    assert (again.in_flight, box.room.in_flight) == (0, 0)


async def test_a_chain_that_takes_over_probes_no_sooner_and_in_turn(box, clock, trail, message):
    for name in ("a", "b"):
        box.link(name, *[Unavailable("x")] * 9)
    box.break_down("a", "b")
    assert trail(await box.deliver())[-1] == "a:unavailable"
    links = tuple(box.links.values())
    after = chain_of(box, *links)
    after.take_over(box.chain)

    async def walk():
        return trail(await after.deliver(message, clock.monotonic() + 10.0, box.journal))

    assert await walk() == ["a:circuit_open", "b:circuit_open"], "once a second, over a reload too"
    clock.advance(1.0)
    assert (await walk())[-1] == "b:unavailable"


async def test_whoever_waits_gets_the_places_that_a_reload_adds(make_box, until):
    box = make_box(in_flight=1, in_flight_per_provider=1)
    link = box.link("a")
    assert await box.room.enter(link, 0.0)
    waiting = asyncio.create_task(box.room.enter(link, 5.0))
    await until(lambda: box.room.waiting == 1)
    box.room.resize(Limits(in_flight=2, in_flight_per_provider=2))
    assert await waiting
    assert box.room.in_flight == 2
    box.room.resize(Limits(in_flight=1, in_flight_per_provider=1))
    box.room.leave(link)
    assert not await box.room.enter(link, 0.0), "one is under way still, and one is all"
    box.room.leave(link)
    assert await box.room.enter(link, 0.0)


async def test_a_channel_that_is_no_more_keeps_no_part_of_the_room(make_box, until):
    box = make_box(in_flight=8, in_flight_per_provider=8, queue=2)
    link, room = box.link("a"), box.room
    room.resize(room.limits, ["sms", "voice"])
    for channel in ("voice",) * 6:
        assert await room.enter(link, 0.0, channel)
    waiting = asyncio.create_task(room.enter(link, 5.0, "voice"))
    await until(lambda: room.waiting == 1)
    room.resize(room.limits, ["sms"])
    for _ in range(6):
        room.leave(link, "voice")
    assert await waiting
    room.leave(link, "voice")
    for _ in range(8):
        assert await room.enter(link, 0.0, "sms")
    assert not await room.enter(link, 0.0, "sms")
