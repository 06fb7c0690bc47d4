"""What the commands share: their options, a configuration, and how a command ends badly."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from sidecar import probe
from sidecar.delivery.errors import ConfigError

EX_NEGATIVE, EX_CONFIG, EX_INTERRUPTED = 1, 78, 130
FILE = click.Path(path_type=Path, readable=False)
"""A file whose reader says what is wrong with it; click would call that a fault of the command."""


def option(*names: str, **settings: Any) -> Callable[[Any], Any]:
    """An option that is also the variable `OTP_SIDECAR_<NAME>`."""
    long = next(name for name in names if name.startswith("--")).removeprefix("--")
    variable = f"OTP_SIDECAR_{long.replace('-', '_').upper()}"
    return click.option(*names, envvar=variable, show_envvar=True, **settings)


config_option = option(
    "--config",
    "-c",
    default="providers.yaml",
    show_default=True,
    type=FILE,
    help="The configuration file.",
)
url_option = option(
    "--url", default=probe.DEFAULT_URL, show_default=True, help="The running sidecar."
)
json_option = option("--json", "as_json", is_flag=True, help="Print JSON.")


def is_there(path: Path) -> bool:
    """Whether there is such a file; also where only its reader can say why it cannot be had."""
    try:
        return path.exists()
    except OSError:
        return True


def load_or_fail(path: Path) -> tuple[Any, Any]:
    """The configuration at `path`, and the registry of its plugins; its faults end the command."""
    from sidecar.registry import Registry

    registry = Registry()
    try:
        return load(path, registry, os.environ), registry
    except ConfigError as error:
        fail(str(error), EX_CONFIG)


def load(path: Path, registry: Any, environ: Mapping[str, str]) -> Any:
    """The configuration at `path`, its token file looked at too. Raises `ConfigError`."""
    from sidecar.config import load as read
    from sidecar.interrupt import told_apart
    from sidecar.tokens import read_tokens

    with told_apart():
        loaded = read(
            path, environ=environ, provider_class=registry.provider_class, resolve=registry.resolve
        )
    try:
        if loaded.server.token_file is not None:
            read_tokens(loaded.server.token_file)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        place = loaded.origins.get("server.token_file", "").removeprefix(f"{path.name}:")
        raise ConfigError(
            f"{path}:{place}: server.token_file: {loaded.server.token_file}: {why}"
        ) from error
    return loaded


def fail(message: str, code: int) -> NoReturn:
    """End the command with one line for a person."""
    click.echo(message, err=True)
    sys.exit(code)
