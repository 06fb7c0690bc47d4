"""What a class must keep to serve as a provider, checked before it is built."""

from __future__ import annotations

import inspect
from decimal import Decimal
from traceback import extract_tb
from typing import Any

from sidecar.delivery.provider import Provider
from sidecar.delivery.tariff import Tariff
from sidecar.delivery.whereabouts import name_of
from sidecar.settings import ProviderConfig


def breach_of(cls: type[Provider[Any]]) -> str | None:
    """What `cls` lacks of the contract, as the end of a sentence; None where it keeps it."""
    if cls.contract != Provider.contract:
        return f"is written for contract {cls.contract!r}, and this sidecar has {Provider.contract}"
    if isinstance(text := getattr(cls, "channels", None), str):
        return f"has a text as its `channels`: write `frozenset({{{text[:64]!r}}})`"
    if not isinstance(getattr(cls, "channels", None), frozenset | set | tuple | list):
        return "names no `channels`"
    if not _is_tariff(cls.tariff):
        return "has a `tariff` that is no Tariff of Decimal prices, of 0 or more"
    settings = getattr(cls, "Config", None)
    if not isinstance(settings, type) or not issubclass(settings, ProviderConfig):
        return "has a Config that does not extend ProviderConfig"
    if retyped := _retyped(settings):
        return f"has a Config that gives `{retyped}`, which every provider has, another type"
    if inspect.isabstract(cls):
        return f"lacks {', '.join(f'`{name}`' for name in sorted(cls.__abstractmethods__))}"
    try:
        inspect.signature(cls.send).bind(None, None, timeout=1.0)
    except (TypeError, ValueError):
        return "has a `send` that does not take (message, *, timeout)"
    return None


def _retyped(settings: type[ProviderConfig]) -> str | None:
    """A common key that is another one's there: the chain reckons with it, and would fail."""
    for name, common in ProviderConfig.model_fields.items():
        own = settings.model_fields.get(name)
        if name != "kind" and (own is None or own.annotation != common.annotation):
            return name
    return None


def _is_tariff(tariff: object) -> bool:
    """A price that cannot be reckoned with would fail every send."""
    if tariff is None:
        return True
    if not isinstance(tariff, Tariff):
        return False
    prices: list[object] = [*tariff.countries.values()]
    if tariff.price is not None:
        prices.append(tariff.price)
    return all(isinstance(one, Decimal) and one.is_finite() and one >= 0 for one in prices)


def in_one_line(error: BaseException) -> str:
    """A stranger's exception: its class and place. Its text may hold a secret; a module's name not.

    Raises nothing.
    """
    told = name_of(type(error))
    if isinstance(error, ImportError) and error.name:
        return f"{told}: {error.name}"
    if isinstance(error, SyntaxError):
        return f"{told} at {error.filename}:{error.lineno}"
    frames = extract_tb(error.__traceback__)
    return f"{told} at {frames[-1].filename}:{frames[-1].lineno}" if frames else told
