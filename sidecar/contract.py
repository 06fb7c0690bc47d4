"""What a class must keep to serve as a provider, checked before it is built."""

from __future__ import annotations

import inspect
from typing import Any

from sidecar.delivery.provider import Provider
from sidecar.settings import ProviderConfig

WORDS_LIMIT = 300
"""Characters of a stranger's words that go into a line of ours."""


def breach_of(cls: type[Provider[Any]]) -> str | None:
    """What `cls` lacks of the contract, as the end of a sentence; None where it keeps it."""
    if cls.contract != Provider.contract:
        return f"is written for contract {cls.contract!r}, and this sidecar has {Provider.contract}"
    if not isinstance(getattr(cls, "channels", None), frozenset | set | tuple | list):
        return "names no `channels`"
    settings = getattr(cls, "Config", None)
    if not isinstance(settings, type) or not issubclass(settings, ProviderConfig):
        return "has a Config that does not extend ProviderConfig"
    if inspect.isabstract(cls):
        return f"lacks {', '.join(f'`{name}`' for name in sorted(cls.__abstractmethods__))}"
    try:
        inspect.signature(cls.send).bind(None, None, timeout=1.0)
    except (TypeError, ValueError):
        return "has a `send` that does not take (message, *, timeout)"
    return None


def in_one_line(error: BaseException) -> str:
    """A stranger's exception as `Class: its words`, on one line and cut."""
    try:
        words = str(error)
    except Exception:  # noqa: BLE001  # its own __str__ is a stranger's code too
        words = ""
    told = " ".join(f"{type(error).__name__}: {words}".split())
    return told[:WORDS_LIMIT].removesuffix(":")
