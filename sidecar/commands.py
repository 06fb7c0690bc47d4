"""What a plugin's commands are made of: the house's options, an account's settings, and manners.

Data goes to stdout, messages to stderr; a command ends badly by raising `CommandFailed`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from sidecar import logs, transport
from sidecar.delivery.provider import AccountReport
from sidecar.options import (
    EX_CONFIG,
    EX_NEGATIVE,
    config_option,
    is_there,
    json_option,
    load_or_fail,
    option,
)

__all__ = [
    "EX_CONFIG",
    "EX_NEGATIVE",
    "EX_UNAVAILABLE",
    "Chosen",
    "CommandFailed",
    "account_options",
    "ask_first",
    "choose",
    "lacking",
    "option",
    "reach",
    "required",
    "say",
    "show",
    "yes_option",
]

EX_USAGE, EX_UNAVAILABLE = 2, 69
CHECK_TIMEOUT = 10.0
"""Seconds that `reach` gives an account."""

F = TypeVar("F", bound=Callable[..., Any])

provider_option = option(
    "--provider", metavar="NAME", help="The configured provider whose account it is."
)
yes_option = option("--yes", is_flag=True, help="Do not ask before the change; for scripts.")


def account_options(command: F) -> F:
    """The options `--config`, `--provider` and `--json`, as `config`, `provider` and `as_json`."""
    decorated: F = config_option(provider_option(json_option(command)))
    return decorated


class CommandFailed(click.ClickException):
    """Ends a command with one line on stderr and `exit_code`, one of the house's.

    The line is shown without the secrets of the configuration.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click's is the class's, and read by instance

    def show(self, file: Any = None) -> None:
        click.echo(_clean(self.message), file=file, err=file is None)


@dataclass(frozen=True, slots=True)
class Chosen:
    """One configured provider: its name, its class, and what its plugin's `Config` made of it."""

    name: str
    cls: type[Any] = field(repr=False)
    settings: Any = field(repr=False)

    @property
    def kind(self) -> str:
        return str(self.cls.kind)


def choose(kinds: Sequence[str], config: Path, provider: str | None) -> Chosen | None:
    """The provider called `provider`, or the first of `kinds[0]`, or else of the next of `kinds`.

    One that is not enabled comes after those of its kind that are.

    None where nobody named one and none is configured, or there is no file and none was asked for.
    The variables of `.env` are then those of this process, and the file's secrets are struck from
    what is said. Ends the command with 78 where the file has a fault, or `provider` is not in it,
    is of another kind, or lacks a variable.
    """
    if _is_default() and not is_there(config):
        if provider is not None:
            raise CommandFailed(f"{config}: there is no such file to find `{provider}` in", 78)
        return None
    from sidecar.surroundings import Surroundings

    loaded, _ = load_or_fail(config)
    logs.redactor.add(loaded.secrets)
    transport.use(loaded.http_client)
    Surroundings(os.environ).share(loaded.environ)
    if provider is not None:
        return _named(loaded.providers, provider, kinds, config)
    fit = [s for s in loaded.providers.values() if s.kind in kinds and s.settings is not None]
    fit.sort(key=lambda section: (kinds.index(section.kind), not section.enabled))
    return Chosen(fit[0].name, fit[0].cls, fit[0].settings) if fit else None


def lacking(kinds: Sequence[str], config: Path) -> str:
    """What the providers of `kinds` in the file lack, such as "`ses` lacks SES_SENDER"; or nothing.

    For a command that `choose` found nobody for, and that cannot do without.
    """
    if not is_there(config):
        return ""
    sections = load_or_fail(config)[0].providers.values()
    told = (f"`{s.name}` lacks {', '.join(s.missing)}" for s in sections if s.kind in kinds)
    return "; ".join(told)


def _is_default() -> bool:
    context = click.get_current_context()
    return context.get_parameter_source("config") is ParameterSource.DEFAULT


def _named(
    sections: Mapping[str, Any], name: str, kinds: Sequence[str], config: Path
) -> Chosen | None:
    section = sections.get(name)
    of_kind = f"of kind {' or '.join(kinds)}"
    if section is None or section.kind not in kinds:
        known = ", ".join(s.name for s in sections.values() if s.kind in kinds) or "none"
        what = "is not there" if section is None else f"is not {of_kind}"
        raise CommandFailed(f"{config}: `{name}` {what}; {of_kind}: {known}", EX_CONFIG)
    if section.settings is None:
        lacks = ", ".join(section.missing)
        raise CommandFailed(f"{config}: `{name}` lacks {lacks}", EX_CONFIG)
    return Chosen(name, section.cls, section.settings)


def required(kind: str, config: Path, provider: str | None) -> Chosen:
    """`choose` among the providers of one kind; without any the command ends with 78."""
    found = choose((kind,), config, provider)
    if found is None:
        if not is_there(config):
            told = "there is no such file; name a file with --config"
            raise CommandFailed(f"{config}: {told}", EX_CONFIG)
        sections = load_or_fail(config)[0].providers
        for name in (one.name for one in sections.values() if one.kind == kind):
            _named(sections, name, (kind,), config)  # it says what that one lacks
        told = f"no provider of kind {kind}; name a file with --config"
        raise CommandFailed(f"{config}: {told}", EX_CONFIG)
    return found


def ask_first(plan: Iterable[str], *, yes: bool) -> None:
    """Say what a change will do, and go on only where a person says yes or `yes` was given.

    Ends the command with 2 where nobody can be asked, and with 1 where the answer is no.
    """
    for line in plan:
        say(line)
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise CommandFailed(
            "nothing was changed: there is no terminal to ask on; say --yes to go on without",
            EX_USAGE,
        )
    if not click.confirm("Go on?", err=True):
        raise CommandFailed("nothing was changed", EX_NEGATIVE)


def say(line: str) -> None:
    """A message for a person: on stderr, in one line, without the configuration's secrets."""
    click.echo(_clean(line), err=True)


def show(data: Mapping[str, Any], lines: Iterable[str], *, as_json: bool) -> None:
    """The data of a command: as JSON, or as the lines that a person reads."""
    if as_json:
        click.echo(json.dumps(data, indent=2))
        return
    for line in lines:
        click.echo(_clean(line))


def reach(chosen: Chosen) -> tuple[dict[str, Any], AccountReport | None]:
    """What `check` says of the account: `provider`, `kind`, `state`, `summary` and `facts`.

    And the report itself, where there is one. Within `CHECK_TIMEOUT` seconds and a moment, whatever
    the plugin does, and so is the command's end. Ends it with 69 where the account cannot be
    reached.
    """
    from sidecar import accounts
    from sidecar.delivery.account import UNREACHABLE

    logs.configure(stream=sys.stderr)
    found = accounts.reach(
        lambda: chosen.cls(chosen.name, chosen.settings), chosen.name, CHECK_TIMEOUT
    )
    if found.state == UNREACHABLE:
        raise CommandFailed(f"{chosen.name}: {found.summary}", EX_UNAVAILABLE)
    told = {"provider": chosen.name, "kind": chosen.kind, "state": found.state}
    return {**told, "summary": found.summary, "facts": dict(found.facts)}, found.report


def _clean(text: str) -> str:
    # A vendor's words may hold what moves a terminal's cursor.
    printable = "".join(c if c.isprintable() else " " for c in text)
    return logs.redactor.clean(printable)
