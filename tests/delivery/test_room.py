"""The places for sends in flight: how many there are, who waits, and who does not have to."""

import asyncio

import pytest

from sidecar.delivery.errors import Unavailable
from sidecar.delivery.link import Limits
from sidecar.delivery.model import Receipt


class Held:
    """A step that holds its call until it is let go."""

    def __init__(self):
        self.gate = asyncio.Event()

    async def __call__(self, message):
        await self.gate.wait()
        return Receipt("held")


def hold(link, times):
    held = Held()
    link.provider.script.extend([held.__call__] * times)
    return held


def test_the_defaults():
    assert Limits() == Limits(in_flight=256, in_flight_per_provider=64, queue=256, queue_wait=1.0)


async def test_64_sends_at_one_provider_and_the_next_goes_on_after_a_second(box, trail, until):
    held = hold(box.link("a"), 64)
    box.link("b")
    running = [box.start() for _ in range(64)]
    await until(lambda: box.sent("a") == 64)
    late = box.start()
    await until(lambda: box.room.waiting == 1)
    box.clock.advance(1.0)
    assert trail(await late) == ["a:busy", "b:accepted"]
    held.gate.set()
    assert {a[0].provider for a in await asyncio.gather(*running)} == {"a"}
    assert (box.room.in_flight, box.room.waiting) == (0, 0)


async def test_one_who_waits_takes_the_place_that_comes_free(box, trail, until):
    first, others = hold(box.link("a"), 1), hold(box.links["a"], 63)
    running = [box.start() for _ in range(64)]
    await until(lambda: box.sent("a") == 64)
    waiting = box.start()
    await until(lambda: box.room.waiting == 1)
    box.clock.advance(0.5)
    first.gate.set()
    assert trail(await waiting) == ["a:accepted"]
    assert box.sent("a") == 65
    others.gate.set()
    await asyncio.gather(*running)


async def test_first_come_first_served(make_box, until):
    box = make_box(in_flight_per_provider=1)
    link, order = box.link("a"), []
    held = hold(link, 1)
    running = box.start()
    await until(lambda: box.sent("a") == 1)

    async def wait_for_a_place(number):
        assert await box.room.enter(link, 1.0)
        order.append(number)
        box.room.leave(link)

    waiting = [asyncio.create_task(wait_for_a_place(n)) for n in range(5)]
    await until(lambda: box.room.waiting == 5)
    held.gate.set()
    await asyncio.gather(running, *waiting)
    assert order == [0, 1, 2, 3, 4]


async def test_patience_is_one_second_for_the_whole_chain(make_box, trail, until):
    box = make_box(in_flight_per_provider=1)
    for link in [box.link("a", Unavailable("x")), box.link("b")]:
        await box.room.enter(link, 0.0)
    late = box.start()
    await until(lambda: box.room.waiting == 1)
    box.clock.advance(0.75)
    box.room.leave(box.links["a"])
    await until(lambda: box.sent("a") == 1 and box.room.waiting == 1)
    box.clock.advance(0.125)
    await asyncio.sleep(0)
    assert not late.done()
    box.clock.advance(0.125)
    assert trail(await late) == ["a:unavailable", "b:busy"]


async def test_patience_that_is_spent_is_not_given_again(make_box, trail, until):
    box = make_box(in_flight_per_provider=1)
    for name in "abc":
        await box.room.enter(box.link(name), 0.0)
    late = box.start()
    await until(lambda: box.room.waiting == 1)
    box.clock.advance(1.0)
    assert trail(await late) == ["a:busy", "b:busy", "c:busy"]


async def test_waiting_for_a_place_ends_while_there_is_time_for_the_next(make_box, trail, until):
    box = make_box(in_flight_per_provider=1, queue_wait=30.0)
    held = hold(box.link("a"), 1)
    running = box.start()
    await until(lambda: box.sent("a") == 1)
    late = box.start(2.0)
    await until(lambda: box.room.waiting == 1)
    box.clock.advance(1.5)
    assert trail(await late) == ["a:busy"]
    held.gate.set()
    await running


async def test_a_place_that_comes_with_the_last_of_the_time_is_not_used(make_box, trail, until):
    box = make_box(in_flight_per_provider=1)
    await box.room.enter(box.link("a"), 0.0)
    late = box.start(2.0)
    await until(lambda: box.room.waiting == 1)
    box.room.leave(box.links["a"])
    box.clock.advance(1.75)
    assert trail(await late) == ["a:deadline"]
    assert (box.journal.calls, box.room.in_flight) == ([], 0)


async def test_a_slow_provider_does_not_take_the_places_of_another(make_box, trail, until):
    box = make_box(in_flight=8, in_flight_per_provider=4)
    held = hold(box.link("slow"), 4)
    running = [box.start() for _ in range(4)]
    await until(lambda: box.sent("slow") == 4)
    queued = [box.start() for _ in range(20)]
    await until(lambda: box.room.waiting == 20)
    box.links["slow"].enabled = False
    box.links.pop("slow")
    box.link("quick")
    box._chain = None
    for _ in range(50):
        assert trail(await box.deliver()) == ["quick:accepted"]
    held.gate.set()
    await asyncio.gather(*running, *queued)


async def test_the_places_in_all_are_bounded_too(make_box, trail, until):
    box = make_box(in_flight=3, in_flight_per_provider=2, queue_wait=0.0)
    held = [hold(box.link("a"), 2), hold(box.link("b"), 2)]
    running = [box.start() for _ in range(3)]
    await until(lambda: box.room.in_flight == 3)
    assert trail(await box.deliver()) == ["a:busy", "b:busy"]
    for one in held:
        one.gate.set()
    await asyncio.gather(*running)


async def test_the_queue_is_bounded_and_the_next_one_is_turned_away_at_once(make_box, trail, until):
    box = make_box(in_flight_per_provider=1, queue=2)
    held = hold(box.link("a"), 1)
    running = [box.start() for _ in range(3)]
    await until(lambda: box.room.waiting == 2)
    assert trail(await box.deliver()) == ["a:busy"]
    held.gate.set()
    await asyncio.gather(*running)


async def test_one_who_is_cancelled_while_waiting_leaves_the_queue(make_box, until):
    box = make_box(in_flight_per_provider=1)
    held = hold(box.link("a"), 1)
    running = box.start()
    await until(lambda: box.sent("a") == 1)
    waiting = box.start()
    await until(lambda: box.room.waiting == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert box.room.waiting == 0
    held.gate.set()
    await running
    assert box.room.in_flight == 0


async def test_a_place_given_in_the_moment_of_a_cancellation_is_given_back(make_box, until):
    box = make_box(in_flight_per_provider=1)
    link = box.link("a")
    assert await box.room.enter(link, 0.0)
    waiting = asyncio.create_task(box.room.enter(link, 1.0))
    await until(lambda: box.room.waiting == 1)
    box.room.leave(link)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (link.in_flight, box.room.in_flight, box.room.waiting) == (0, 0, 0)
    assert await box.room.enter(link, 0.0)


async def test_a_place_given_in_the_moment_the_patience_ends_is_taken(make_box, until):
    box = make_box(in_flight_per_provider=1)
    link = box.link("a")
    await box.room.enter(link, 0.0)
    waiting = asyncio.create_task(box.room.enter(link, 1.0))
    await until(lambda: box.room.waiting == 1)
    box.clock.advance(1.0)
    box.room.leave(link)
    assert await waiting
    assert (link.in_flight, box.room.waiting) == (1, 0)


async def test_no_permit_waits_in_the_queue(make_box, until):
    box = make_box(in_flight=1)
    held = hold(box.link("a"), 1)
    running = box.start()
    await until(lambda: box.sent("a") == 1)
    box.break_down("a")
    box.clock.advance(60.0)
    waiting = box.start()
    await until(lambda: box.room.waiting == 1)
    assert box.links["a"].breaker.barred_by() is None, "the one who waits holds the trial's permit"
    held.gate.set()
    await asyncio.gather(running, waiting)


async def test_a_circuit_that_opens_while_one_waits_keeps_that_one_out(make_box, trail, until):
    box = make_box(in_flight_per_provider=1)
    held = hold(box.link("a"), 1)
    box.link("b")
    running = box.start()
    await until(lambda: box.sent("a") == 1)
    waiting = box.start()
    await until(lambda: box.room.waiting == 1)
    box.break_down("a")
    held.gate.set()
    assert trail(await waiting) == ["a:circuit_open", "b:accepted"]
    await running
    assert box.room.in_flight == 0
