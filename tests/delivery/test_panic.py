"""Never empty: where open circuits are all there is, one call goes through, once a second."""

import asyncio

import pytest

from sidecar.delivery.breaker import State
from sidecar.delivery.errors import Rejected, Throttled, Unavailable
from sidecar.delivery.model import Receipt
from sidecar.delivery.policy import ChainPolicy, Panic, Verdict
from sidecar.testing import ScriptedProvider

ALL_OPEN = ["a:circuit_open", "b:circuit_open"]


@pytest.fixture
def broken(box):
    """Two links whose circuits are open, `a` the nearer one to half-open."""
    box.link("a")
    box.link("b")
    box.break_down("a", "b")
    return box


async def test_the_provider_nearest_to_half_open_is_tried(broken, trail):
    assert trail(await broken.deliver()) == [*ALL_OPEN, "a:accepted"]
    assert broken.links["a"].breaker.state is State.HALF_OPEN
    assert broken.links["b"].breaker.state is State.OPEN


async def test_nearest_is_a_matter_of_time_and_not_of_order(box, trail):
    box.link("a")
    box.link("b")
    box.break_down("b", "a")
    assert trail(await box.deliver()) == [*ALL_OPEN, "b:accepted"]


async def test_its_success_counts_as_the_first_half_open_success(broken, trail):
    await broken.deliver()
    assert trail(await broken.deliver()) == ["a:accepted"]
    assert broken.links["a"].breaker.state is State.CLOSED


async def test_its_failure_leaves_the_open_time_as_it_was(broken, trail):
    broken.links["a"].provider.script.append(Unavailable("x"))
    before = broken.links["a"].breaker.seconds_to_half_open()
    attempts = await broken.deliver()
    assert trail(attempts) == [*ALL_OPEN, "a:unavailable"]
    assert attempts[-1].transition is None
    assert broken.links["a"].breaker.seconds_to_half_open() == before


async def test_its_rejection_counts_as_nothing(broken, trail):
    broken.links["a"].provider.script.append(Rejected("x"))
    assert trail(await broken.deliver()) == [*ALL_OPEN, "a:rejected"]
    assert broken.links["a"].breaker.state is State.OPEN


async def test_the_probes_take_turns(broken, trail):
    """Nobody knows which provider heals first; the nearest one may be the one that does not."""
    for name in "ab":
        broken.links[name].provider.script.extend([Unavailable("x")] * 9)
    asked = []
    for _ in range(4):
        asked.append(trail(await broken.deliver())[-1])
        broken.clock.advance(1.0)
    assert asked == ["a:unavailable", "b:unavailable"] * 2


async def test_what_only_a_person_can_mend_is_probed_last(box, trail):
    nearest = box.link("a").breaker
    nearest.finish(nearest.start(5.0), Verdict.MISCONFIGURED)
    box.clock.advance(1.0)
    box.link("b")
    box.break_down("b")
    assert trail(await box.deliver())[-1] == "b:accepted"


async def test_where_the_nearest_has_no_place_the_next_one_is_probed(make_box, trail):
    box = make_box(in_flight_per_provider=1)
    await box.room.enter(box.link("a"), 0.0)
    box.link("b")
    box.break_down("a", "b")
    assert trail(await box.deliver()) == [*ALL_OPEN, "b:accepted"]


async def test_it_is_tried_once_a_second_at_most(broken, trail):
    for name in "ab":
        broken.links[name].provider.script.extend([Unavailable("x")] * 9)
    trails = []
    for _ in range(20):
        trails.append(trail(await broken.deliver()))
        broken.clock.advance(0.125)
    assert [len(t) for t in trails] == ([3] + [2] * 7) * 2 + [3] + [2] * 3
    assert broken.sent("a") + broken.sent("b") == 3


async def test_a_burst_probes_once(broken, until):
    gate = asyncio.Event()

    async def slow(message):
        await gate.wait()
        return Receipt("probe")

    broken.links["a"].provider.script.append(slow)
    burst = [broken.start() for _ in range(100)]
    await until(lambda: broken.sent("a") == 1)
    gate.set()
    tried = [attempts for attempts in await asyncio.gather(*burst) if attempts[-1].tried]
    assert len(tried) == 1
    assert broken.sent("b") == 0


async def test_off_fails_fast(broken, trail):
    broken.policy = ChainPolicy(panic=Panic.OFF)
    assert trail(await broken.deliver()) == ALL_OPEN
    assert broken.chain.retry_after() == pytest.approx(59.998)


async def test_no_probe_where_a_provider_was_tried(box, trail):
    box.link("a")
    box.link("b", Unavailable("x"))
    box.break_down("a")
    assert trail(await box.deliver()) == ["a:circuit_open", "b:unavailable"]


async def test_no_probe_where_no_circuit_is_open(box, trail):
    box.link("off", enabled=False)
    box.link("isolated").breaker.isolate()
    assert trail(await box.deliver()) == ["off:disabled", "isolated:isolated"]


async def test_no_probe_through_a_gate_that_is_shut_for_another_reason(box, trail):
    for name in ["off", "isolated", "open"]:
        box.link(name)
    box.break_down("off", "isolated", "open")
    box.links["off"].enabled = False
    box.links["isolated"].breaker.isolate()
    assert trail(await box.deliver())[-1] == "open:accepted"
    assert (box.sent("off"), box.sent("isolated")) == (0, 0)
    assert [link.in_flight for link in box.links.values()] == [0, 0, 0]
    assert box.room.in_flight == 0


async def test_a_throttled_provider_is_not_probed(box, trail):
    box.link("a", *[Throttled("x", retry_after=100.0)])
    box.link("b")
    await box.deliver()
    box.break_down("a", "b")
    assert trail(await box.deliver()) == ["a:throttled", "b:circuit_open", "b:accepted"]


async def test_no_probe_without_time(broken, trail):
    assert trail(await broken.deliver(0.4)) == ALL_OPEN
    assert trail(await broken.deliver(0.5)) == [*ALL_OPEN, "a:accepted"]


async def test_no_probe_because_of_a_fault_of_our_own(box, trail):
    box.link("a")
    box.link("b")
    box.break_down("b")
    box.journal.says = False
    assert trail(await box.deliver()) == ["a:log_unavailable", "b:circuit_open"]


async def test_no_probe_where_a_provider_was_busy(make_box, trail):
    box = make_box(in_flight_per_provider=1, queue_wait=0.0)
    await box.room.enter(box.link("a"), 0.0)
    box.link("b")
    box.break_down("b")
    assert trail(await box.deliver()) == ["a:busy", "b:circuit_open"]


async def test_a_probe_is_written_ahead_like_any_attempt(broken, trail):
    await broken.deliver()
    ((name, so_far),) = broken.journal.calls
    assert (name, trail(so_far)) == ("a", ALL_OPEN)


async def test_a_probe_that_cannot_be_written_ahead_is_not_sent(broken, trail):
    broken.journal.says = False
    assert trail(await broken.deliver()) == [*ALL_OPEN, "a:log_unavailable"]
    assert broken.sent("a") == 0
    assert broken.links["a"].breaker.start_panic(5.0), "the probe's permit was not given back"


async def test_without_a_place_there_is_no_probe_and_no_permit_is_held(make_box, until, trail):
    gate = asyncio.Event()

    async def slow(message):
        await gate.wait()
        return Receipt("x")

    box = make_box(in_flight=1, queue_wait=0.0)
    link = box.link("a", slow)
    running = box.start()
    await until(lambda: box.sent("a") == 1)
    box.break_down("a")
    assert trail(await box.deliver()) == ["a:circuit_open"]
    gate.set()
    await running
    assert link.breaker.start_panic(5.0) is not None, "a probe that never was holds the permit"
    assert box.room.in_flight == 0


class Outage(ScriptedProvider):
    over = False

    async def send(self, message, *, timeout):
        if not self.over:
            raise Unavailable("x")
        return await super().send(message, timeout=timeout)


@pytest.mark.parametrize("seconds_down", [1, 59, 60, 61, 200, 1000, 3000])
async def test_after_an_outage_of_all_it_is_well_again_without_an_operator(
    box, trail, seconds_down
):
    outages = {name: Outage(name) for name in "ab"}
    for name, provider in outages.items():
        box.link(name).provider = provider
    for _ in range(seconds_down):
        await box.deliver()
        box.clock.advance(1.0)
    for provider in outages.values():
        provider.over = True
    ended, accepted = box.clock.monotonic(), 0
    while accepted < 2:
        accepted += trail(await box.deliver())[-1] == "a:accepted"
        box.clock.advance(0.5)
        assert box.clock.monotonic() - ended <= 300.0 * 1.1 + 2.0
    assert box.links["a"].breaker.state is State.CLOSED
