"""Reaching every configured account without sending: what `check --online` prints."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from sidecar import logs, transport
from sidecar.config import Config, ProviderSection
from sidecar.delivery.errors import DeliveryError
from sidecar.delivery.provider import AccountReport, AccountState
from sidecar.guests import Slow, bounded, why_broken

Report = dict[str, Any]


def reach_accounts(config: Config, timeout: float) -> Sequence[Report]:
    """`check_accounts` for a command: what a library says goes to stderr, as in a log."""
    logs.redactor.add(config.secrets)
    logs.configure(stream=sys.stderr)
    transport.use(config.http_client)
    return asyncio.run(check_accounts(config, timeout))


async def check_accounts(config: Config, timeout: float) -> Sequence[Report]:
    """One report a provider, in the file's order; `timeout` in seconds for each, all at once.

    `state` is `ready`, `degraded` or `blocked` as the provider says, `unreachable` where it could
    not ask, `nothing_to_check`, `not_configured` or `disabled`.
    """
    return await asyncio.gather(*(_check(one, timeout) for one in config.providers.values()))


async def _check(section: ProviderSection, timeout: float) -> Report:
    if not section.enabled:
        return _report(section, "disabled", "switched off by `enabled: false`")
    if section.settings is None or section.missing:
        return _report(section, "not_configured", f"lacks {', '.join(section.missing)}")
    found: list[object] = []

    async def ask() -> None:
        async with section.cls(section.name, section.settings) as one:
            found.append(await one.check(timeout=timeout))

    ended = await bounded(ask, f"check {section.name}", timeout)
    if not found:
        return _report(section, "unreachable", _why(ended, timeout))
    match found[0]:  # also where its closing failed, or took too long
        case None:
            return _report(section, "nothing_to_check", "this kind has no account to reach")
        case AccountReport(AccountState() as state, str() as summary, facts):
            told = logs.redactor.clean(summary)
            return {**_report(section, state.value, told), "facts": _printable(facts)}
        case other:
            what = f"the plugin returned {type(other).__name__}, not an AccountReport"
            return _report(section, "unreachable", what)


def _why(ended: BaseException | None, timeout: float) -> str:
    if isinstance(ended, TimeoutError | Slow):
        return f"no answer within {timeout:.0f} s"
    if isinstance(ended, DeliveryError):
        code = getattr(ended, "code", None)
        return logs.redactor.clean(f"{why_broken(ended)}{f' ({code})' if code else ''}")
    return f"the plugin raised {type(ended).__name__}"  # no more: its text may carry a secret


def _printable(facts: object) -> dict[str, str | int | float | bool]:
    """The facts that are as they should be; a plugin need not be typed."""
    given = facts if isinstance(facts, Mapping) else {}
    return {
        name: value
        for name, value in given.items()
        if isinstance(name, str) and isinstance(value, str | int | float | bool)
    }


def _report(section: ProviderSection, state: str, summary: str) -> Report:
    return {
        "provider": section.name,
        "kind": section.kind,
        "state": state,
        "summary": summary,
        "facts": {},
    }
