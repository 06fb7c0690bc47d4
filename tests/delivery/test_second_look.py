"""`misconfigured` may mean that a key was rotated: one more look before the breaker is told."""

import asyncio

import pytest

from sidecar.delivery.breaker import State
from sidecar.delivery.errors import Misconfigured, Unavailable

WRONG = Misconfigured("bad key")


@pytest.fixture
def look(box):
    """Give a link of the box a second look that ends as told; how often it was asked for."""
    asked = []

    def give(name, answer=None):
        future = asyncio.get_running_loop().create_future()
        if answer is not None:
            future.set_result(answer)
        box.links[name].second_look = lambda: asked.append(name) or future
        return future

    give.asked = asked
    return give


async def test_where_the_secrets_have_changed_the_circuit_hears_nothing(box, look, trail):
    link = box.link("p", WRONG)
    box.link("q")
    look("p", answer=True)
    assert trail(await box.deliver()) == ["p:misconfigured", "q:accepted"]
    assert (link.breaker.state, link.breaker.consecutive_failures) == (State.CLOSED, 0)
    assert box.sent("p") == 1, "the same message is not sent again by it"
    assert link.last_error.reason == "bad key"


async def test_where_they_have_not_the_circuit_opens(box, look, trail):
    link = box.link("p", WRONG)
    box.link("q")
    look("p", answer=False)
    ended = await box.deliver()
    assert trail(ended) == ["p:misconfigured", "q:accepted"]
    assert ended[0].transition.after == State.OPEN
    assert link.breaker.state is State.OPEN


@pytest.mark.parametrize("step", [None, Unavailable("down")])
async def test_nothing_else_asks_for_a_look(box, look, step):
    box.link("p", *([step] if step else []))
    look("p", answer=True)
    await box.deliver()
    assert look.asked == []


async def test_the_look_has_a_second_and_is_not_cancelled(box, look, clock, until, trail):
    box.link("p", WRONG)
    box.link("q")
    future = look("p")
    sending = box.start()
    await until(lambda: bool(look.asked) and clock.waiting == 1)
    clock.advance(0.99)
    for _ in range(20):  # whatever could end would have ended
        await asyncio.sleep(0)
    assert not sending.done()
    clock.advance(0.01)
    assert trail(await sending) == ["p:misconfigured", "q:accepted"]
    assert box.links["p"].breaker.state is State.OPEN
    assert not future.cancelled(), "others may wait for it, and what it finds is used"


async def test_the_look_has_no_more_than_the_attempt_has_left(box, look, clock, until, trail):
    def late(message):
        clock.advance(3.5)
        raise WRONG

    box.link("p", late)
    box.link("q")
    look("p")
    sending = box.start()
    await until(lambda: bool(look.asked) and clock.waiting == 1)
    clock.advance(0.5)
    assert trail(await sending) == ["p:misconfigured", "q:accepted"]


async def test_an_attempt_that_used_its_time_up_asks_for_none(box, look, clock, trail):
    def at_the_last_moment(message):
        clock.advance(4.0)
        raise WRONG

    box.link("p", at_the_last_moment)
    box.link("q")
    look("p", answer=True)
    assert trail(await box.deliver()) == ["p:misconfigured", "q:accepted"]
    assert look.asked == []
    assert box.links["p"].breaker.state is State.OPEN


async def test_a_trial_that_finds_new_secrets_leaves_the_circuit_to_another(box, look, clock):
    link = box.link("p", WRONG, failure_threshold=1)
    box.break_down("p")
    clock.advance(60.0)
    look("p", answer=True)
    await box.deliver()
    assert link.breaker.state is State.HALF_OPEN
    await box.deliver()
    assert box.sent("p") == 2


async def test_how_long_the_look_took_is_not_the_providers_time(box, look, clock, until):
    box.link("p", WRONG)
    future = look("p")
    sending = box.start()
    await until(lambda: bool(look.asked) and clock.waiting == 1)
    clock.advance(0.4)
    future.set_result(True)
    (ended,) = await sending
    assert ended.seconds == 0.0
