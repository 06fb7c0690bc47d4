"""The commands. Data goes to stdout, messages to stderr.

Exit codes: 0 fine, 1 a negative answer, 2 usage, 69 unavailable, 70 our fault, 74 output that
cannot be written, 78 configuration, 130 Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from sidecar import __version__, probe
from sidecar.cost import cost
from sidecar.delivery.errors import ConfigError
from sidecar.options import (
    EX_CONFIG,
    EX_NEGATIVE,
    FILE,
    config_option,
    fail,
    json_option,
    load,
    load_or_fail,
    option,
    url_option,
)
from sidecar.plugin_commands import Commands

CHECK_TIMEOUT = 10.0
"""Seconds that `check --online` gives each account."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Deliver one-time codes through a chain of providers."""


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(f"otp-sidecar {__version__}")


@cli.command(add_help_option=True)
@click.option(
    "--ready", is_flag=True, help="Ask whether it takes sends, not only whether it is up."
)
@click.option("--wait", default="0s", help="Ask again until yes, for at most this long.")
@url_option
def health(ready: bool, wait: str, url: str) -> None:
    """Ask a running sidecar for its health; exit 0 for yes, 1 for no."""
    sys.exit(probe.main([*(["--ready"] if ready else []), "--wait", wait, "--url", url]))


@cli.command()
@config_option
@click.pass_obj
def run(started: float | None, config: Path) -> None:
    """Serve, until SIGTERM or Ctrl-C."""
    from sidecar.thrift import import_aiohttp, import_structlog

    import_structlog()  # before the first that imports it
    import_aiohttp()
    from sidecar import app, crash, logs, runner
    from sidecar.serve import serve
    from sidecar.surroundings import Surroundings

    surroundings = Surroundings(os.environ)
    loaded, registry = load_or_fail(config)
    logs.redactor.add(loaded.secrets)
    logs.configure()
    surroundings.share(loaded.environ)
    try:
        crash.arm(surroundings.own.get(crash.VARIABLE), loaded.environment)
        sidecar = app.Sidecar(
            loaded,
            registry,
            load=lambda: load(config, registry, surroundings.own),
            surroundings=surroundings,
        )
        runner.run(serve(sidecar, started or time.monotonic()))
    except ConfigError as error:
        runner.LastResort().within(1.0, EX_CONFIG)  # a plugin may have begun a thread
        fail(logs.redactor.clean(str(error)), EX_CONFIG)  # a plugin's own words


@cli.command()
@click.argument("file", required=False, type=FILE)
@config_option
@option("--online", is_flag=True, help="Reach each account, without sending.")
@json_option
def check(file: Path | None, config: Path, online: bool, as_json: bool) -> None:
    """Validate a configuration as a start does."""
    from sidecar.say import say_valid

    loaded, registry = load_or_fail(file or config)
    for name, why in registry.troubles(loaded.references).items():
        click.echo(f"the secret `{name}` {why}", err=True)  # of an optional provider
    if not online:
        say_valid(loaded, as_json=as_json)
        return
    from sidecar.accounts import reach_accounts
    from sidecar.surroundings import Surroundings

    Surroundings(os.environ).share(loaded.environ)
    reports = reach_accounts(loaded, CHECK_TIMEOUT)
    if as_json:
        click.echo(json.dumps(reports, indent=2))
    for report in [] if as_json else reports:
        click.echo(f"{report['provider']:<16} {report['state']:<15} {report['summary']}")
    sys.exit(any(r["state"] in ("blocked", "unreachable") for r in reports) * EX_NEGATIVE)


@cli.group("config")
def config_group() -> None:
    """Show, describe or begin a configuration."""


@config_group.command("show")
@config_option
@json_option
def config_show(config: Path, as_json: bool) -> None:
    """Print the effective configuration, with where each value came from."""
    from sidecar.config import effective
    from sidecar.say import print_settings

    shown = effective(load_or_fail(config)[0])
    if as_json:
        click.echo(json.dumps(shown, indent=2))
    else:
        print_settings(shown)


@config_group.command("schema")
def config_schema() -> None:
    """Print the JSON schema of the file, with the settings of every installed kind."""
    from sidecar.config import schema
    from sidecar.registry import Registry

    registry = Registry()
    classes = [registry.provider_class(found.name) for found in registry.installed()]
    click.echo(json.dumps(schema(classes), indent=2))


@config_group.command("init")
def config_init() -> None:
    """Print a commented file to begin with."""
    from sidecar.config import starter

    click.echo(starter(), nl=False)


@cli.group()
def providers() -> None:
    """What is installed."""


@providers.command("list")
@json_option
def providers_list(as_json: bool) -> None:
    """List the installed kinds."""
    from sidecar.registry import Registry

    registry = Registry()
    rows: list[dict[str, Any]] = []
    for found in registry.installed():
        cls = registry.provider_class(found.name)
        rows.append(
            {
                "kind": found.name,
                "channels": sorted(cls.channels),
                "distribution": found.dist.name if found.dist else None,
                "version": found.dist.version if found.dist else None,
                "development_only": cls.development_only,
                "settings": list(cls.Config.model_fields),
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    for row in [] if as_json else rows:
        channels = ",".join(row["channels"])
        note = "  (development only)" if row["development_only"] else ""
        click.echo(f"{row['kind']:<12} {channels:<10} {row['distribution']} {row['version']}{note}")


@cli.command()
@option("--channel", required=True, help="email or sms.")
@option("--to", help="The recipient; TEST_EMAIL or TEST_PHONE where absent.")
@option("--text", default="Your code is 123456", show_default=True, help="The text.")
@option("--subject", help="E-mail only.")
@url_option
@json_option
def send(
    channel: str, to: str | None, text: str, subject: str | None, url: str, as_json: bool
) -> None:
    """Send through a running sidecar, and print the walk down the chain."""
    from sidecar.remote import call, lines_of
    from sidecar.say import refusal, walk

    to = to or os.environ.get({"email": "TEST_EMAIL", "sms": "TEST_PHONE"}.get(channel, ""), "")
    if not to:
        raise click.UsageError("name a recipient with --to, or in TEST_EMAIL or TEST_PHONE")
    body = {"channel": channel, "to": to, "text": text, "subject": subject}
    status, answer = call(url, "POST", "/v1/send", {k: v for k, v in body.items() if v})
    taken = status in (200, 202)
    walked = lines_of(url, walk(status, answer))
    refused = [] if taken else lines_of(url, refusal(answer))
    for line in [json.dumps(answer, indent=2)] if as_json else walked:
        click.echo(line)
    for line in [] if as_json else refused:
        click.echo(line, err=True)
    sys.exit(0 if taken else EX_NEGATIVE)


@cli.command()
@option("--channel", required=True, help="email or sms.")
@option("--to", help="For whom; whom an account does not reach is not asked.")
@url_option
@json_option
def explain(channel: str, to: str | None, url: str, as_json: bool) -> None:
    """Say which chain would be used now, and why each provider is in or out. Sends nothing."""
    from sidecar.privacy import mask
    from sidecar.remote import call, lines_of
    from sidecar.say import channels, explained, refusal, unlike_a_recipient

    if why := unlike_a_recipient(channel, to):
        raise click.UsageError(f"--to: {why}")
    status, answer = call(url, "GET", "/health")
    if status != 200:
        (told,) = lines_of(url, refusal(answer))
        fail(f"{url} answered {status}: {told}", EX_NEGATIVE)
    names = lines_of(url, channels(answer))
    if channel not in names:
        fail(f"no chain serves the channel {channel}; there are: {', '.join(names)}", EX_NEGATIVE)
    lines = lines_of(url, explained(answer, channel))
    if as_json:
        click.echo(json.dumps({"channel": channel, **answer["chains"][channel]}, indent=2))
        return
    click.echo(f"{channel}{f' to {mask(to)}' if to else ''}: {lines[0]}")
    for line in lines[1:]:
        click.echo(line)


@cli.group("alerts")
def alerts_group() -> None:
    """What an operator is told of at once."""


@alerts_group.command("test")
@config_option
@json_option
def alerts_test(config: Path, as_json: bool) -> None:
    """Send one test alert to the configured webhook, and say what it answered."""
    from sidecar.alerts.trial import send_trial

    told = send_trial(load_or_fail(config)[0])
    click.echo(json.dumps(told, indent=2) if as_json else told["summary"])
    sys.exit(0 if told["delivered"] else EX_NEGATIVE)


cli.add_command(cost)
