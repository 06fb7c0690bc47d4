"""The walk along the chain: who is asked, who is passed by and why, and what is given back."""

import asyncio
import contextlib
from copy import deepcopy
from dataclasses import replace

import pytest

from sidecar.delivery.breaker import State
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
from sidecar.delivery.model import Outcome, Receipt, SkipReason
from sidecar.delivery.policy import ChainPolicy, OnRejected, OnUnknown, Panic, duplicate_possible
from sidecar.testing import ScriptedProvider


async def test_the_first_provider_takes_it_and_no_other_is_asked(box, trail):
    box.link("a")
    box.link("b")
    attempts = await box.deliver()
    assert trail(attempts) == ["a:accepted"]
    assert (box.sent("a"), box.sent("b")) == (1, 0)


async def test_providers_are_asked_in_their_order(box, trail):
    box.link("c", Unavailable("x"))
    box.link("a", Throttled("x"))
    box.link("b", Misconfigured("x"))
    box.link("d")
    assert trail(await box.deliver()) == [
        "c:unavailable",
        "a:throttled",
        "b:misconfigured",
        "d:accepted",
    ]


async def test_every_provider_gets_the_same_message(box, message):
    box.link("a", Unknown("x"))
    box.link("b")
    await box.deliver()
    assert box.links["a"].provider.sent[0] is box.links["b"].provider.sent[0] is message


class Plunderer(ScriptedProvider):
    """Takes what it finds in the message's settings out of them."""

    def __init__(self, name, empty):
        super().__init__(name, ())
        self.found = None
        self.empty = empty

    async def send(self, message, *, timeout):
        self.found = {kind: deepcopy(dict(given)) for kind, given in message.extra.items()}
        with contextlib.suppress(AttributeError, TypeError):  # as of a mapping that is read only
            self.empty(message)
        raise Unavailable("x")


@pytest.mark.parametrize(
    "empty",
    [
        lambda message: message.extra_for("acme").clear(),
        lambda message: message.extra_for("acme")["data"]["list"].append(3),
        lambda message: message.extra.clear(),
        lambda message: message.extra["acme"].clear(),
        lambda message: message.extra.update(other={"a": 1}),
    ],
)
@pytest.mark.parametrize("extra", [{"acme": {"sender": "S", "data": {"list": [1, 2]}}}, {}])
async def test_what_a_provider_does_to_a_messages_settings_stays_with_it(
    box, message, empty, extra
):
    box.link("a").provider = first = Plunderer("a", empty)
    box.link("b").provider = second = Plunderer("b", empty)
    deadline = box.clock.monotonic() + 10.0
    await box.chain.deliver(replace(message, extra=deepcopy(extra)), deadline, box.journal)
    assert first.found == second.found == extra


async def test_no_provider_is_asked_twice(box, trail):
    box.link("a", Unavailable("x"))
    box.link("b", Refused("x"))
    assert trail(await box.deliver()) == ["a:unavailable", "b:refused"]
    assert (box.sent("a"), box.sent("b")) == (1, 1)


@pytest.mark.parametrize(
    "error", [Unavailable("x"), Refused("x"), Throttled("x"), Misconfigured("x"), LocalFault("x")]
)
async def test_what_surely_was_not_sent_goes_on_to_the_last_provider(box, error):
    for name in "abcdef":
        box.link(name, error)
    box.link("last")
    assert (await box.deliver())[-1].outcome is Outcome.ACCEPTED


async def test_the_primary_is_asked_first_again_once_it_is_well(box, trail):
    box.link("a")
    box.link("b")
    box.break_down("a")
    assert trail(await box.deliver()) == ["a:circuit_open", "b:accepted"]
    box.clock.advance(60.0)
    for _ in range(3):
        assert trail(await box.deliver()) == ["a:accepted"]
    assert box.links["a"].breaker.state is State.CLOSED


async def test_while_a_trial_is_under_way_the_others_go_on_at_once(box, trail, until):
    gate = asyncio.Event()

    async def slow(message):
        await gate.wait()
        return Receipt("trial")

    box.link("a", slow)
    box.link("b")
    box.break_down("a")
    box.clock.advance(60.0)
    trial = box.start()
    await until(lambda: box.sent("a") == 1)
    for _ in range(20):
        assert trail(await box.deliver()) == ["a:circuit_half_open", "b:accepted"]
    gate.set()
    assert trail(await trial) == ["a:accepted"]


async def test_a_trial_is_leased_for_its_time_and_a_second(box):
    link = box.link("a", timeout=3.0)
    box.break_down("a")
    box.clock.advance(60.0)
    assert link.ask()
    box.clock.advance(3.5)
    assert link.ask() is SkipReason.TRIAL_UNDER_WAY
    box.clock.advance(0.5)
    assert link.ask() is not SkipReason.TRIAL_UNDER_WAY


@pytest.mark.parametrize(("seconds", "why"), [(10.0, SkipReason.BUSY), (0.1, SkipReason.DEADLINE)])
async def test_who_is_passed_by_takes_no_trial_from_a_call_that_outlived_its_lease(
    make_box, until, seconds, why
):
    written, answers = asyncio.Event(), asyncio.Event()

    async def slow(message):
        await answers.wait()
        raise Unavailable("x")

    async def sending(*_):
        return await written.wait()

    box = make_box(in_flight_per_provider=1, queue_wait=0.0)
    link = box.link("a", slow)
    box.break_down("a")
    box.clock.advance(60.0)
    box.journal.sending = sending
    trial = box.start(20.0)
    await until(lambda: link.in_flight)
    box.clock.advance(5.5)  # the lease has run out before the call has begun
    written.set()
    await until(lambda: box.sent("a"))
    assert (await box.deliver(seconds))[0].reason is why
    answers.set()
    assert (await trial)[0].transition.after == "open"
    assert link.breaker.state is State.OPEN


# Skipped, and why


async def test_every_gate_leaves_its_reason(box, trail):
    box.link("off", enabled=False)
    box.link("bare").provider = None
    box.link("isolated").breaker.isolate()
    box.link("throttled", Throttled("x", retry_after=30.0))
    box.link("open")
    box.link("good")
    box.break_down("open")
    await box.deliver()
    attempts = await box.deliver()
    assert trail(attempts) == [
        "off:disabled",
        "bare:not_configured",
        "isolated:isolated",
        "throttled:throttled",
        "open:circuit_open",
        "good:accepted",
    ]
    assert {a.outcome for a in attempts[:-1]} == {Outcome.SKIPPED}
    assert {a.seconds for a in attempts[:-1]} == {0.0}


async def test_a_throttled_provider_is_skipped_until_its_time_then_asked_again(box, trail):
    box.link("a", Throttled("x", retry_after=30.0))
    box.link("b")
    assert trail(await box.deliver()) == ["a:throttled", "b:accepted"]
    box.clock.advance(29.5)
    assert trail(await box.deliver()) == ["a:throttled", "b:accepted"]
    assert box.sent("a") == 1
    box.clock.advance(0.5)
    assert trail(await box.deliver()) == ["a:accepted"]


async def test_a_provider_throttled_without_a_time_is_skipped_five_seconds(box, trail):
    box.link("a", Throttled("x"))
    box.link("b")
    await box.deliver()
    box.clock.advance(4.9)
    assert trail(await box.deliver()) == ["a:throttled", "b:accepted"]
    box.clock.advance(0.1)
    assert trail(await box.deliver()) == ["a:accepted"]


async def test_rejections_and_throttlings_never_open_a_circuit(box):
    box.link("a", *[Rejected("x"), Throttled("x", retry_after=1.0)] * 50)
    for _ in range(100):
        await box.deliver()
        box.clock.advance(1.0)
    assert box.sent("a") == 100
    assert (box.links["a"].breaker.state, box.links["a"].breaker.consecutive_failures) == (
        State.CLOSED,
        0,
    )


async def test_a_circuit_shared_by_two_chains_is_one_circuit(box, trail, message):
    link = box.link("a", *[Unavailable("x")] * 5)
    for _ in range(5):
        await box.deliver()
    other = Chain("voice", (link,), ChainPolicy(panic=Panic.OFF), box.room, box.clock)
    attempts = await other.deliver(message, box.clock.monotonic() + 10.0, box.journal)
    assert trail(attempts) == ["a:circuit_open"]


# Unknown and rejected


async def test_an_unknown_is_failed_over_once_and_may_be_a_duplicate(box, trail):
    box.link("a", Unknown("x"))
    box.link("b", Unknown("x"))
    box.link("c")
    attempts = await box.deliver()
    assert trail(attempts) == ["a:unknown", "b:unknown"]
    assert duplicate_possible(attempts)


async def test_after_an_unknown_surely_unsent_failures_still_go_on(box, trail):
    box.link("a", Unknown("x"))
    box.link("b", Unavailable("x"))
    box.link("c")
    attempts = await box.deliver()
    assert trail(attempts) == ["a:unknown", "b:unavailable", "c:accepted"]
    assert duplicate_possible(attempts)


async def test_a_crash_counts_as_an_unknown(box, trail):
    box.link("a", ValueError("x"))
    box.link("b", Unknown("x"))
    box.link("c")
    assert trail(await box.deliver()) == ["a:crashed", "b:unknown"]


async def test_where_unknown_stops_no_second_provider_is_asked(box, trail):
    box.policy = ChainPolicy(on_unknown=OnUnknown.STOP)
    box.link("a", Unavailable("x"))
    box.link("b", Unknown("x"))
    box.link("c")
    attempts = await box.deliver()
    assert trail(attempts) == ["a:unavailable", "b:unknown"]
    assert not duplicate_possible(attempts)


async def test_a_rejection_ends_the_chain(box, trail):
    box.link("a", Rejected("x"))
    box.link("b")
    assert trail(await box.deliver()) == ["a:rejected"]


async def test_a_rejection_fails_over_where_that_is_asked_for(box, trail):
    box.policy = ChainPolicy(on_rejected=OnRejected.FAILOVER)
    box.link("a", Rejected("x"))
    box.link("b", Rejected("withdrew consent", final=True))
    box.link("c")
    assert trail(await box.deliver()) == ["a:rejected", "b:rejected"]


# One deadline for all


async def test_an_attempt_gets_the_provider_s_time_or_what_is_left_less_the_reserve(box):
    times = []

    class Timed(ScriptedProvider):
        async def send(self, message, *, timeout):
            times.append(timeout)
            box.clock.advance(3.0)
            raise Unavailable("x")

    for name in "abcd":
        box.link(name).provider = Timed(name)
    await box.deliver(10.0)
    assert times == [4.0, 4.0, 3.75, 0.75]


@pytest.mark.parametrize(
    ("left", "tried"), [(0.49, False), (0.5, True), (0.0, False), (-5.0, False)]
)
async def test_no_attempt_is_started_with_less_than_half_a_second(box, trail, left, tried):
    box.link("a")
    assert trail(await box.deliver(left)) == ["a:accepted" if tried else "a:deadline"]
    assert box.sent("a") == tried
    assert (box.room.in_flight, box.links["a"].in_flight) == (0, 0)


async def test_without_time_it_is_the_deadline_that_is_told_and_not_the_crowd(make_box, trail):
    box = make_box(in_flight_per_provider=1)
    await box.room.enter(box.link("a"), 0.0)
    assert trail(await box.deliver(0.4)) == ["a:deadline"]


async def test_when_the_time_is_spent_the_rest_is_skipped(box, trail):
    def slow(message):
        box.clock.advance(4.6)
        raise Unavailable("x")

    box.link("a", slow)
    box.link("b", slow)
    box.link("off", enabled=False)
    box.link("c")
    box.link("d")
    assert trail(await box.deliver(9.5)) == [
        "a:unavailable",
        "b:unavailable",
        "off:disabled",
        "c:deadline",
        "d:deadline",
    ]
    assert [name for name, _ in box.journal.calls] == ["a", "b"], "none is announced in vain"


async def test_a_log_that_takes_its_time_does_not_make_an_attempt_late(box, trail):
    class SlowJournal:
        def ended(self, attempts):
            pass

        async def sending(self, link, so_far, bill):
            box.clock.advance(0.3)
            return True

    box.journal = SlowJournal()
    box.link("a")
    assert trail(await box.deliver(0.7)) == ["a:deadline"]
    assert box.sent("a") == 0
    assert box.links["a"].in_flight == 0


async def test_the_answer_comes_before_the_deadline_whatever_the_plugins_do(box, until):
    async def deaf(message):
        while True:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                if gone.is_set():
                    raise

    gone = asyncio.Event()
    for name in "abcd":
        box.link(name, deaf)
    box.policy = ChainPolicy(max_unknown_failovers=9)
    began, delivery = box.clock.monotonic(), box.start(10.0)
    while not delivery.done():
        await until(lambda: box.clock.waiting or delivery.done())
        box.clock.advance(0.01)
        await asyncio.sleep(0)
    assert box.clock.monotonic() - began <= 10.0
    gone.set()
    for link in box.links.values():
        for zombie in list(link.standing.abandoned):
            zombie.cancel()
    await until(lambda: not any(link.zombies for link in box.links.values()))


# Writing ahead


async def test_the_journal_is_written_before_every_call(box, trail):
    order = []

    class NotedProvider(ScriptedProvider):
        async def send(self, message, *, timeout):
            order.append(f"send {self.name}")
            return await super().send(message, timeout=timeout)

    class OrderedJournal(type(box.journal)):
        async def sending(self, link, so_far, bill):
            order.append(f"sending {link.name}")
            return await super().sending(link, so_far, bill)

    box.journal = OrderedJournal()
    box.link("a").provider = NotedProvider("a", [Unavailable("x")])
    box.link("b").provider = NotedProvider("b")
    await box.deliver()
    assert order == ["sending a", "send a", "sending b", "send b"]
    assert [(name, trail(so_far)) for name, so_far in box.journal.calls] == [
        ("a", []),
        ("b", ["a:unavailable"]),
    ]


async def test_the_journal_hears_of_every_end_with_all_that_led_to_it(box, trail):
    box.link("a", Unavailable("x"))
    box.link("off", enabled=False)
    box.link("b")
    await box.deliver()
    assert [trail(attempts) for attempts in box.journal.ends] == [
        ["a:unavailable"],
        ["a:unavailable", "off:disabled", "b:accepted"],
    ]


async def test_the_journal_hears_of_the_end_of_a_panic_probe(box, trail):
    box.link("a")
    box.break_down("a")
    await box.deliver()
    assert [trail(attempts) for attempts in box.journal.ends] == [["a:circuit_open", "a:accepted"]]


async def test_a_skipped_provider_is_told_to_the_journal_with_the_next_call_only(box, trail):
    box.link("off", enabled=False)
    box.link("a")
    await box.deliver()
    assert [(name, trail(so_far)) for name, so_far in box.journal.calls] == [
        ("a", ["off:disabled"])
    ]


async def test_a_skip_that_comes_as_it_was_foreseen_is_not_told_anew(box, message, trail):
    box.link("a")
    box.link("b")
    box.break_down("a")
    foreseen, _ = box.chain.foresee(message)
    box.clock.advance(0.5)
    attempts = await box.chain.deliver(message, box.clock.monotonic() + 10.0, box.journal, foreseen)
    assert trail(attempts) == ["a:circuit_open", "b:accepted"]
    assert attempts[0] is foreseen[0]


async def test_all_the_skips_that_come_as_they_were_foreseen_are_not_told_anew(box, message):
    for name in "abcd":
        box.link(name)
    box.break_down("a", "b", "c")
    foreseen, _ = box.chain.foresee(message)
    attempts = await box.chain.deliver(message, box.clock.monotonic() + 10.0, box.journal, foreseen)
    assert all(one is other for one, other in zip(attempts, foreseen, strict=False))
    assert len(foreseen) == 3


async def test_a_skip_of_another_provider_than_was_foreseen_is_told_anew(box, message, trail):
    for name in "abc":
        box.link(name)
    box.break_down("a", "b")
    foreseen, _ = box.chain.foresee(message)
    deadline = box.clock.monotonic() + 10.0
    attempts = await box.chain.deliver(message, deadline, box.journal, foreseen[::-1])
    assert trail(attempts) == ["a:circuit_open", "b:circuit_open", "c:accepted"]


async def test_a_skip_for_another_reason_than_was_foreseen_is_told_anew(box, message, trail):
    box.link("a")
    box.link("b")
    box.break_down("a")
    foreseen, _ = box.chain.foresee(message)
    box.links["a"].enabled = False
    attempts = await box.chain.deliver(message, box.clock.monotonic() + 10.0, box.journal, foreseen)
    assert trail(attempts) == ["a:disabled", "b:accepted"]


async def test_a_skip_after_a_call_that_nobody_foresaw_is_told_anew(box, message, trail):
    async def slow(message):
        box.clock.advance(2.0)
        raise Unavailable("x")

    box.link("a", slow)
    box.link("b")
    box.link("c")
    box.break_down("a", "b")
    foreseen, _ = box.chain.foresee(message)
    box.links["a"].breaker.look_again()
    attempts = await box.chain.deliver(message, box.clock.monotonic() + 10.0, box.journal, foreseen)
    assert trail(attempts) == ["a:unavailable", "b:circuit_open", "c:accepted"]
    assert attempts[1].started_at == attempts[0].started_at + 2.0


async def test_what_cannot_be_written_ahead_is_not_sent(box, trail):
    box.journal.says = False
    box.link("a")
    box.link("b")
    box.break_down("b")
    box.clock.advance(60.0)
    assert trail(await box.deliver()) == ["a:log_unavailable", "b:log_unavailable"]
    assert (box.sent("a"), box.sent("b"), box.room.in_flight) == (0, 0, 0)
    assert box.links["b"].breaker.barred_by() is None, "the trial's permit was not given back"


async def test_a_journal_that_raises_leaves_nothing_held(box):
    box.journal.says = OSError("disk full")
    box.link("a")
    box.break_down("a")
    box.clock.advance(60.0)
    with pytest.raises(OSError, match="disk full"):
        await box.deliver()
    assert (box.sent("a"), box.room.in_flight, box.links["a"].in_flight) == (0, 0, 0)
    assert box.links["a"].breaker.barred_by() is None


# Cancelled from outside


@pytest.mark.parametrize("half_open", [False, True])
async def test_a_cancelled_delivery_gives_its_place_and_its_permit_back(box, until, half_open):
    async def never(message):
        await asyncio.get_running_loop().create_future()

    link = box.link("a", never)
    box.break_down("a")
    box.clock.advance(60.0 if half_open else 0.0)
    if not half_open:
        link.breaker.reset()
    delivery = box.start()
    await until(lambda: box.clock.waiting == 1)
    assert (link.in_flight, link.breaker.barred_by() is None) == (1, not half_open)
    delivery.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivery
    assert (link.in_flight, box.room.in_flight) == (0, 0)
    assert link.breaker.barred_by() is None
    assert link.breaker.state is (State.HALF_OPEN if half_open else State.CLOSED)
    await until(lambda: link.zombies == 0)


# What a chain foresees


async def test_the_first_link_whose_gates_are_open_is_foreseen_with_those_passed_by(box, trail):
    box.link("off", enabled=False)
    box.link("open")
    box.link("good")
    box.link("spare")
    box.break_down("open")
    passed_by, link = box.chain.foresee()
    assert trail(passed_by) == ["off:disabled", "open:circuit_open"]
    assert link is box.links["good"]
    assert trail(await box.deliver()) == ["off:disabled", "open:circuit_open", "good:accepted"]


async def test_to_foresee_changes_nothing(box):
    link = box.link("a")
    box.break_down("a")
    box.clock.advance(60.0)
    assert [box.chain.foresee() for _ in range(3)] == [((), link)] * 3
    assert (link.in_flight, box.room.in_flight, link.breaker.barred_by() is None) == (0, 0, True)


async def test_nobody_is_foreseen_where_every_gate_is_shut(box):
    box.link("off", enabled=False)
    box.link("open")
    box.break_down("open")
    assert box.chain.foresee() is None


async def test_nobody_is_foreseen_where_there_is_no_room_at_once(make_box):
    box = make_box(in_flight_per_provider=1)
    await box.room.enter(box.link("a"), 0.0)
    box.link("b")
    assert box.chain.foresee() is None


# What a chain says about its next opening


async def test_retry_after_is_the_time_until_the_first_gate_opens(box):
    box.link("off", enabled=False)
    box.link("isolated").breaker.isolate()
    box.link("throttled", Throttled("x", retry_after=40.0))
    box.link("open")
    box.break_down("open")
    await box.deliver()
    assert box.chain.retry_after() == 0.0, "a panic probe is due"
    box.chain.policy = ChainPolicy(panic=Panic.OFF)
    assert box.chain.retry_after() == pytest.approx(40.0)
    box.clock.advance(30.0)
    assert box.chain.retry_after() == pytest.approx(10.0)


async def test_retry_after_counts_the_second_between_panic_probes(box):
    box.link("open", Unavailable("x"))
    box.break_down("open")
    await box.deliver()
    assert box.chain.retry_after() == pytest.approx(1.0)


async def test_a_throttle_alone_is_no_panic(box):
    box.link("throttled", Throttled("x", retry_after=40.0))
    await box.deliver()
    assert box.chain.retry_after() == pytest.approx(40.0)


async def test_retry_after_is_none_where_only_a_person_can_open_a_gate(box):
    box.link("off", enabled=False)
    box.link("bare").provider = None
    box.link("isolated").breaker.isolate()
    assert box.chain.retry_after() is None


def test_a_chain_is_of_its_channel(box):
    assert box.chain.channel == "sms"


async def test_a_reason_to_skip_prints_as_its_word():
    assert f"{SkipReason.CIRCUIT_OPEN}" == "circuit_open"
