"""One version of the configuration come alive: links, chains, and the room they share."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import structlog

from sidecar import logs
from sidecar.config import ChainSection, Config, ProviderSection
from sidecar.delivery.account import AccountGate
from sidecar.delivery.breaker import Breaker, BreakerSettings
from sidecar.delivery.chain import Chain
from sidecar.delivery.clock import Clock
from sidecar.delivery.errors import ConfigError
from sidecar.delivery.gate import Gate
from sidecar.delivery.link import Limits, Link, Room, Standing
from sidecar.delivery.policy import ChainPolicy, Verdict
from sidecar.delivery.provider import Provider
from sidecar.dispatcher import Routes
from sidecar.guests import why_broken
from sidecar.money.books import Books
from sidecar.money.sections import set_budgets, till_of
from sidecar.settings import BreakerOverride, ProviderConfig

_FIXED = {
    "server": (
        "listen",
        "ops_listen",
        "peer_uids",
        "connections",
        "header_timeout",
        "body_timeout",
        "keep_alive",
    ),
    "log": ("path", "durability"),
}
"""Settings that take effect at a start alone."""


@dataclass(frozen=True, slots=True)
class World:
    """What sends walk through. `links` are all declared providers, in the file's order.

    `room` and `books` are the process's own and outlive this version; `limits` are what it wants of
    the room.
    """

    config: Config
    links: Mapping[str, Link]
    chains: Mapping[str, Chain]
    room: Room
    limits: Limits
    books: Books

    def routes(self) -> Routes:
        config = self.config
        return Routes(
            chains=self.chains,
            limits=self.limits,
            deadline=config.limits.deadline,
            keep_keys=config.log.keys,
            degrade=config.log.unavailable == "degrade",
        )

    def succeed(self, before: World) -> None:
        """Go on where the version `before` stopped. From here on sends walk through this one."""
        for channel, chain in self.chains.items():
            if channel in before.chains:
                chain.take_over(before.chains[channel])
        self.room.resize(self.limits, self.chains)
        set_budgets(self.books, self.config)
        for link in self.links.values():
            # Whoever reloads may have mended the account: it is tried at once, not in a minute.
            if link.breaker.reason == Verdict.MISCONFIGURED:
                link.breaker.look_again()

    def providers(self) -> set[Provider[Any]]:
        """Every provider that could be built."""
        return {link.provider for link in self.links.values() if link.provider is not None}


def build_world(
    config: Config, clock: Clock, before: World | None = None, books: Books | None = None
) -> World:
    """Build every provider, link and chain of `config`; opens nothing, and changes nothing yet.

    `books` are the process's own, as the version `before` has them; new ones where there are none.
    Of the version `before` it keeps each provider whose settings are the same, with its circuit and
    all that is known of it. A plugin that raises in its constructor is left out, visibly
    (`Link.broken`); the others work on. Raises `ConfigError` where a provider refuses to exist.
    """
    limits = Limits(
        in_flight=config.limits.in_flight,
        in_flight_per_provider=config.limits.in_flight_per_provider,
        queue=config.limits.queue,
        queue_wait=config.limits.queue_wait,
    )
    room = Room(limits, clock, config.chains) if before is None else before.room
    if before is not None:
        books = before.books
    else:
        books = books or Books(clock)
        set_budgets(books, config)
    links = {
        name: _link(one, config, before, books, clock) for name, one in config.providers.items()
    }
    chains = {
        channel: Chain(
            channel,
            [links[name] for name in one.providers],
            _policy(one),
            room,
            clock,
        )
        for channel, one in config.chains.items()
    }
    return World(config, links, chains, room, limits, books)


def _policy(chain: ChainSection) -> ChainPolicy:
    return ChainPolicy(
        chain.on_unknown, chain.on_rejected, chain.panic, chain.max_unknown_failovers, chain.order
    )


def _link(
    section: ProviderSection, config: Config, before: World | None, books: Books, clock: Clock
) -> Link:
    old = before.links.get(section.name) if before else None
    if before is None or old is None or old.broken:  # a broken one gets another chance
        return _new_link(section, books, clock)
    was = before.config.providers[section.name]
    if old.provider is None and section == was:
        return old
    if old.provider is None or not _is_same_account(section, config, before.config):
        return _new_link(section, books, clock)
    if section == was:
        return old
    return Link(
        section.name,
        section.kind,
        old.provider,
        old.breaker if section.breaker == was.breaker else _breaker(section, clock),
        clock,
        timeout=section.timeout,
        enabled=section.enabled,
        told_late=_told_late,
        strike=logs.redactor.clean,
        standing=old.standing,
        till=till_of(section, books),
        gates=_gates(section, old.provider, old.standing, clock),
    )


def _new_link(section: ProviderSection, books: Books, clock: Clock) -> Link:
    provider, fault = _provider(section)
    standing = Standing()
    return Link(
        section.name,
        section.kind,
        provider,
        _breaker(section, clock),
        clock,
        timeout=section.timeout,
        enabled=section.enabled,
        missing=section.missing,
        broken=fault,
        told_late=_told_late,
        strike=logs.redactor.clean,
        till=till_of(section, books),
        standing=standing,
        gates=_gates(section, provider, standing, clock),
    )


def _gates(
    section: ProviderSection, provider: Provider[Any] | None, standing: Standing, clock: Clock
) -> Sequence[Gate]:
    """What else may keep `provider` out."""
    if provider is None or section.settings is None or section.settings.preflight != "skip":
        return ()
    strike, failed = logs.redactor.clean, _told_would_refuse_failed
    return (AccountGate(provider, standing.account, clock, strike=strike, failed=failed),)


def _is_same_account(section: ProviderSection, config: Config, before: Config) -> bool:
    """Whether the provider of this name, built from `section`, would be the one there was."""
    was = before.providers.get(section.name)
    if was is None or was.settings is None or section.settings is None:
        return False
    return (
        section.cls is was.cls
        and not (section.missing or was.missing)
        and not has_other_settings(section, was)
        and not _sees_a_change(section.cls, config.environ, before.environ)
    )


def has_other_settings(section: ProviderSection, was: ProviderSection) -> bool:
    """Whether the provider itself, built from `section`, would be told something else."""
    if section.settings is None or was.settings is None:
        return section.settings is not was.settings
    return _own(section.settings) != _own(was.settings)


def _own(settings: ProviderConfig) -> ProviderConfig:
    """The settings but for those that the chain obeys, and not the provider itself."""
    ours: dict[str, object] = {"enabled": True, "optional": False, "timeout": 1.0, "breaker": None}
    ours |= {"preflight": "observe", "price": None, "budget": None}
    return settings.model_copy(update=ours)


def _sees_a_change(
    cls: type[Provider[Any]], now: Mapping[str, str], before: Mapping[str, str]
) -> bool:
    """Whether a variable that the provider's SDK reads by itself has changed, in the `.env` say."""
    names = (name for name in now.keys() | before.keys() if name.startswith(tuple(cls.reads)))
    return any(now.get(name) != before.get(name) for name in names)


def _breaker(section: ProviderSection, clock: Clock) -> Breaker:
    return Breaker(_breaker_settings(section.breaker), clock.monotonic, _spread)


def _told_late(name: str, how: str) -> None:
    structlog.get_logger().warning("late_result", provider=name, outcome=how)


def _told_would_refuse_failed(name: str, error: str) -> None:
    structlog.get_logger().error("would_refuse_failed", provider=name, error=error)


def _provider(section: ProviderSection) -> tuple[Provider[Any] | None, str | None]:
    if section.settings is None or section.missing:
        return None, None
    try:
        return section.cls(section.name, section.settings), None
    except ConfigError:
        raise
    except BaseException as error:  # noqa: BLE001  # SystemExit too: it is left out, visibly
        return None, why_broken(error, section.cls)


def _breaker_settings(chosen: BreakerOverride) -> BreakerSettings:
    return BreakerSettings(**{f.name: getattr(chosen, f.name) for f in fields(BreakerSettings)})


def _spread() -> float:
    return random.uniform(-1.0, 1.0)  # noqa: S311  # spreads probes in time; no secret depends on it


# From one version to the next


def with_fixed(wanted: Config, running: Config) -> tuple[Config, list[str]]:
    """`wanted` with what a running process cannot change, and the names of what it wanted of it."""
    changed = [
        f"{section}.{name}"
        for section, names in _FIXED.items()
        for name in names
        if getattr(getattr(wanted, section), name) != getattr(getattr(running, section), name)
    ]
    kept = {
        section: getattr(wanted, section).model_copy(
            update={name: getattr(getattr(running, section), name) for name in names}
        )
        for section, names in _FIXED.items()
    }
    if wanted.http_client != running.http_client:
        changed.append("http_client")
    return replace(wanted, **kept, http_client=running.http_client), changed


def refuse_broken(world: World, before: World) -> None:
    """Raise `ConfigError` where a provider cannot start that had not failed before."""
    for name, link in world.links.items():
        old = before.links.get(name)
        if link.broken and not (old and old.broken):
            raise ConfigError(f"{world.config.path}: providers.{name}: {link.broken}")


def changes_between(before: World, after: World) -> dict[str, list[str]]:
    """Which providers came, went and changed, and which channels have another chain."""
    old, new = before.links, after.links
    names = {
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "changed": [name for name in new if name in old and new[name] is not old[name]],
        "chains": [
            channel
            for channel in {**before.config.chains, **after.config.chains}
            if before.config.chains.get(channel) != after.config.chains.get(channel)
        ],
    }
    return {what: which for what, which in names.items() if which}
