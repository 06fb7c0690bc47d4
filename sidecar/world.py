"""One version of the configuration come alive: links, chains, and the room they share."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import structlog

from sidecar import logs
from sidecar.config import Config, ProviderSection
from sidecar.delivery.breaker import Breaker, BreakerSettings
from sidecar.delivery.chain import Chain
from sidecar.delivery.clock import Clock
from sidecar.delivery.errors import ConfigError, DeliveryError
from sidecar.delivery.link import Limits, Link, Room
from sidecar.delivery.policy import ChainPolicy
from sidecar.delivery.provider import Provider
from sidecar.dispatcher import Routes
from sidecar.settings import BreakerOverride


@dataclass(frozen=True, slots=True)
class World:
    """What sends walk through. `links` are all declared providers, in the file's order."""

    config: Config
    links: Mapping[str, Link]
    chains: Mapping[str, Chain]
    room: Room

    def routes(self) -> Routes:
        config = self.config
        return Routes(
            chains=self.chains,
            limits=self.room.limits,
            deadline=config.limits.deadline,
            keep_keys=config.log.keys,
            degrade=config.log.unavailable == "degrade",
        )


def build_world(config: Config, clock: Clock) -> World:
    """Build every provider, link and chain of `config`; opens nothing.

    A plugin that raises in its constructor is left out, visibly (`Link.broken`); the others work
    on. Raises `ConfigError` where a provider refuses to exist.
    """
    limits = Limits(
        in_flight=config.limits.in_flight,
        in_flight_per_provider=config.limits.in_flight_per_provider,
        queue=config.limits.queue,
        queue_wait=config.limits.queue_wait,
    )
    room = Room(limits, clock)
    links = {name: _link(one, clock) for name, one in config.providers.items()}
    chains = {
        channel: Chain(
            channel,
            [links[name] for name in one.providers],
            ChainPolicy(one.on_unknown, one.on_rejected, one.panic, one.max_unknown_failovers),
            room,
            clock,
        )
        for channel, one in config.chains.items()
    }
    return World(config, links, chains, room)


def _link(section: ProviderSection, clock: Clock) -> Link:
    provider, fault = _provider(section)
    return Link(
        section.name,
        section.kind,
        provider,
        Breaker(_breaker_settings(section.breaker), clock.monotonic, _spread),
        clock,
        timeout=section.timeout,
        enabled=section.enabled,
        missing=section.missing,
        broken=fault,
        told_late=_told_late,
        strike=logs.redactor.clean,
    )


def _told_late(name: str, how: str) -> None:
    structlog.get_logger().warning("late_result", provider=name, outcome=how)


def why_broken(error: BaseException) -> str:
    """Why a provider could not be started, in words that are safe to show."""
    return (
        logs.redactor.clean(error.reason)
        if isinstance(error, DeliveryError)
        else type(error).__name__
    )


def _provider(section: ProviderSection) -> tuple[Provider[Any] | None, str | None]:
    if section.settings is None or section.missing:
        return None, None
    try:
        return section.cls(section.name, section.settings), None
    except ConfigError:
        raise
    except BaseException as error:  # noqa: BLE001  # SystemExit too: it is left out, visibly
        return None, why_broken(error)


def _breaker_settings(chosen: BreakerOverride) -> BreakerSettings:
    return BreakerSettings(**{f.name: getattr(chosen, f.name) for f in fields(BreakerSettings)})


def _spread() -> float:
    return random.uniform(-1.0, 1.0)  # noqa: S311  # spreads probes in time; no secret depends on it
