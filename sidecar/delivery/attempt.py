"""One call of one plugin, and the one place where its exceptions become values.

The plugin runs as a task of its own and is waited for with a bound: whatever it raises stays here,
and one that swallows its cancellation is abandoned.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from sidecar.delivery.arithmetic import own_arithmetic
from sidecar.delivery.breaker import Permit
from sidecar.delivery.discretion import discreet
from sidecar.delivery.errors import (
    CODE_LIMIT,
    REASON_LIMIT,
    DeliveryError,
    Rejected,
    Throttled,
    in_bounds,
)
from sidecar.delivery.link import Link
from sidecar.delivery.model import ZERO, Attempt, Bill, Message, Money, Outcome, Receipt
from sidecar.delivery.policy import RULES, Verdict
from sidecar.delivery.provider import Provider
from sidecar.delivery.whereabouts import name_of, whereabouts

GRACE = 0.1
"""Seconds past its timeout that a plugin gets to classify the end of its own connection."""
FAREWELL = 0.05
"""Seconds a cancelled plugin gets to end before it is abandoned."""
SECOND_LOOK = 1.0
"""Seconds, of those the attempt has left, to learn whether the credentials have changed."""
MESSAGE_ID_LIMIT = 256
_RAISABLE = set(Outcome) - {Outcome.ACCEPTED, Outcome.CRASHED, Outcome.SKIPPED}


class Result(NamedTuple):
    """What became of the call: an outcome and the facts that belong to it."""

    outcome: Outcome
    reason: str | None = None
    code: str | None = None
    message_id: str | None = None
    simulated: bool = False
    retry_after: float | None = None
    final: bool = False


async def attempt(
    link: Link, permit: Permit, message: Message, timeout: float, bill: Bill | None = None
) -> Attempt:
    """Call the provider of `link` once, within `timeout` seconds, and tell its breaker.

    `bill` is what it costs where the message may have been taken. Where the provider is
    `misconfigured`, its secrets are looked at once more before that: if they have changed
    meanwhile, the breaker hears nothing of the old ones. Never raises for anything a
    plugin does. Cancelled, it tells the breaker nothing: the caller gives the permit back.
    """
    clock = link.clock
    started_at, start = clock.time(), clock.monotonic()
    result = await _bounded(link, message, timeout)
    seconds = clock.monotonic() - start
    rule = RULES[result.outcome]
    verdict = rule.verdict
    if verdict is Verdict.MISCONFIGURED and await _were_rotated(link, timeout - seconds):
        verdict = Verdict.NEUTRAL
    transition = link.breaker.finish(permit, verdict, seconds)
    # By position: keywords cost as much again as the value itself.
    ended = Attempt(
        link.name,
        link.kind,
        result.outcome,
        started_at,
        seconds,
        discreet(result.reason, message, link.strike, REASON_LIMIT),
        discreet(result.code, message, link.strike, CODE_LIMIT),
        discreet(result.message_id, message, link.strike, MESSAGE_ID_LIMIT),
        result.simulated,
        _cost(bill, billed=rule.maybe_sent),
        link.breaker.summary(),
        result.final,
        transition,
        bill.units if bill is not None and rule.maybe_sent else 0,
    )
    link.heard(ended, result.retry_after)
    return ended


def _cost(bill: Bill | None, *, billed: bool) -> Money | None:
    if bill is None or bill.cost is None:
        return None
    return bill.cost if billed else Money(ZERO, bill.cost.currency)


async def _were_rotated(link: Link, left: float) -> bool:
    """Whether the credentials of `link` have changed since its provider was built."""
    if link.second_look is None or left <= 0:
        return False
    look = link.second_look()  # others may wait for the same one: it is never cancelled here
    return await link.clock.wait(look, min(left, SECOND_LOOK)) and look.result()


async def _bounded(link: Link, message: Message, timeout: float) -> Result:
    assert link.provider is not None, "a link without a provider gives no permit"
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    call = loop.create_task(
        _call(link.provider, message, timeout, over), name=f"attempt {link.name} {message.id}"
    )
    try:
        await link.clock.expect(over, timeout + GRACE)
        if call.done():
            return _result_of(call, link.provider)
        call.cancel()
        await link.clock.wait(call, FAREWELL)
        if _was_accepted(call):  # in the last moment, and without need for a second text
            return _result_of(call, link.provider)
        return Result(Outcome.UNKNOWN, f"no answer within {timeout:.1f} s")
    finally:
        if call.done():
            _retrieve(call)
        else:
            call.cancel()
            link.abandon(call)


async def _call(
    provider: Provider[Any], message: Message, timeout: float, over: asyncio.Future[None]
) -> Result:
    """The call. Its end sets `over`, one step of the loop before the task's callbacks would run.

    Where a plugin cancels the tasks of others before they begin, `over` comes with the timeout.
    """
    own_arithmetic()
    # BaseException: a SystemExit or KeyboardInterrupt that leaves a task stops the event loop.
    try:
        return _receipt_or_crash(await provider.send(message, timeout=timeout))
    except asyncio.CancelledError:
        raise
    except DeliveryError as error:
        return _judged(error, provider)
    except TimeoutError:
        return Result(Outcome.UNKNOWN, f"no answer within {timeout:.1f} s")
    except BaseException as error:  # noqa: BLE001
        return _crash(error, provider)
    finally:
        if not over.done():
            over.set_result(None)


def _judged(error: DeliveryError, provider: Provider[Any]) -> Result:
    try:
        return _result_of_error(error, provider)
    except BaseException:  # noqa: BLE001  # a field of a plugin's making may be missing, or raise
        return _crash(error, provider)


def _receipt_or_crash(answer: object) -> Result:
    if not isinstance(answer, Receipt):
        if asyncio.iscoroutine(answer):
            answer.close()  # else Python complains of it on stderr, later and from anywhere
        return Result(
            Outcome.CRASHED, f"the plugin returned {name_of(type(answer))}, not a Receipt"
        )
    # A plugin need not be typed. Each field is read once: a subclass may answer anew each time.
    message_id: object = answer.message_id
    simulated: object = answer.simulated
    plain = str.__str__(message_id) if isinstance(message_id, str) else ""
    if not _is_usable(plain):
        return Result(Outcome.CRASHED, "the plugin returned a Receipt without a usable message id")
    if not (simulated is True or simulated is False):
        return Result(Outcome.CRASHED, "the plugin returned a Receipt whose `simulated` is no bool")
    return Result(Outcome.ACCEPTED, None, None, plain, simulated)


def _is_usable(message_id: str) -> bool:
    # isprintable: a lone surrogate out of a vendor's JSON could be neither logged nor answered.
    return 0 < len(message_id) <= MESSAGE_ID_LIMIT and message_id.isprintable()


def _result_of_error(error: DeliveryError, provider: Provider[Any]) -> Result:
    # Each is read once. A text that equals a member would pass for it, and has no `value`.
    outcome = Outcome(error.outcome)
    if outcome not in _RAISABLE:
        return _crash(error, provider)
    reason, code = in_bounds(error.reason, error.code)  # again: a plugin may have set them
    return Result(
        outcome,
        reason,
        code,
        retry_after=_plain(error.retry_after) if isinstance(error, Throttled) else None,
        final=isinstance(error, Rejected) and error.final is True,
    )


def _plain(seconds: object) -> float | None:
    """A number without the methods that a subclass may have given it; None where it is none."""
    if isinstance(seconds, float):
        return float.__float__(seconds)
    return int.__int__(seconds) if isinstance(seconds, int) else None


def _was_accepted(call: asyncio.Task[Result]) -> bool:
    # A receipt alone is believed: what a plugin raises when it is cancelled tells of us, not of it.
    if not call.done() or call.cancelled() or call.exception() is not None:
        return False
    return call.result().outcome is Outcome.ACCEPTED


def _result_of(call: asyncio.Task[Result], provider: Provider[Any]) -> Result:
    if call.cancelled():  # not by us: the plugin cancelled itself
        return Result(Outcome.CRASHED, "the plugin cancelled its own call")
    error = call.exception()  # none: `_call` makes a result of all
    return call.result() if error is None else _crash(error, provider)


def _crash(error: BaseException, provider: Provider[Any]) -> Result:
    where = whereabouts(error, type(provider).__module__)
    return Result(Outcome.CRASHED, f"the plugin raised {name_of(type(error))}{where}")


def _retrieve(call: asyncio.Task[Result]) -> None:
    if not call.cancelled():
        call.exception()  # retrieved, so that asyncio does not print it
