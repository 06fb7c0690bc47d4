"""The five hooks of a plugin. Hooks register and tell; they never carry a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from sidecar.delivery.model import Delivery
from sidecar.delivery.provider import Provider

if TYPE_CHECKING:  # few files refer to secrets, and few starts are for a plugin's command
    import click

    from sidecar.secret_source import SecretSource

PROJECT = "sidecar.providers"
"""The entry-point group, and the name pluggy's markers are bound to."""
SECRETS = "sidecar.secrets"
"""The entry-point group of the sources of secrets; its names are the schemes."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_providers() -> Sequence[type[Provider[Any]]]:
    """Return the provider classes that this module brings."""
    return ()


@hookspec
def register_secret_sources() -> Sequence[type[SecretSource]]:
    """Return the sources of secrets that this module brings."""
    return ()


@hookspec
def register_commands() -> Sequence[click.Command]:
    """Return the commands that this module brings to `otp-sidecar`, named as its entry points are.

    Those are of the group `sidecar.commands`. Called where one of them is, and at no other time.
    """
    return ()


@hookspec
def delivery_ended(delivery: Delivery) -> None:
    """Told once for every delivery that reached its terminal status, after it was logged."""


@hookspec
def circuit_changed(provider: str, before: str, after: str) -> None:
    """Told once for every change of a provider's circuit; `provider` is the instance's name."""
