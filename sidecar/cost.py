"""`otp-sidecar cost`: what a month has cost, or what one would."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import click

from sidecar.options import EX_CONFIG, FILE, config_option, fail, json_option, option

_CHAIN = re.compile(r"([A-Za-z0-9_-]+)=([A-Za-z0-9_,-]+)")
EX_UNAVAILABLE = 69


@click.command()
@option("--month", help="What was spent in this month, such as 2026-11 (UTC); the default: now's.")
@option("--sms", type=click.IntRange(min=0, max=10**12), help="Plan a month with so many texts.")
@option("--email", type=click.IntRange(min=0, max=10**12), help="And with so many mails.")
@option("--segments", type=click.IntRange(1, 100), default=1, help="Segments of one text, planned.")
@option(
    "--chain",
    "chains",
    multiple=True,
    metavar="CHANNEL=A,B",
    help="Plan for this chain instead of the configured one; again to compare several.",
)
@option(
    "--tariff",
    type=FILE,
    help="A file of prices, over the providers' own: config/tariffs has some.",
)
@config_option
@json_option
def cost(
    month: str | None,
    sms: int | None,
    email: int | None,
    segments: int,
    chains: Sequence[str],
    tariff: Path | None,
    config: Path,
    as_json: bool,
) -> None:
    """What the log says a month has cost; or, with --sms or --email, what a month would cost.

    \b
    otp-sidecar cost --month 2026-11
    otp-sidecar cost --sms 20000 --chain sms=twilio --chain sms=sns,twilio
    """  # noqa: D301  # click reads the backslash
    if sms is None and email is None:
        if chains or tariff:
            raise click.UsageError(
                "--chain and --tariff plan a month: say --sms N, --email N or both"
            )
        _report(month, config, as_json=as_json)
        return
    if month is not None:
        raise click.UsageError("--month tells of a month that was; --sms and --email plan one")
    _plan({"sms": sms, "email": email}, segments, chains, tariff, config, as_json=as_json)


def _report(month: str | None, config: Path, *, as_json: bool) -> None:
    from datetime import UTC, datetime

    from sidecar.money.report import dump_report, print_report, report_of
    from sidecar.options import load_or_fail
    from sidecar.store import LogError
    from sidecar.store.reading import read_costs

    month = month or f"{datetime.now(UTC):%Y-%m}"
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month):
        raise click.UsageError("--month is written like 2026-11")
    loaded, _ = load_or_fail(config)
    if loaded.log.path == ":memory:":
        fail("the log is kept in memory (`log.path: ':memory:'`): ask /health", EX_UNAVAILABLE)
    try:
        spent = report_of(read_costs(Path(loaded.log.path), month))
    except LogError as error:
        fail(str(error), EX_UNAVAILABLE)
    if as_json:
        click.echo(json.dumps({"month": month, "providers": dump_report(spent)}, indent=2))
    else:
        print_report(month, spent)


def _plan(
    messages: dict[str, int | None],
    segments: int,
    chains: Sequence[str],
    tariff: Path | None,
    config: Path,
    *,
    as_json: bool,
) -> None:
    from sidecar.config.tariffs import read_tariffs
    from sidecar.delivery.errors import ConfigError
    from sidecar.money.planning import Planner
    from sidecar.money.say import dump_plans, print_plans

    told: list[tuple[str, list[str]]] = []
    for text in chains:
        match = _CHAIN.fullmatch(text)
        if match is None:
            raise click.UsageError(f"--chain {text}: is written like sms=sns,twilio")
        if messages.get(match[1]) is None:
            raise click.UsageError(f"--chain {text}: say how many, with --sms N or --email N")
        told.append((match[1], match[2].split(",")))
    try:
        wanted = {channel: count for channel, count in messages.items() if count is not None}
        needed = bool(wanted.keys() - {channel for channel, _ in told})
        planner = Planner(config, read_tariffs(tariff) if tariff else {}, needed=needed)
        plans = planner.plans(wanted, segments, told)
    except ConfigError as error:
        fail(str(error), EX_CONFIG)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps(dump_plans(plans), indent=2))
    else:
        print_plans(plans)
