"""What a class must keep to serve as a provider, checked before it is built."""

from __future__ import annotations

import inspect
from traceback import extract_tb
from typing import Any

from sidecar.delivery.provider import Provider
from sidecar.settings import ProviderConfig


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
    """A stranger's exception: its class and place. Its text may hold a secret; a module's name not.

    Raises nothing.
    """
    told = type(error).__name__
    if isinstance(error, ImportError) and error.name:
        return f"{told}: {error.name}"
    if isinstance(error, SyntaxError):
        return f"{told} at {error.filename}:{error.lineno}"
    frames = extract_tb(error.__traceback__)
    return f"{told} at {frames[-1].filename}:{frames[-1].lineno}" if frames else told
