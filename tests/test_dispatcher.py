"""The dispatcher where the log fails, callers leave, and too many come."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import pytest

from sidecar.declined import Draining, InFlight, KeyReused, LogRefuses, NoChain, Overloaded
from sidecar.delivery.breaker import Breaker, BreakerSettings
from sidecar.delivery.chain import Chain
from sidecar.delivery.errors import Unavailable
from sidecar.delivery.link import Limits, Link, Room
from sidecar.delivery.model import Message, Outcome, Receipt, SkipReason, Status
from sidecar.delivery.policy import ChainPolicy
from sidecar.dispatcher import Dispatcher, Routes
from sidecar.entries import Wish
from sidecar.privacy import Fingerprint
from sidecar.store import LogUnavailable, NotUnderWay
from sidecar.store.memory import MemoryLog
from sidecar.switch import SWITCH, SWITCH_SHARED
from sidecar.testing import ManualClock, ScriptedProvider


class FlakyLog(MemoryLog):
    """Refuses the operations named in `broken`; `told` keeps the order of what came."""

    def __init__(self):
        super().__init__()
        self.broken = set()
        self.gone = set()
        self.raises = None
        self.told = []

    def _say(self, operation):
        self.told.append(operation)
        if operation in self.broken:
            raise LogUnavailable("broken for the test")

    async def claim(self, claim, *, keep_keys, first=()):
        self._say("claim")
        return await super().claim(claim, keep_keys=keep_keys, first=first)

    async def sending(self, claimed, so_far, call):
        self._say("sending")
        return await super().sending(claimed, so_far, call)

    async def finish(self, claimed, delivery):
        self._say("finish")
        if self.raises is not None:
            raise self.raises
        if claimed.id in self.gone:
            raise NotUnderWay
        return await super().finish(claimed, delivery)


class House:
    """A dispatcher over one chain of scripted providers."""

    def __init__(self, *scripts, limits=None, degrade=False):
        self.clock = ManualClock()
        self.log = FlakyLog()
        self.heard = []
        limits = limits or Limits()
        room = Room(limits, self.clock)
        self.providers = [ScriptedProvider(f"p{n}", script) for n, script in enumerate(scripts)]
        links = [
            Link(p.name, p.kind, p, Breaker(BreakerSettings(), self.clock.monotonic), self.clock)
            for p in self.providers
        ]
        chain = Chain("sms", links, ChainPolicy(), room, self.clock)
        routes = Routes({"sms": chain}, limits, 10.0, 86_400.0, degrade)
        self.dispatcher = Dispatcher(
            self.log, Fingerprint(b"k" * 32), routes, self.clock, self._hear
        )

    def _hear(self, delivery):
        self.heard.append(delivery)
        self.log.told.append("tell")

    def wish(self, key=None, text="Your code is 1", **more):
        message = Message(id=more.pop("id", ""), channel="sms", to="+14155552671", text=text)
        return Wish(message, text.encode(), self.clock.monotonic(), key, **more)

    async def send(self, *args, **more):
        return await self.dispatcher.send(self.wish(*args, **more))

    @property
    def calls(self):
        return sum(len(p.sent) for p in self.providers)


async def opened(*scripts, **more):
    house = House(*scripts, **more)
    await house.log.open()
    return house


@pytest.fixture
async def house():
    return await opened([])


async def test_the_log_is_written_before_the_provider_is_called_and_before_the_observers():
    order = []
    house = await opened([lambda m: order.extend(house.log.told) or Receipt("r")])
    await house.send()
    assert order == ["claim", "sending"]
    assert house.log.told == ["claim", "sending", "finish", "tell"]


async def test_whoever_waits_for_the_answer_is_called_before_the_observers_hear():
    house = await opened([Receipt("r")])
    sending = house.dispatcher.begin(house.wish())
    sending.add_done_callback(lambda _: house.log.told.append("answer"))
    await house.dispatcher.drain(1.0)
    assert house.log.told == ["claim", "sending", "finish", "answer", "tell"]


async def test_what_was_given_before_is_not_told_again():
    house = await opened([Receipt("r")])
    for _ in range(2):
        await house.send("key")
    assert len(house.heard) == 1


async def test_refuse_sends_nothing_without_a_claim(house):
    house.log.broken = {"claim"}
    with pytest.raises(LogRefuses):
        await house.send()
    assert house.calls == 0
    assert house.heard == []


async def test_refuse_sends_nothing_without_a_sending_row():
    house = await opened([], [])
    house.providers[0].script.append(lambda m: house.log.broken.add("sending") or fails())
    delivery = await house.send()
    assert [len(p.sent) for p in house.providers] == [1, 0]
    assert delivery.status is Status.FAILED
    assert delivery.attempts[1].reason == SkipReason.LOG_UNAVAILABLE


async def test_degrade_sends_without_a_claim_and_flags_it():
    house = await opened([], degrade=True)
    house.log.broken = {"claim"}
    delivery = await house.send()
    assert (delivery.status, delivery.logged) == (Status.ACCEPTED, False)
    assert house.calls == 1


async def test_degrade_sends_without_a_sending_row_and_flags_it():
    house = await opened([], [], degrade=True)
    house.providers[0].script.append(lambda m: house.log.broken.add("sending") or fails())
    delivery = await house.send()
    assert (delivery.status, delivery.logged) == (Status.ACCEPTED, False)
    assert [len(p.sent) for p in house.providers] == [1, 1]


async def test_what_was_foreseen_and_did_not_come_true_is_written_anew():
    house = await opened([], [])
    chain = house.dispatcher.routes.chains["sms"]
    foresee = chain.foresee

    def and_then_it_is_gone(message):
        foreseen = foresee(message)
        chain.links[0].enabled = False
        return foreseen

    chain.foresee = and_then_it_is_gone
    delivery = await house.send(id="m-1")
    assert [a.outcome for a in delivery.attempts] == [Outcome.SKIPPED, Outcome.ACCEPTED]
    assert house.log.told.count("sending") == 2
    assert await house.log.get("m-1") == delivery


def fails():
    raise Unavailable("x")


async def test_an_end_that_cannot_be_written_is_answered_kept_and_written_later(house):
    house.log.broken = {"finish"}
    delivery = await house.send("key", id="m-1")
    assert delivery.status is Status.ACCEPTED
    assert house.dispatcher.unwritten == 1
    assert await house.dispatcher.get("m-1") == delivery
    again = await house.send("key", id="m-1")
    assert again == replace(delivery, replayed=True)
    assert house.calls == 1
    house.log.broken = set()
    await house.dispatcher.stop()
    assert house.dispatcher.unwritten == 0
    assert await house.log.get("m-1") == delivery


async def test_what_surely_was_not_sent_is_tried_again_though_its_end_is_unwritten():
    house = await opened([lambda m: fails(), Receipt("r")])
    house.log.broken = {"finish"}
    assert (await house.send("key")).status is Status.FAILED
    assert (await house.send("key")).replayed, "nothing can be claimed before that end is written"
    house.log.broken = set()
    again = await house.send("key")
    assert (again.status, again.replayed, house.calls) == (Status.ACCEPTED, False, 2)
    assert house.dispatcher.unwritten == 0


async def test_a_caller_that_leaves_does_not_stop_the_send():
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow(message):
        reached.set()
        await go.wait()
        return Receipt("r")

    house = await opened([slow])
    caller = asyncio.create_task(house.send(id="m-1"))
    await reached.wait()
    caller.cancel()
    await asyncio.wait({caller})
    go.set()
    assert await house.dispatcher.drain(5.0)
    assert (await house.dispatcher.get("m-1")).status is Status.ACCEPTED


async def test_an_answer_of_before_is_given_to_all_who_ask_at_once():
    house = await opened([Receipt("r")])
    first = await house.send("key")
    again = await asyncio.gather(*(house.send("key") for _ in range(20)))
    assert [(one.id, one.replayed, one.status) for one in again] == [
        (first.id, True, Status.ACCEPTED)
    ] * 20
    assert house.calls == 1
    assert house.dispatcher.replays == 20


async def test_whoever_asks_while_a_key_is_claimed_in_vain_hears_the_same(house):
    house.log.broken = {"claim"}
    asked = await asyncio.gather(*(house.send("key") for _ in range(3)), return_exceptions=True)
    assert {type(one) for one in asked} == {LogRefuses}
    assert house.dispatcher.replays == 0


async def test_one_key_in_flight_is_joined_or_told():
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow(message):
        reached.set()
        await go.wait()
        return Receipt("r")

    house = await opened([slow])
    first = asyncio.create_task(house.send("key"))
    await reached.wait()
    with pytest.raises(InFlight):
        await house.send("key")
    with pytest.raises(KeyReused):
        await house.send("key", text="another")
    second = asyncio.create_task(house.send("key", wait=True))
    await asyncio.sleep(0)
    go.set()
    assert (await second) == replace(await first, replayed=True)
    assert house.calls == 1
    assert house.dispatcher.replays == 1


async def test_too_many_are_declined_at_once_and_leave_no_row():
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow(message):
        reached.set()
        await go.wait()
        return Receipt("r")

    house = await opened([slow], limits=Limits(in_flight=1, in_flight_per_provider=1, queue=0))
    first = asyncio.create_task(house.send(id="m-1"))
    await reached.wait()
    with pytest.raises(Overloaded):
        await house.send(id="m-2")
    go.set()
    await first
    assert await house.dispatcher.get("m-2") is None
    assert (await house.send(id="m-2")).status is Status.ACCEPTED


async def test_draining_and_unknown_channels_are_declined(house):
    wish = house.wish()
    with pytest.raises(NoChain, match="`sms`"):
        await house.dispatcher.send(wish._replace(message=replace(wish.message, channel="fax")))
    assert await house.dispatcher.drain(0.0)
    with pytest.raises(Draining):
        await house.send()
    assert house.calls == 0


async def test_one_entry_that_the_log_no_longer_wants_holds_up_nothing_behind_it():
    house = await opened([])
    house.log.broken = {"finish"}
    await house.send(id="m-1")
    await house.send(id="m-2")
    assert house.dispatcher.unwritten == 2
    house.log.broken = set()
    # Written after all: the first one's end is refused from now on, as of no run under way.
    house.log.gone = {"m-1"}
    await house.dispatcher.stop()
    assert house.dispatcher.unwritten == 0
    assert (await house.log.get("m-2")).status is Status.ACCEPTED


async def test_a_fault_of_the_log_that_nobody_foresaw_does_not_cost_the_answer(house):
    house.log.raises = TypeError("+14155552671")
    delivery = await house.send(id="m-1")
    assert delivery.status is Status.ACCEPTED
    assert (await house.send(id="m-1")).replayed is True
    assert house.calls == 1


async def test_what_a_stop_cuts_off_ends_as_unknown_and_is_answered():
    reached = asyncio.Event()

    async def hangs(message):
        reached.set()
        await asyncio.Event().wait()

    house = await opened([hangs], [])
    caller = asyncio.create_task(house.send("key", id="m-1"))
    await reached.wait()
    assert not await house.dispatcher.drain(0.0)
    await house.dispatcher.stop()
    delivery = await caller
    assert delivery.status is Status.UNKNOWN
    assert [a.outcome for a in delivery.attempts] == [Outcome.UNKNOWN]
    assert await house.log.get("m-1") == delivery
    assert house.heard == [delivery]


async def test_a_second_caller_waits_no_longer_than_its_own_deadline():
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow(message):
        reached.set()
        await go.wait()
        return Receipt("r")

    house = await opened([slow])
    first = asyncio.create_task(house.send("key"))
    await reached.wait()
    second = asyncio.create_task(house.send("key", wait=True, deadline=1.0))
    while house.clock.waiting < 2:  # noqa: ASYNC110  # a clock that is moved by hand tells nobody
        await asyncio.sleep(0)
    house.clock.advance(1.1)
    with pytest.raises(InFlight, match="deadline"):
        await second
    go.set()
    assert (await first).status is Status.ACCEPTED


async def test_a_receipt_that_is_not_whole_is_a_crash_and_not_a_500():
    house = await opened([Receipt("r", simulated=None)], [])
    delivery = await house.send()
    assert [a.outcome for a in delivery.attempts] == [Outcome.CRASHED, Outcome.ACCEPTED]


async def test_how_long_it_took_is_told_by_the_monotonic_clock():
    house = await opened([lambda m: setattr(house.clock, "stepped", -3600.0) or Receipt("r")])
    delivery = await house.send()
    assert 0.0 <= delivery.ended_at - delivery.started_at < 1.0


async def test_a_deadline_can_only_shorten():
    seen = []

    class Asked(ScriptedProvider):
        async def send(self, message, *, timeout):
            seen.append(timeout)
            return await super().send(message, timeout=timeout)

    house = await opened([])
    chain = house.dispatcher.routes.chains["sms"]
    chain.links[0].provider = Asked("asked")
    for deadline in (None, 30.0, 2.0):
        await house.send(deadline=deadline)
    assert seen == [4.0, 4.0, 1.75]
    delivery = await house.send(deadline=0.3)
    assert delivery.status is Status.EXPIRED
    assert delivery.attempts[0].outcome is Outcome.SKIPPED


async def test_what_the_observers_hear_holds_no_text_and_no_recipient(house):
    delivery = await house.send(text="Your code is 739184620517")
    assert house.heard == [delivery]
    assert "739184620517" not in repr(delivery)
    assert "4155552" not in repr(delivery)
    assert delivery.recipient == "+1******2671"


async def held_up(house, operation):
    """A send that waits for this operation of its log, and what lets the log go on."""
    go_on = asyncio.Event()
    real = getattr(house.log, operation)

    async def hold(*args, **more):
        house.log.told.append(f"at {operation}")
        await go_on.wait()
        return await real(*args, **more)

    setattr(house.log, operation, hold)
    sending = asyncio.create_task(house.send(id="m-1"))
    while f"at {operation}" not in house.log.told:  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(0)
    return sending, go_on


async def test_a_stop_while_its_end_is_written_costs_no_answer(house):
    sending, go_on = await held_up(house, "finish")
    stopping = asyncio.create_task(house.dispatcher.stop())
    delivery = await sending
    assert delivery.status is Status.ACCEPTED
    go_on.set()
    await stopping
    assert (await house.log.get("m-1")).status is Status.ACCEPTED
    assert house.heard == [delivery]


async def test_a_stop_while_it_is_claimed_is_told(house):
    sending, _ = await held_up(house, "claim")
    await house.dispatcher.stop()
    with pytest.raises(Draining):
        await sending
    assert house.calls == 0


async def test_a_send_without_a_name_is_not_taken_for_one_whose_id_is_a_number():
    held = asyncio.Event()

    async def hold(_):
        await held.wait()
        return Receipt("r")

    house = await opened([hold] * 6)
    named = [asyncio.create_task(house.send(id=str(n), text=f"Your code is {n}")) for n in range(3)]
    await asyncio.sleep(0)
    unnamed = [asyncio.create_task(house.send(text=f"Your code is 1{n}")) for n in range(3)]
    for _ in range(20):
        await asyncio.sleep(0)
    held.set()
    ended = await asyncio.gather(*named, *unnamed)
    assert [one.status for one in ended] == [Status.ACCEPTED] * 6


async def test_the_logs_thread_gets_the_interpreter_sooner_while_two_channels_are_at_work():
    seen = []

    async def look(message):
        seen.append(sys.getswitchinterval())
        if message.channel == "sms" and len(seen) == 1:
            mail = Message("m", "email", "ada@example.com", message.text)
            await house.dispatcher.send(Wish(mail, b"mail", house.clock.monotonic()))
        return Receipt("r")

    house = await opened([look, look, look])
    routes = house.dispatcher.routes
    (sms,) = routes.chains.values()
    email = Chain("email", sms.links, sms.policy, sms.room, sms.clock)
    house.dispatcher.routes = replace(routes, chains={"sms": sms, "email": email})
    await house.send()
    await house.send()
    assert seen == pytest.approx([SWITCH, SWITCH_SHARED, SWITCH])
    assert SWITCH_SHARED < SWITCH
