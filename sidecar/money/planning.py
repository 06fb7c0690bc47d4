"""Which chains a plan is for, and the tariffs of who stands in them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from sidecar.config import ChainSection, Config
from sidecar.delivery.errors import ConfigError, PluginNotFound
from sidecar.delivery.policy import Order
from sidecar.delivery.tariff import Tariff
from sidecar.money.plan import Link, Plan, Wanted, plan
from sidecar.options import is_there, load
from sidecar.registry import Registry

Told = Sequence[tuple[str, Sequence[str]]]
"""Channels with the names of a chain for each; a channel may come several times."""


class Planner:
    """`tariffs` go before those of the file at `config`, and those before the classes' own.

    Without such a file every chain has to be told, and names stand for kinds; so it is where the
    file cannot be used here, and is not `needed` for its chains. Raises `ConfigError`.
    """

    def __init__(self, config: Path, tariffs: Mapping[str, Tariff], *, needed: bool) -> None:
        self._tariffs = tariffs
        self._registry = Registry()
        self._config: Config | None = None
        if not is_there(config):
            return
        try:
            self._config = load(config, self._registry, os.environ)
        except ConfigError:
            if needed:
                raise

    def plans(self, messages: Mapping[str, int], segments: int, told: Told) -> Sequence[Plan]:
        """One for every combination of the chains told. Raises ValueError, ConfigError."""
        choices = [self._choices(channel, told) for channel in messages]
        self._check_names()
        made = [
            plan(
                [
                    Wanted(
                        channel,
                        [Link(name, self._tariff(name)) for name in names],
                        count,
                        order,
                        segments if channel == "sms" else 1,
                    )
                    for (channel, count), (names, order) in zip(
                        messages.items(), chosen, strict=True
                    )
                ]
            )
            for chosen in product(*choices)
        ]
        currencies = sorted({one.currency for one in made if one.total})
        if len(currencies) > 1:
            raise ValueError(f"the plans are in several currencies: {', '.join(currencies)}")
        return made

    def _check_names(self) -> None:
        """A misspelt name in a file of tariffs would be passed over in silence."""
        known = {entry.name for entry in self._registry.installed()}
        known |= set(self._config.providers) if self._config else set()
        for name in sorted(self._tariffs.keys() - known):
            raise ValueError(f"--tariff: no provider and no installed kind is named `{name}`")

    def _choices(self, channel: str, told: Told) -> Sequence[tuple[Sequence[str], Order]]:
        own = [names for one, names in told if one == channel]
        chain = self._chain(channel)
        if own:
            for name in {name for names in own for name in names}:
                self._must_serve(name, channel)
            return [(names, chain.order if chain else Order.DECLARED) for names in own]
        if chain is None:
            raise ValueError(f"no chain is configured for {channel}: say --chain {channel}=A,B")
        return [(self._there(chain), chain.order)]

    def _must_serve(self, name: str, channel: str) -> None:
        section = self._config.providers.get(name) if self._config else None
        try:
            cls = section.cls if section else self._registry.provider_class(name)
        except PluginNotFound:
            return  # told where its tariff is looked for
        if channel not in cls.channels:
            serves = " and ".join(sorted(cls.channels)) or "nothing"
            raise ValueError(f"--chain: `{name}` does not serve {channel}, only {serves}")

    def _there(self, chain: ChainSection) -> Sequence[str]:
        """Those of the chain that really send, also where their credentials are not here."""
        sections = self._config.providers if self._config else {}
        real = [
            name
            for name in chain.providers
            if sections[name].enabled and not sections[name].cls.development_only
        ]
        return real or chain.providers

    def _chain(self, channel: str) -> ChainSection | None:
        return self._config.chains.get(channel) if self._config else None

    def _tariff(self, name: str) -> Tariff | None:
        section = self._config.providers.get(name) if self._config else None
        kind = section.kind if section else name
        for key in (name, kind):
            if key in self._tariffs:
                return self._tariffs[key]
        if section is not None:
            return section.tariff
        try:
            return self._registry.provider_class(kind).tariff
        except PluginNotFound as error:
            raise ValueError(f"--chain: no provider is named `{name}`, and {error}") from error
