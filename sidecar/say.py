"""What the commands print for a person: chains, walks and standings, a line each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import click

from sidecar.config import Config, ProviderSection, remarks


def say_valid(loaded: Config, *, as_json: bool) -> None:
    """The chains of a valid file, with the providers that would be left out, and its warnings."""
    found = {name: _configured(one) for name, one in loaded.providers.items()}
    if as_json:
        told = {"valid": True, "providers": found, "warnings": list(remarks(loaded))}
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"{loaded.path}: valid ({loaded.digest})")
    for channel, chain in loaded.chains.items():
        click.echo(f"{channel}:")
        for name in chain.providers:
            click.echo(f"  {name:<16} {found[name]}")
    in_chains = {name for chain in loaded.chains.values() for name in chain.providers}
    if rest := [name for name in found if name not in in_chains]:
        click.echo("in no chain:")
    for name in rest:
        click.echo(f"  {name:<16} {found[name]}")
    for remark in remarks(loaded):
        click.echo(f"warning: {remark}", err=True)


def _configured(section: ProviderSection) -> str:
    if not section.enabled:
        return "disabled"
    if section.missing:
        return f"not configured, lacks {', '.join(section.missing)}"
    return "configured"


def walk(status: int, answer: Mapping[str, Any]) -> Iterator[str]:
    """Each attempt of a send, then how it ended, unless it was refused."""
    for attempt in answer.get("attempts", []):
        facts = [attempt["outcome"], attempt["reason"], attempt["provider_code"]]
        told = ", ".join(str(fact) for fact in facts if fact)
        if attempt["outcome"] != "skipped":
            told += f" in {attempt['seconds']:.3f} s, circuit {attempt['circuit']}"
        yield f"  {attempt['provider']:<16} {told}"
    if status in (200, 202):
        by = f" by {answer['provider']}" if answer.get("provider") else ""
        yield f"{answer['status']}{by}: {answer['id']}"
        if status == 202:
            yield "  it may have been sent"
        elif answer.get("duplicate_possible"):
            yield "  it may arrive twice: an earlier provider may have taken it too"


def refusal(answer: Mapping[str, Any]) -> Iterator[str]:
    """The words of a problem document."""
    yield f"{answer['code']}: {answer['detail']}"


def unlike_a_recipient(channel: str, to: str | None) -> str | None:
    """Why no message could go to `to`; None where it may. The sidecar itself judges it closer."""
    if to is None:
        return None
    if channel == "sms" and not re.fullmatch(r"\+[1-9][0-9]{6,14}", to, re.ASCII):
        return "a number is written +14155550123, with its country's code and nothing between"
    if channel == "email" and not re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,255}", to):
        return "an address is written ada@example.com"
    return None


def channels(health: Mapping[str, Any]) -> Iterator[str]:
    """Those that have a chain."""
    yield from health["chains"].keys()


def explained(health: Mapping[str, Any], channel: str) -> Iterator[str]:
    """What would happen to a message now, and why."""
    chain, used = health["chains"][channel], health["config"]
    yield _next_of(chain)
    for number, provider in enumerate(chain["providers"], 1):
        yield f"  {number}. {provider['name']:<16} {_standing_of(provider)}"
    for moved in chain.get("moved_back", []):
        yield f"  {moved['provider']} is asked after others: {_WHY_MOVED[moved['reason']]}"
    if used["reload_error"]:
        yield f"  the reload of {used['reload_failed_at']} failed: {used['reload_error']}"
        yield f"  this is the configuration of {used['loaded_at']}"
    if waits := used.get("needs_restart"):
        yield f"  changed in the file, and in effect after a restart: {', '.join(waits)}"


def _next_of(chain: Mapping[str, Any]) -> str:
    if chain["next"]:
        return f"{chain['next']} would be tried first"
    is_out = [one["skipped_because"] == "circuit_open" for one in chain["providers"]]
    if chain["panic"] == "probe" and any(is_out):
        return "no provider is usable; one with an open circuit may be probed, once a second"
    return "no provider is usable"


def _standing_of(provider: Mapping[str, Any]) -> str:
    """Whether a provider is in or out, and why; what is amiss with its account on top."""
    account = provider["account"]
    told = f"; account {account['state']}: {account['summary']}"
    return _standing(provider) + ("" if account["state"] in ("ready", "unknown") else told)


def _standing(provider: Mapping[str, Any]) -> str:
    circuit = provider["circuit"]
    if provider["usable"]:
        return f"in   circuit {circuit['state']} {circuit['failures']}{_money(provider)}"
    why = provider["skipped_because"]
    if provider["missing"]:
        why += f", lacks {', '.join(provider['missing'])}"
    if provider["broken"]:
        why += f", {provider['broken']}"
    waits = provider["throttled_for"] or circuit["seconds_to_half_open"]
    if why == "preflight":
        waits = provider["account"]["next_check_in"]
    return f"out  {why}" + (f", for {waits:.0f} s more" if waits else "") + _money(provider)


def _money(provider: Mapping[str, Any]) -> str:
    """What it costs, and how far its budget is."""
    cost = provider.get("cost")
    if not cost:
        return ""
    told = f"; {cost['price']}"
    if cost["free_left"] is not None:
        told += f" ({cost['free_left']} left)"
    for window, spent in (("monthly", "spent_this_month"), ("daily", "spent_today")):
        if cost["budget"] and cost["budget"][window]:
            told += f"; {cost[spent]} of {cost['budget'][window]} {cost['currency']} {window}"
    return told


_WHY_MOVED = {
    "soft_budget": "most of a budget is spent",
    "dearer": "the chain asks the cheapest first",
}


def print_settings(shown: Mapping[str, Any]) -> None:
    """One line a setting: its dotted path, its value as JSON, and where it came from."""
    origins = shown["origins"]
    for path, value in _leaves({k: v for k, v in shown.items() if k != "origins"}, ""):
        origin = origins.get(path)
        click.echo(f"{path}: {json.dumps(value)}" + (f"  # {origin}" if origin else ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from _leaves(item, f"{path}.{key}" if path else key)
        else:
            for number, item in enumerate(value):
                yield from _leaves(item, f"{path}[{number}]")
    else:
        yield path, value
