"""Opening and closing providers: each within its time, and whatever it raises stays here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog

from sidecar.delivery.link import Link
from sidecar.delivery.provider import Provider
from sidecar.world import why_broken

OPEN_TIME = 5.0
"""Seconds a provider has to open; a slower one is left out, visibly."""
CLOSE_TIME = 2.0
"""Seconds a provider has to close."""


async def open_all(links: Iterable[Link]) -> None:
    """Open the providers of `links`, all at once; one that cannot is left out (`Link.broken`)."""
    await asyncio.gather(*(_open(link) for link in links))


async def close_all(providers: Iterable[Provider[Any]]) -> None:
    """Close them, all at once."""
    await asyncio.gather(*(_close(provider) for provider in providers))


async def _open(link: Link) -> None:
    if link.provider is None:
        return
    opening = asyncio.create_task(_enter(link.provider), name=f"open {link.name}")
    # asyncio.wait: one that swallows its cancellation must not hold up the others.
    done, _ = await asyncio.wait({opening}, timeout=OPEN_TIME)
    if not done:
        opening.cancel()
        fault = f"it did not open within {OPEN_TIME:.0f} s"
    else:
        fault = "it cancelled its own opening" if opening.cancelled() else opening.result()
    if fault:
        link.provider, link.broken = None, fault


async def _enter(provider: Provider[Any]) -> str:
    """Why the provider cannot open; an empty text where it did."""
    try:
        await provider.__aenter__()
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  # a guest that cannot open is left out
        return why_broken(error)
    return ""


async def _close(provider: Provider[Any]) -> None:
    closing = asyncio.create_task(_leave(provider), name=f"close {provider.name}")
    done, _ = await asyncio.wait({closing}, timeout=CLOSE_TIME)
    if not done or closing.cancelled() or not closing.result():
        structlog.get_logger().warning("provider_close_failed", provider=provider.name)


async def _leave(provider: Provider[Any]) -> bool:
    try:
        await provider.__aexit__(None, None, None)
    except asyncio.CancelledError:
        raise
    except BaseException:  # noqa: BLE001  # SystemExit in a task would end the event loop
        return False
    return True
