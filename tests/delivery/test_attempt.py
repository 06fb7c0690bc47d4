"""Whatever a plugin does stays inside its attempt, and the attempt ends in time."""

import asyncio
import gc
from decimal import Decimal, getcontext

import pytest

from sidecar.delivery.attempt import attempt
from sidecar.delivery.breaker import State
from sidecar.delivery.errors import (
    DeliveryError,
    LocalFault,
    Misconfigured,
    Refused,
    Rejected,
    Throttled,
    Unavailable,
    Unknown,
)
from sidecar.delivery.model import Outcome, Receipt, Transition
from sidecar.testing import ScriptedProvider

CANARY = "+14155552671 739184620517"


@pytest.fixture
def run(box, message):
    """One attempt at a provider with this script, within four seconds."""

    async def run_attempt(*script, provider=None):
        link = box.links.get("p") or box.link("p", *script)
        if provider is not None:
            link.provider = provider
        permit = link.ask()
        return await attempt(link, permit, message, 4.0)

    return run_attempt


@pytest.mark.parametrize("simulated", [True, False])
async def test_a_receipt_is_an_acceptance(run, box, simulated):
    ended = await run(Receipt("SM1", simulated=simulated))
    assert (ended.outcome, ended.provider_message_id) == (Outcome.ACCEPTED, "SM1")
    assert (ended.simulated, ended.final) == (simulated, False)
    assert ended.circuit == "closed 0/5"
    assert box.links["p"].last_success_at == 1000.0
    assert box.links["p"].zombies == 0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Rejected("no such number", code=21211), "rejected"),
        (Refused("region not enabled", code=21211), "refused"),
        (Throttled("slow down", code=21211), "throttled"),
        (Unavailable("it failed", code=21211), "unavailable"),
        (Unknown("no answer", code=21211), "unknown"),
        (Misconfigured("bad key", code=21211), "misconfigured"),
        (LocalFault("no descriptor", code=21211), "local"),
    ],
)
async def test_an_error_of_the_contract_becomes_its_outcome(run, box, error, outcome):
    ended = await run(error)
    assert (ended.outcome, ended.reason, ended.provider_code) == (outcome, error.reason, "21211")
    assert box.links["p"].last_error == ended


async def test_a_plugin_cannot_make_our_sums_less_exact(run, message):
    class Rounder(ScriptedProvider):
        async def send(self, message, *, timeout):
            getcontext().prec = 1
            return await super().send(message, timeout=timeout)

    price = Decimal("0.0083") + 0  # the test's context is there, and the call's is its copy
    await run(provider=Rounder("p", [Receipt("SM1")]))
    assert price + 1 == Decimal("1.0083")


async def test_a_rejection_keeps_its_finality(run):
    assert (await run(Rejected("withdrew consent", final=True))).final


async def test_a_throttling_is_remembered_for_as_long_as_it_asked(run, box):
    await run(Throttled("slow down", retry_after=7.0))
    assert box.links["p"].throttled_for() == 7.0


async def test_of_two_throttlings_at_once_the_longer_one_holds(box, message):
    link = box.link("p", Throttled("slow", retry_after=100.0), Throttled("slow", retry_after=7.0))
    for permit in [link.ask(), link.ask()]:
        await attempt(link, permit, message, 4.0)
    assert link.throttled_for() == 100.0


class Foreign(Exception):
    pass


class LastWord(BaseException):
    pass


def recurse(message):
    return recurse(message)


def raising(error):
    def step(message):
        raise error

    return step


@pytest.mark.parametrize(
    "error",
    [
        Foreign(CANARY),
        LastWord(CANARY),
        SystemExit(CANARY),
        KeyboardInterrupt(CANARY),
        GeneratorExit(CANARY),
        RecursionError(CANARY),
        StopIteration(CANARY),
        MemoryError(CANARY),
        ExceptionGroup(CANARY, [Unavailable(CANARY)]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_anything_foreign_that_is_raised_is_a_crash(run, box, error):
    ended = await run(raising(error))
    assert ended.outcome is Outcome.CRASHED
    assert (ended.simulated, ended.final) == (False, False)
    assert "739184620517" not in repr(ended), "the text of a foreign exception may carry a code"
    assert box.links["p"].breaker.consecutive_failures == 1


async def test_a_real_recursion_without_end_is_a_crash(run):
    ended = await run(recurse)
    assert ended.outcome is Outcome.CRASHED
    assert ended.reason.startswith("the plugin raised RecursionError at ")


class Bare(DeliveryError):
    """A base that names no outcome."""


class Boastful(DeliveryError):
    outcome = Outcome.ACCEPTED


class Careless(Unavailable):
    def __init__(self):
        """Leave the fields of the base out."""


class Evasive(Unavailable):
    def __init__(self):
        """Leave it to the properties."""

    @property
    def reason(self):
        raise RuntimeError(CANARY)


@pytest.mark.parametrize("error", [Bare("x"), Boastful("x"), Careless(), Evasive()], ids=repr)
async def test_an_error_of_the_plugins_own_making_without_its_fields_is_a_crash(run, error):
    ended = await run(error)
    assert (ended.outcome, ended.provider_message_id) == (Outcome.CRASHED, None)


@pytest.mark.parametrize("outcome", [Outcome.CRASHED, Outcome.SKIPPED])
async def test_an_outcome_that_no_plugin_may_claim_is_a_crash(run, outcome):
    error = Boastful("x")
    error.outcome = outcome
    ended = await run(error)
    assert ended.outcome is Outcome.CRASHED
    assert ended.reason.startswith("the plugin raised Boastful")


class Odd(DeliveryError):
    """An error whose outcome is a text, as a plugin that is not typed may have it."""

    outcome = "unavailable"


async def test_an_outcome_that_is_told_as_a_text_is_the_outcome(run, box):
    ended = await run(Odd("x"))
    assert type(ended.outcome) is Outcome
    assert ended.outcome is Outcome.UNAVAILABLE
    assert box.links["p"].last_error.outcome.value == "unavailable"


@pytest.mark.parametrize("outcome", ["accepted", "no such", 7, [], None])
async def test_an_outcome_that_is_none_is_a_crash(run, outcome):
    error = Odd("x")
    error.outcome = outcome
    ended = await run(error)
    assert ended.outcome is Outcome.CRASHED
    assert ended.reason.startswith("the plugin raised Odd")


class Fickle(DeliveryError):
    """An error that answers anew each time it is asked."""

    answers = ()

    @property
    def outcome(self):
        self.answers = self.answers or [Outcome.UNAVAILABLE, Outcome.ACCEPTED, Outcome.CRASHED]
        return self.answers.pop(0)


async def test_the_outcome_is_asked_for_once(run):
    assert (await run(Fickle("x"))).outcome is Outcome.UNAVAILABLE


class Exits(Unavailable):
    @property
    def outcome(self):
        raise SystemExit(CANARY)


async def test_an_outcome_that_exits_is_a_crash(run):
    ended = await run(Exits("x"))
    assert ended.outcome is Outcome.CRASHED
    assert ended.reason.startswith("the plugin raised Exits")


class Liar(str):
    """A text that says of itself what it likes."""

    __slots__ = ()

    def __str__(self):
        return self

    def __contains__(self, part):
        return False

    def __len__(self):
        return 5

    def __iter__(self):
        raise SystemExit(CANARY)

    def __getitem__(self, key):
        return self

    def isprintable(self):
        return True

    def casefold(self):
        raise SystemExit(CANARY)


async def test_a_message_id_is_rebuilt_as_a_plain_text(run):
    ended = await run(Receipt(Liar("SM1")))
    assert (type(ended.provider_message_id), ended.provider_message_id) == (str, "SM1")


@pytest.mark.parametrize("text", ["", "x" * 257, "a\nb", "id-\ud800"])
async def test_what_a_message_id_says_of_itself_is_not_believed(run, text):
    ended = await run(Receipt(Liar(text)))
    assert ended.reason == "the plugin returned a Receipt without a usable message id"


async def test_a_message_id_that_hides_the_recipient_is_withheld(run, message):
    assert (await run(Receipt(Liar(f"id-{message.to}")))).provider_message_id == "withheld"


async def test_a_reason_and_a_code_are_rebuilt_as_plain_texts(run, message):
    error = Unavailable("x")
    error.reason, error.code = Liar("no\nroute" + "!" * 300), Liar("E1\x1b")
    telling = Unavailable("x")
    telling.reason = Liar(f"no luck with {message.to}")
    ended = await run(error, telling)
    assert (type(ended.reason), type(ended.provider_code)) == (str, str)
    assert (ended.reason, ended.provider_code) == ("no route" + "!" * 192, "E1")
    assert (await run()).reason == "withheld"


class Number(float):
    def __gt__(self, other):
        raise SystemExit(CANARY)

    __lt__ = __float__ = __gt__


class Whole(int):
    def __gt__(self, other):
        raise SystemExit(CANARY)

    __lt__ = __int__ = __gt__


@pytest.mark.parametrize("seconds", [Number(3), Whole(3)])
async def test_the_seconds_of_a_throttling_are_a_plain_number(run, box, seconds):
    ended = await run(Throttled("slow down", retry_after=seconds))
    assert ended.outcome is Outcome.THROTTLED
    assert box.links["p"].throttled_for() == 3.0


class Hides(type):
    @property
    def __name__(cls):
        raise SystemExit(CANARY)


NAMES = {
    "long": (type("E" * 5_000_000, (Exception,), {}), "E" * 120),
    "unclean": (type("E\n\x1b[31m", (Exception,), {}), "E??[31m"),
    "hidden": (Hides("Hidden", (Exception,), {}), "Hidden"),
    "lying": (type(Liar("Lying"), (Exception,), {}), "Lying"),
}


@pytest.mark.parametrize("kind", NAMES)
async def test_the_name_of_a_class_is_told_cleanly_and_cut_to_size(run, kind):
    cls, told = NAMES[kind]
    ended = await run(raising(cls()), lambda message: cls())
    assert ended.reason.partition(" at ")[0] == f"the plugin raised {told}"
    ended = await run()
    assert ended.reason == f"the plugin returned {told}, not a Receipt"


@pytest.mark.parametrize("simulated", [None, 1, "yes"])
async def test_a_receipt_that_does_not_say_whether_it_is_simulated_is_a_crash(run, simulated):
    ended = await run(Receipt("SM1", simulated=simulated))
    assert ended.outcome is Outcome.CRASHED
    assert ended.reason == "the plugin returned a Receipt whose `simulated` is no bool"


async def test_the_shortest_usable_message_id(run):
    assert (await run(Receipt("x"))).outcome is Outcome.ACCEPTED


async def test_the_attempt_that_opens_the_circuit_says_so(box, message):
    link = box.link("p", *[Unavailable("x")] * 5)
    ended = [await attempt(link, link.ask(), message, 4.0) for _ in range(5)]
    assert [a.transition for a in ended[:4]] == [None] * 4
    assert ended[4].transition == Transition("closed", "open", "5 consecutive failures")
    assert ended[4].circuit == "open 5/5"


async def test_a_throttling_with_a_time_that_is_no_number_is_still_a_throttling(run, box):
    ended = await run(Throttled("slow down", retry_after="soon"))
    assert ended.outcome is Outcome.THROTTLED
    assert box.links["p"].throttled_for() == 5.0


async def test_a_timeout_that_the_plugin_raises_is_unknown(run):
    ended = await run(TimeoutError(CANARY))
    assert (ended.outcome, ended.reason) == (Outcome.UNKNOWN, "no answer within 4.0 s")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        True,
        "SM1",
        {"sid": "SM1"},
        (Receipt("SM1"),),
        Receipt,
        Receipt(""),
        Receipt(None),
        Receipt(4711),
        Receipt(b"SM1"),
        Receipt("x" * 257),
        Receipt("x" * 5_000_000),
        Receipt("a\nb"),
        Receipt("\ud800"),
    ],
    ids=lambda answer: repr(answer)[:30].encode("ascii", "replace").decode(),
)
async def test_an_answer_that_is_no_usable_receipt_is_a_crash(run, answer):
    ended = await run(lambda message: answer)
    assert (ended.outcome, ended.provider_message_id) == (Outcome.CRASHED, None)
    assert len(ended.reason) < 100
    if isinstance(answer, Receipt):
        assert ended.reason == "the plugin returned a Receipt without a usable message id"


async def test_the_longest_usable_message_id(run):
    assert (await run(Receipt("x" * 256))).outcome is Outcome.ACCEPTED


class ReturnsACoroutine(ScriptedProvider):
    async def send(self, message, *, timeout):
        self.inner = super().send(message, timeout=timeout)
        return self.inner


async def test_a_coroutine_that_was_not_awaited_is_a_crash(run):
    provider = ReturnsACoroutine()
    ended = await run(provider=provider)
    provider.inner.close()
    assert (ended.outcome, ended.reason) == (
        "crashed",
        "the plugin returned coroutine, not a Receipt",
    )


class NotAsync(ScriptedProvider):
    def send(self, message, *, timeout):
        return Receipt("SM1")


async def test_a_send_that_is_not_async_is_a_crash(run):
    assert (await run(provider=NotAsync())).outcome is Outcome.CRASHED


class AnotherSignature(ScriptedProvider):
    async def send(self, message):
        return Receipt("SM1")


async def test_a_send_with_another_signature_is_a_crash(run):
    assert (await run(provider=AnotherSignature())).outcome is Outcome.CRASHED


async def cancels_itself(message):
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize("step", [cancels_itself, raising(asyncio.CancelledError())])
async def test_a_plugin_that_cancels_itself_crashed_and_cancels_nobody_else(run, step):
    ended = await run(step)
    assert (ended.outcome, ended.reason) == ("crashed", "the plugin cancelled its own call")


class Timed(ScriptedProvider):
    async def send(self, message, *, timeout):
        self.timeout = timeout
        return await super().send(message, timeout=timeout)


async def test_the_plugin_is_told_its_time(run):
    provider = Timed()
    await run(provider=provider)
    assert provider.timeout == 4.0


async def test_the_attempt_says_when_it_began_and_how_long_it_took(run, box):
    def slow(message):
        box.clock.advance(2.5)
        return Receipt("SM1")

    ended = await run(slow)
    assert (ended.started_at, ended.seconds) == (1000.0, 2.5)


# Time


async def never(message):
    await asyncio.get_running_loop().create_future()


async def test_a_plugin_that_never_returns_ends_at_its_time_as_unknown(run, box, until, settle):
    printed = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: printed.append(context))
    ended = asyncio.create_task(run(never))
    await until(lambda: box.clock.waiting == 1)
    box.clock.advance(4.0)
    await settle()
    assert not ended.done(), "it gets a moment to say how its own connection ended"
    box.clock.advance(0.1)
    assert (await ended).outcome is Outcome.UNKNOWN
    assert (await ended).reason == "no answer within 4.0 s"
    assert box.links["p"].zombies == 0
    assert printed == []


async def test_a_plugin_that_bounds_itself_is_believed(run, box, until, settle):
    gone = asyncio.Event()

    async def times_out(message):
        await gone.wait()
        raise Unavailable("no connection within the time for connecting")

    ended = asyncio.create_task(run(times_out))
    await until(lambda: box.clock.waiting == 1)
    box.clock.advance(4.05)
    await settle()
    gone.set()
    assert (await ended).outcome is Outcome.UNAVAILABLE


class Deaf:
    """A step that swallows its cancellation until it is let go."""

    def __init__(self, end=lambda: Receipt("late")):
        self.end = end
        self.let_go = asyncio.Event()
        self.cancelled = 0

    async def __call__(self, message):
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
        return self.end()


async def abandoned(run, box, until, deaf):
    ended = asyncio.create_task(run(deaf.__call__))
    await until(lambda: box.clock.waiting == 1)
    box.clock.advance(4.1)
    await until(lambda: deaf.cancelled > 0)
    box.clock.advance(0.05)
    return await ended


async def test_a_plugin_that_swallows_its_cancellation_is_abandoned_and_counted(run, box, until):
    deaf, link = Deaf(), box.link("p")
    link.provider.script.append(deaf.__call__)
    ended = await abandoned(run, box, until, deaf)
    assert (ended.outcome, link.zombies) == (Outcome.UNKNOWN, 1)
    assert ended.seconds == pytest.approx(4.15)
    gc.collect()
    assert link.zombies == 1, "nobody else holds the task: it must not vanish uncounted"
    deaf.let_go.set()
    await until(lambda: link.zombies == 0)
    assert link.last_success_at is None, "a late receipt is no success"
    assert link.breaker.consecutive_failures == 1


@pytest.mark.parametrize("end", [raising(Foreign(CANARY)), raising(SystemExit(1))])
async def test_what_a_zombie_raises_at_its_end_is_not_printed(run, box, until, end):
    printed = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: printed.append(context))
    deaf = Deaf(lambda: end(None))
    box.link("p").provider.script.append(deaf.__call__)
    await abandoned(run, box, until, deaf)
    deaf.let_go.set()
    await until(lambda: box.links["p"].zombies == 0)
    gc.collect()
    assert printed == []


@pytest.mark.parametrize(
    "late", [Unavailable("x"), Careless(), Receipt("late"), "rubbish"], ids=repr
)
async def test_after_the_cancellation_a_receipt_alone_is_believed(run, box, until, late):
    printed = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: printed.append(context))

    async def speaks_up(message):
        try:
            await never(message)
        except asyncio.CancelledError:
            if isinstance(late, Exception):
                raise late from None
            return late

    ended = asyncio.create_task(run(speaks_up))
    await until(lambda: box.clock.waiting == 1)
    box.clock.advance(4.1)
    believed = isinstance(late, Receipt)
    assert (await ended).outcome is (Outcome.ACCEPTED if believed else Outcome.UNKNOWN)
    assert box.links["p"].zombies == 0
    gc.collect()
    assert printed == []


async def test_a_cancelled_plugin_has_a_moment_to_close_its_connection(run, box, until):
    async def closes(message):
        try:
            await never(message)
        except asyncio.CancelledError:
            for _ in range(20):
                await asyncio.sleep(0)
            return Receipt("late")

    ended = asyncio.create_task(run(closes))
    await until(lambda: box.clock.waiting == 1)
    box.clock.advance(4.1)
    assert (await ended).outcome is Outcome.ACCEPTED
    assert box.links["p"].zombies == 0


# Our own cancellation


async def test_our_own_cancellation_reaches_the_plugin_and_no_breaker(run, box, until):
    heard = []

    async def listens(message):
        try:
            await never(message)
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    running = asyncio.create_task(run(listens))
    await until(lambda: box.clock.waiting == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: heard == ["cancelled"] and box.links["p"].zombies == 0)
    assert box.links["p"].breaker.consecutive_failures == 0
    assert box.links["p"].last_error is None


async def test_a_deaf_plugin_that_we_cancel_is_counted_until_its_end(run, box, until):
    deaf, link = Deaf(), box.link("p")
    link.provider.script.append(deaf.__call__)
    running = asyncio.create_task(run())
    await until(lambda: box.clock.waiting == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: deaf.cancelled > 0)
    assert link.zombies == 1
    deaf.let_go.set()
    await until(lambda: link.zombies == 0)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Rejected("x"), State.CLOSED),
        (Throttled("x"), State.CLOSED),
        (Refused("x"), State.CLOSED),
        (LocalFault("x"), State.CLOSED),
        (Unavailable("x"), State.OPEN),
        (Unknown("x"), State.OPEN),
    ],
    ids=lambda x: type(x).__name__,
)
async def test_what_a_hundred_of_them_do_to_the_breaker(box, message, error, state):
    link = box.link("p", *[error] * 100)
    for _ in range(100):
        permit = link.breaker.start(5.0)
        if permit is None:
            break
        await attempt(link, permit, message, 4.0)
    assert link.breaker.state is state


async def test_a_coroutine_that_is_returned_is_closed_and_is_no_receipt(run):
    async def never_awaited():
        """Python would complain of it on stderr, later and from anywhere."""

    returned = never_awaited()

    async def send(_message):
        return returned

    ended = await run(send)
    assert (ended.outcome, ended.reason) == (
        Outcome.CRASHED,
        "the plugin returned coroutine, not a Receipt",
    )
    assert returned.cr_frame is None


async def test_an_error_whose_reason_is_no_text_is_a_crash(run):
    error = Unavailable("x")
    error.reason = 7
    assert (await run(error)).reason.startswith("the plugin raised Unavailable")


async def test_what_is_no_receipt_is_named_by_its_class(run):
    async def send(_message):
        return {"id": "m-1"}

    assert (await run(send)).reason == "the plugin returned dict, not a Receipt"
