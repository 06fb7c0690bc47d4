"""The effective configuration, for `config show`: defaults filled in, secrets struck out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from pydantic import SecretStr

from sidecar.config.draft import Draft, place_of
from sidecar.config.faults import KeyPath, dotted
from sidecar.config.loaded import Config, ProviderSection
from sidecar.config.words import SHORTEST_SECRET
from sidecar.delivery.model import Money
from sidecar.delivery.tariff import Per, Tariff

HIDDEN = "***"


def effective(config: Config) -> dict[str, Any]:
    """Every section as the file could say it in full, and `origins` by dotted path.

    Plain lists, mappings and scalars: it can be dumped as YAML or JSON. Durations are in seconds.
    """
    sections = {key: _struck(one, (key,), config.hidden) for key, one in _sections(config).items()}
    return {**sections, "origins": dict(config.origins)}


def hidden_in(config: Config, draft: Draft) -> frozenset[str]:
    """The dotted paths of values that sources of secrets gave: nothing of them is shown."""
    fetched = draft.expansion.references
    if not fetched:  # as nearly always, and a start should not pay for it
        return frozenset()
    return frozenset(
        dotted(path)
        for path in _leaf_paths(_sections(config), ())
        if not fetched.keys().isdisjoint((path, *_elsewhere(path)))
    )


def _struck(value: Any, path: KeyPath, hidden: frozenset[str]) -> Any:
    if not hidden or (isinstance(value, dict | list) and not value):
        return value
    if isinstance(value, dict):
        return {key: _struck(item, (*path, key), hidden) for key, item in value.items()}
    if isinstance(value, list):
        return [_struck(item, (*path, n), hidden) for n, item in enumerate(value)]
    return HIDDEN if dotted(path) in hidden else value


def origins_of(config: Config, draft: Draft) -> dict[str, str]:
    """Where every value of the effective configuration came from, by dotted path."""
    return {
        dotted(path): _origin(path, draft, config.path.name)
        for path in _leaf_paths(_sections(config), ())
        if path[2:3] != ("missing",)
    }


def _origin(path: KeyPath, draft: Draft, file: str) -> str:
    for candidate in (path, *_elsewhere(path)):
        found = place_of(draft, file, candidate)
        if found is not None:
            return found
    return "default"


def _elsewhere(path: KeyPath) -> Iterator[KeyPath]:
    match path:
        case ("chains", channel, "providers", *rest):
            yield ("chains", channel, *rest)
        case ("providers", _, "breaker", *rest):
            yield ("breaker", *rest)
        case ("alerts", "secret", *_):
            yield ("alerts", "secret")


def _sections(config: Config) -> dict[str, Any]:
    secrets = frozenset(text for text in config.secrets if len(text) >= SHORTEST_SECRET)
    providers = {name: _provider(section) for name, section in config.providers.items()}
    chains = {channel: chain.model_dump() for channel, chain in config.chains.items()}
    sections = {
        "version": 1,
        "environment": config.environment,
        "server": config.server.model_dump(),
        "log": config.log.model_dump(),
        "limits": config.limits.model_dump(),
        "breaker": config.breaker.model_dump(),
        "budget": None if config.budget is None else config.budget.model_dump(),
        "alerts": config.alerts.model_dump(),
        "preflight": config.preflight.model_dump(),
        "http_client": config.http_client,
        "secrets": {"refresh": config.refresh},
        "providers": providers,
        "chains": chains,
    }
    return {key: _plain(value, secrets) for key, value in sections.items()}


def _provider(section: ProviderSection) -> dict[str, Any]:
    common = {
        "kind": section.kind,
        "optional": section.optional,
        "enabled": section.enabled,
        "timeout": section.timeout,
    }
    if section.settings is not None:
        common |= section.settings.model_dump()
    else:
        common["missing"] = section.missing
    return {**common, "breaker": section.breaker.model_dump(), "price": _price(section.tariff)}


def _price(tariff: Tariff | None) -> dict[str, Any] | None:
    """The tariff in effect, as `price:` says it."""
    if tariff is None:
        return None
    unit = None if tariff.price is None else str(Money(tariff.price, tariff.currency))
    return {
        "per_message": unit if tariff.per is Per.MESSAGE else None,
        "per_segment": unit if tariff.per is Per.SEGMENT else None,
        "countries": {
            name: str(Money(price, tariff.currency)) for name, price in tariff.countries.items()
        },
        "free_per_month": tariff.free_per_month,
    }


def _plain(value: Any, secrets: frozenset[str]) -> Any:
    match value:
        case SecretStr():
            return HIDDEN
        case Enum():
            return _plain(value.value, secrets)
        case Mapping():
            return {str(key): _plain(item, secrets) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item, secrets) for item in value]
        case None | bool() | int() | float():
            return value
    text = str(value)
    return HIDDEN if any(secret in text for secret in secrets) else text


def _leaf_paths(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            yield from _leaf_paths(item, (*path, key))
    else:
        yield path
