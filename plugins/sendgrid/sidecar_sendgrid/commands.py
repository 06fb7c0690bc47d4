"""`otp-sidecar sendgrid`: the account behind the API key, looked at from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from sidecar import hookimpl
from sidecar.commands import EX_NEGATIVE, account_options, reach, required, say, show


@click.group()
def sendgrid() -> None:
    """A SendGrid account: what the API key may do, and what is left."""


@sendgrid.command()
@account_options
def account(config: Path, provider: str | None, as_json: bool) -> None:
    """Print the scopes of the API key and the credits that are left; exit 1 if it cannot send."""
    from sidecar_sendgrid.account import KeyReport

    told, report = reach(required("sendgrid", config, provider))
    scopes = sorted(report.scopes) if isinstance(report, KeyReport) else None
    may_send = None if scopes is None else "mail.send" in scopes
    told = {**told, "mail_send": may_send, "scopes": scopes}
    show(told, _lines(told), as_json=as_json)
    say(f"{told['provider']}: {told['summary']}")
    raise SystemExit(EX_NEGATIVE * (told["state"] == "blocked"))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    words = {True: "yes", False: "no", None: "cannot be seen"}
    yield f"state      {told['state']}"
    yield f"mail.send  {words[told['mail_send']]}"
    facts = told["facts"]
    if "credits_left" in facts:
        left = f"{facts['credits_left']} of {facts.get('credits_total', '?')}"
        until = f" until {facts['credits_reset']}" if "credits_reset" in facts else ""
        yield f"credits    {left} left{until}"
    for scope in told["scopes"] or ():
        yield f"scope      {scope}"


@hookimpl
def register_commands() -> Sequence[click.Command]:
    return [sendgrid]
