"""K1: the machine's clock is set, by an hour or by ten years. No breaker, throttle or key minds."""

from __future__ import annotations

import pytest

from sidecar.delivery.breaker import Breaker, BreakerSettings
from sidecar.delivery.chain import Chain
from sidecar.delivery.clock import FOLLOWED, SystemClock
from sidecar.delivery.errors import Throttled, Unavailable
from sidecar.delivery.link import Limits, Link, Room
from sidecar.delivery.model import Delivery, Message, Status
from sidecar.delivery.policy import ChainPolicy
from sidecar.dispatcher import Dispatcher, Routes
from sidecar.entries import Wish
from sidecar.privacy import Fingerprint
from sidecar.store import Claim, Claimed, Existing
from sidecar.store.sqlite import SqliteLog
from sidecar.testing import ManualClock, ScriptedProvider

HOUR, DAY, YEAR = 3_600.0, 86_400.0, 365 * 86_400.0
JUMPS = [HOUR, -HOUR, 10 * YEAR, -10 * YEAR]
NOW = 1_800_000_000.0


class Machine(ManualClock):
    """A machine: its wall clock can be set, and the sidecar sees it through a `SystemClock`."""

    def __init__(self):
        super().__init__(NOW)
        self.jumps = []
        self.seen = SystemClock(self.jumps.append, wall=super().time, steady=self.monotonic)

    def time(self):
        return self.seen.time()


class House:
    """A dispatcher on a machine, with one provider and the log in a file."""

    def __init__(self, path, *script):
        self.clock = Machine()
        self.provider = ScriptedProvider("p", script)
        breaker = Breaker(BreakerSettings(), self.clock.monotonic)
        self.link = Link("p", "p", self.provider, breaker, self.clock)
        room = Room(Limits(), self.clock)
        chain = Chain("sms", [self.link], ChainPolicy(), room, self.clock)
        self.log = SqliteLog(path, now=self.clock.time)
        routes = Routes({"sms": chain}, Limits(), 10.0, DAY, degrade=False)
        fingerprint = Fingerprint(b"k" * 32)
        self.dispatcher = Dispatcher(self.log, fingerprint, routes, self.clock, lambda _: None)

    async def send(self, key=None):
        message = Message(id="", channel="sms", to="+14155552671", text="Your code is 1")
        wish = Wish(message, b"body", self.clock.monotonic(), key)
        return await self.dispatcher.send(wish)


@pytest.fixture
async def house(tmp_path):
    house = House(tmp_path / "deliveries.db")
    await house.log.open()
    yield house
    await house.log.close()


@pytest.mark.parametrize("jump", JUMPS)
async def test_no_circuit_opens_or_closes_and_no_life_is_longer(house, jump):
    house.provider.script = [Unavailable("down")] * 5
    for _ in range(5):
        await house.send()
    before = (house.link.breaker.state, house.link.breaker.seconds_to_half_open())
    house.clock.stepped += jump
    assert (house.link.breaker.state, house.link.breaker.seconds_to_half_open()) == before
    house.clock.advance(before[1] - 0.01)
    assert house.link.breaker.state == "open"
    house.clock.advance(0.02)
    assert house.link.breaker.state == "half_open"


@pytest.mark.parametrize("jump", JUMPS)
async def test_no_throttle_ends_or_stays(house, jump):
    house.provider.script = [Throttled("slow down", retry_after=30.0)]
    await house.send()
    house.clock.stepped += jump
    assert house.link.throttled_for() == 30.0
    house.clock.advance(30.0)
    assert (await house.send()).status is Status.ACCEPTED


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_key_lives_for_a_day_whatever_the_wall_clock_says(house, jump):
    first = await house.send("k")
    house.clock.stepped += jump
    assert (await house.send("k")).replayed
    house.clock.advance(DAY - 1)
    replayed = await house.send("k")
    assert (replayed.replayed, replayed.id) == (True, first.id)
    house.clock.advance(2)
    assert not (await house.send("k")).replayed
    assert len(house.provider.sent) == 2


@pytest.mark.parametrize("jump", JUMPS)
async def test_nothing_is_pruned_early(house, jump):
    first = await house.send("k")
    house.clock.stepped += jump
    assert await house.log.prune(house.clock.time() - 30 * DAY, 500) == 0
    house.clock.advance(30 * DAY + 1)
    assert await house.log.prune(house.clock.time() - 30 * DAY, 500) == 1
    assert await house.log.get(first.id) is None


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_delivery_does_not_last_for_an_hour(house, jump):
    house.provider.script = [lambda m: setattr(house.clock, "stepped", jump) or Unavailable("")]
    delivery = await house.send()
    assert delivery.ended_at - delivery.started_at == 0.0


@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_is_told_once_and_not_followed(jump):
    machine = Machine()
    machine.stepped += jump
    for _ in range(3):
        assert machine.time() == machine.monotonic()
        machine.advance(1.0)
    assert machine.jumps == [jump]
    machine.stepped += -jump  # set right again
    assert machine.time() == machine.monotonic()
    assert machine.jumps == [jump]


def test_small_corrections_are_followed_as_often_as_they_come():
    machine = Machine()
    for _ in range(10):
        machine.stepped += FOLLOWED
        assert machine.time() == pytest.approx(machine._now + machine.stepped)
    assert machine.jumps == []
    assert machine.time() == pytest.approx(NOW + 10 * FOLLOWED)


async def test_after_a_start_on_a_clock_set_back_a_key_lives_as_long_as_any(tmp_path, claim_at):
    ahead = SqliteLog(tmp_path / "deliveries.db", now=lambda: NOW + 10 * YEAR)
    await ahead.open()
    at = NOW + 10 * YEAR
    claimed = await ahead.claim(claim_at(at), keep_keys=DAY)
    await ahead.finish(claimed, Delivery("d-1", "sms", "otp", Status.ACCEPTED, at, at + 0.5))
    await ahead.close()
    back = SqliteLog(tmp_path / "deliveries.db", now=lambda: NOW)
    await back.open()
    found = await back.get("d-1")
    assert (found.started_at, found.ended_at) == (NOW, NOW + 0.5)
    known = await back.claim(claim_at(NOW + DAY - 1, id="d-2"), keep_keys=DAY)
    assert known == Existing(found, same_body=True)
    assert await back.claim(claim_at(NOW + DAY, id="d-3"), keep_keys=DAY) == Claimed("d-3", 1)
    assert await back.prune(NOW + 1, 10) == 1
    await back.close()


@pytest.fixture
def claim_at():
    def make(at, **changes):
        chosen = {"id": "d-1", "channel": "sms", "purpose": "otp", "recipient": "+1*67"}
        hashes = {"recipient_hash": "r", "body_hash": "b", "key_hash": "k"}
        return Claim(at=at, **{**chosen, **hashes, **changes})

    return make
