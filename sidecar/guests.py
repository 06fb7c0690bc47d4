"""A plugin's calls outside of an attempt, each bounded, with whatever it raises kept inside.

Opening and closing run as tasks of their own, waited for and then abandoned, like an attempt: a
plugin that swallows its cancellation holds up neither the start nor the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog

from sidecar import logs
from sidecar.delivery.arithmetic import own_arithmetic
from sidecar.delivery.clock import Clock
from sidecar.delivery.errors import CODE_LIMIT, REASON_LIMIT, DeliveryError
from sidecar.delivery.link import Link
from sidecar.delivery.provider import InboxItem, Provider
from sidecar.delivery.whereabouts import name_of, whereabouts

PROVIDER_OPEN = 5.0
"""Seconds a provider has to open at start; a slower one is left out, visibly."""
PROVIDER_CLOSE = 2.0
"""Seconds a provider has to close."""

Ended = BaseException | None
"""How a guest's call ended; None where it was fine."""


class Slow(Exception):
    """It did not end in its time, and runs on or was cut off."""


async def open_all(links: Iterable[Link]) -> None:
    """Open the providers of `links`, all at once; one that cannot is left out (`Link.broken`)."""
    # No task of ours between: a guest may cancel all there are, and the main task refuses that.
    opening = [
        (link, link.provider, _begun(link.provider.__aenter__, f"open {link.name}"))
        for link in links
        if link.provider is not None
    ]
    tasks = [task for *_, task in opening]
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=PROVIDER_OPEN)
    finally:
        for task in tasks:
            task.cancel()
    for link, provider, task in opening:
        if (ended := _how(task)) is not None:
            link.provider, link.broken = None, why_broken(ended, type(provider))


async def close_all(providers: Iterable[Provider[Any]]) -> None:
    """Close them, all at once, or go on without them after `PROVIDER_CLOSE` seconds."""
    await asyncio.gather(*(_close(provider) for provider in providers))


async def _close(provider: Provider[Any]) -> None:
    ended = await bounded(
        lambda: provider.__aexit__(None, None, None), f"close {provider.name}", PROVIDER_CLOSE
    )
    if ended is not None:
        structlog.get_logger().warning(
            "provider_close_failed", provider=provider.name, error=named(ended, type(provider))
        )


def why_broken(error: BaseException, cls: type[Provider[Any]] | None = None) -> str:
    """Why a provider could not be started, in words that are safe to show.

    `cls` is its class, where that is known.
    """
    if isinstance(error, Slow):
        return f"it did not open within {PROVIDER_OPEN:.0f} s"
    reason = getattr(error, "reason", None) if isinstance(error, DeliveryError) else None
    told = logs.redactor.clean(reason if isinstance(reason, str) else named(error, cls))
    return told[:REASON_LIMIT]


def why_refused(error: DeliveryError) -> str:
    """As `why_broken`, with the provider's own code behind it where there is one."""
    code = getattr(error, "code", None)  # a plugin need not have made one
    told = logs.redactor.clean(code)[:CODE_LIMIT] if isinstance(code, str) else ""
    return f"{why_broken(error)} ({told})" if told else why_broken(error)


def named(error: BaseException, cls: type[Provider[Any]] | None) -> str:
    """Its class, and where in the plugin of `cls` it came from; its text may hold a secret."""
    return f"{name_of(type(error))}{whereabouts(error, cls.__module__ if cls else '')}"


def inbox_of(link: Link) -> Sequence[InboxItem] | None:
    """What the provider of `link` keeps for reading back; None where it keeps nothing or fails."""
    if link.provider is None:
        return None
    try:
        items = link.provider.inbox()
        return None if items is None else [_checked(item) for item in items]
    except BaseException as error:  # noqa: BLE001  # a SystemExit in a handler ends the event loop
        told = named(error, type(link.provider))
        structlog.get_logger().error("inbox_failed", provider=link.name, error=told)
        return None


async def bounded(
    call: Callable[[], Awaitable[object]], name: str, seconds: float, clock: Clock | None = None
) -> Ended:
    """Run what `call()` gives as a task called `name`; what it raised, `Slow` or None."""
    task = _begun(call, name)
    try:
        if clock is None:
            await asyncio.wait({task}, timeout=seconds)
        else:
            await clock.wait(task, seconds)
    finally:
        if not task.done():
            task.cancel()
    return _how(task)


def _begun(call: Callable[[], Awaitable[object]], name: str) -> asyncio.Task[Ended]:
    return asyncio.create_task(_kept_inside(call), name=name)


def _how(task: asyncio.Task[Ended]) -> Ended:
    if not task.done():
        return Slow()
    return asyncio.CancelledError() if task.cancelled() else task.result()


async def _kept_inside(call: Callable[[], Awaitable[object]]) -> Ended:
    own_arithmetic()
    try:
        await call()
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  # SystemExit in a task would end the event loop
        return error
    return None


def _checked(item: Any) -> InboxItem:
    texts = (item.id, item.channel, item.to, item.text, item.subject or "")
    if not isinstance(item, InboxItem) or not all(isinstance(text, str) for text in texts):
        raise TypeError
    if isinstance(item.at, bool) or not isinstance(item.at, int | float):
        raise TypeError
    return item
