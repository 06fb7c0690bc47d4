"""`otp-sidecar twilio`: the account, looked at from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from sidecar import hookimpl
from sidecar.commands import EX_NEGATIVE, account_options, reach, required, say, show


@click.group()
def twilio() -> None:
    """A Twilio account: its status, and what is left."""


@twilio.command()
@account_options
def account(config: Path, provider: str | None, as_json: bool) -> None:
    """Print the account's status, type and balance; exit 1 if it cannot send."""
    told, _ = reach(required("twilio", config, provider))
    show(told, _lines(told), as_json=as_json)
    say(f"{told['provider']}: {told['summary']}")
    raise SystemExit(EX_NEGATIVE * (told["state"] == "blocked"))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    facts = told["facts"]
    yield f"state    {told['state']}"
    yield f"status   {facts.get('status', 'cannot be seen')}"
    yield f"type     {facts.get('type', 'cannot be seen')}"
    balance = f"{facts.get('balance', '')} {facts.get('currency', '')}".strip()
    yield f"balance  {balance or 'cannot be seen'}"


@hookimpl
def register_commands() -> Sequence[click.Command]:
    return [twilio]
