"""One call of one plugin, and the one place where its exceptions become values.

The plugin runs as a task of its own and is waited for with a bound: whatever it raises stays here,
and one that swallows its cancellation is abandoned.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from sidecar.delivery.breaker import Permit
from sidecar.delivery.errors import DeliveryError, Rejected, Throttled
from sidecar.delivery.link import Link
from sidecar.delivery.model import Attempt, Message, Outcome, Receipt
from sidecar.delivery.policy import RULES
from sidecar.delivery.provider import Provider

GRACE = 0.1
"""Seconds past its timeout that a plugin gets to classify the end of its own connection."""
FAREWELL = 0.05
"""Seconds a cancelled plugin gets to end before it is abandoned."""
MESSAGE_ID_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the call: an outcome and the facts that belong to it."""

    outcome: Outcome
    reason: str | None = None
    code: str | None = None
    receipt: Receipt | None = None
    retry_after: float | None = None
    final: bool = False


async def attempt(link: Link, permit: Permit, message: Message, timeout: float) -> Attempt:
    """Call the provider of `link` once, within `timeout` seconds, and tell its breaker.

    Never raises for anything a plugin does. Cancelled, it tells the breaker nothing: the caller
    gives the permit back.
    """
    clock = link.clock
    started_at, start = clock.time(), clock.monotonic()
    result = await _bounded(link, message, timeout)
    seconds = clock.monotonic() - start
    ended = Attempt(
        provider=link.name,
        kind=link.kind,
        outcome=result.outcome,
        started_at=started_at,
        seconds=seconds,
        reason=result.reason,
        provider_code=result.code,
        provider_message_id=result.receipt.message_id if result.receipt else None,
        simulated=result.receipt.simulated if result.receipt else False,
        final=result.final,
        transition=link.breaker.finish(permit, RULES[result.outcome].verdict, seconds),
    )
    link.heard(ended, result.retry_after)
    return ended


async def _bounded(link: Link, message: Message, timeout: float) -> Result:
    assert link.provider is not None, "a link without a provider gives no permit"
    call = asyncio.create_task(
        _call(link.provider, message, timeout), name=f"attempt {link.name} {message.id}"
    )
    try:
        if await link.clock.wait(call, timeout + GRACE):
            return _result_of(call)
        call.cancel()
        if not await link.clock.wait(call, FAREWELL):
            _abandon(link, call)
        return Result(Outcome.UNKNOWN, f"no answer within {timeout:.1f} s")
    finally:
        call.cancel()


async def _call(provider: Provider[Any], message: Message, timeout: float) -> Result:
    # BaseException: a SystemExit or KeyboardInterrupt that leaves a task stops the event loop.
    try:
        return _receipt_or_crash(await provider.send(message, timeout=timeout))
    except asyncio.CancelledError:
        raise
    except DeliveryError as error:
        return _result_of_error(error)
    except TimeoutError:
        return Result(Outcome.UNKNOWN, f"no answer within {timeout:.1f} s")
    except BaseException as error:  # noqa: BLE001
        return Result(Outcome.CRASHED, f"the plugin raised {type(error).__name__}")


def _receipt_or_crash(answer: object) -> Result:
    if not isinstance(answer, Receipt):
        return Result(
            Outcome.CRASHED, f"the plugin returned {type(answer).__name__}, not a Receipt"
        )
    message_id = answer.message_id
    if not isinstance(message_id, str) or not 0 < len(message_id) <= MESSAGE_ID_LIMIT:
        return Result(Outcome.CRASHED, "the plugin returned a Receipt without a usable message id")
    return Result(Outcome.ACCEPTED, receipt=answer)


def _result_of_error(error: DeliveryError) -> Result:
    return Result(
        error.outcome,
        error.reason,
        error.code,
        retry_after=error.retry_after if isinstance(error, Throttled) else None,
        final=isinstance(error, Rejected) and error.final,
    )


def _result_of(call: asyncio.Task[Result]) -> Result:
    if call.cancelled():  # not by us: the plugin cancelled itself
        return Result(Outcome.CRASHED, "the plugin cancelled its own call")
    return call.result()


def _abandon(link: Link, call: asyncio.Task[Result]) -> None:
    link.zombies += 1

    def bury(late: asyncio.Task[Result]) -> None:
        link.zombies -= 1
        if not late.cancelled():
            late.exception()  # retrieved, so that asyncio does not print it

    call.add_done_callback(bury)
