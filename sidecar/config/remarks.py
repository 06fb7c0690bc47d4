"""What is right in a configuration, and probably not meant: told, and no reason not to start."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.config.loaded import Config
from sidecar.delivery.chain import LEAST_TIME


def remarks(config: Config) -> Iterator[str]:
    """A sentence for each; none holds a value of the file."""
    for channel, chain in config.chains.items():
        sections = [config.providers[name] for name in chain.providers]
        if not any(one.enabled and not one.missing for one in sections):
            why = "; ".join(
                f"`{one.name}` lacks {', '.join(one.missing)}"
                if one.enabled
                else f"`{one.name}` is disabled"
                for one in sections
            )
            yield f"chains.{channel}: nothing can be sent, no provider of it can be used: {why}"
    if config.limits.deadline <= LEAST_TIME:
        yield (
            "limits.deadline: nothing can be sent, no provider is tried with less than"
            f" {LEAST_TIME:g} s left"
        )
    if config.alerts.secret and config.alerts.webhook is None:
        yield "alerts.secret: signs nothing, since `alerts.webhook` is not set"
