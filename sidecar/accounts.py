"""Reaching an account without sending: for `check --online`, and for the running sidecar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from sidecar import aside, logs, transport
from sidecar.config import Config, ProviderSection
from sidecar.delivery.account import UNKNOWN, UNREACHABLE, Finding
from sidecar.delivery.clock import Clock
from sidecar.delivery.errors import DeliveryError, Misconfigured
from sidecar.delivery.provider import AccountReport, AccountState, Provider
from sidecar.delivery.whereabouts import name_of
from sidecar.guests import Slow, bounded, named, why_refused

NOTHING_TO_CHECK = Finding(UNKNOWN, "this kind has no account to reach")
NOTHING = replace(NOTHING_TO_CHECK, state="nothing_to_check")
NOT_ENDED = Finding(UNREACHABLE, "its check did not end: a plugin held it up, or cancelled it")
SUMMARY_LIMIT, MOST_FACTS = 500, 32
"""Characters of a plugin's words, and facts, that are taken."""

_HUGE = 2**63

Report = dict[str, Any]
Fact = str | int | float | bool


def reach_accounts(config: Config, timeout: float) -> Sequence[Report]:
    """One report a provider, in the file's order; `timeout` in seconds for each, all at once.

    `state` is one of `delivery.account.STATES` without `unknown`, or `nothing_to_check`,
    `not_configured` or `disabled`. For a command: what a library says goes to stderr, as in a log.
    """
    logs.redactor.add(config.secrets)
    logs.configure(stream=sys.stderr)
    transport.use(config.http_client)
    sections = list(config.providers.values())
    found = aside.gather([partial(_check, one, timeout) for one in sections], timeout)
    return [
        one or _report(section, NOT_ENDED) for one, section in zip(found, sections, strict=True)
    ]


def reach(
    opened: Callable[[], AbstractAsyncContextManager[Provider[Any]]], name: str, timeout: float
) -> Finding:
    """`ask` for a command, on a loop of its own."""
    (found,) = aside.gather([partial(ask, opened, name, timeout)], timeout)
    return found or NOT_ENDED


async def ask(
    opened: Callable[[], AbstractAsyncContextManager[Provider[Any]]],
    name: str,
    timeout: float,
    clock: Clock | None = None,
) -> Finding:
    """How the check of `opened()` ended, whatever it did: raise, hang, return something else.

    `name` is the provider's, `timeout` in seconds. The words are short and without secrets.
    """
    found: list[Finding] = []
    cls: type[Provider[Any]] | None = None

    async def call() -> None:
        nonlocal cls
        async with opened() as one:
            cls = type(one)
            found.append(_read(await one.check(timeout=timeout)))

    ended = await bounded(call, f"check {name}", timeout, clock)
    # A close that failed changes nothing.
    return found[0] if found else _failed(ended, timeout, cls)


def _read(given: object) -> Finding:
    match given:
        case None:
            return NOTHING_TO_CHECK
        case AccountReport(AccountState() as state, str() as summary, facts):
            told = replace(given, summary=_clean(summary), facts=_printable(facts))
            return Finding(state.value, told.summary, told.facts, told)
        case AccountReport():
            what = "an AccountReport without a state or a summary"
        case _:
            what = f"{name_of(type(given))}, not an AccountReport"
    return Finding(UNREACHABLE, f"the plugin returned {what}")


def _failed(
    ended: BaseException | None, timeout: float, cls: type[Provider[Any]] | None
) -> Finding:
    if isinstance(ended, TimeoutError | Slow):
        return Finding(UNREACHABLE, f"no answer within {timeout:.0f} s")
    if not isinstance(ended, DeliveryError):  # no more of it: its text may carry a secret
        raised = "nothing, and gave no answer" if ended is None else named(ended, cls)
        return Finding(UNREACHABLE, _clean(f"the plugin raised {raised}"))
    told = _clean(why_refused(ended))
    if isinstance(ended, Misconfigured):  # by its meaning nothing works until a person mends it
        report = AccountReport(AccountState.BLOCKED, told)
        return Finding(report.state.value, told, report=report)
    return Finding(UNREACHABLE, told)


async def _check(section: ProviderSection, timeout: float) -> Report:
    if not section.enabled:
        return _report(section, Finding("disabled", "switched off by `enabled: false`"))
    if section.settings is None or section.missing:
        return _report(section, Finding("not_configured", f"lacks {', '.join(section.missing)}"))
    found = await ask(lambda: section.cls(section.name, section.settings), section.name, timeout)
    return _report(section, NOTHING if found is NOTHING_TO_CHECK else found)


def _clean(words: str) -> str:
    whole = words[: 4 * SUMMARY_LIMIT].encode("utf-8", "replace").decode()
    return " ".join(logs.redactor.clean(whole).split())[:SUMMARY_LIMIT]


def _printable(facts: object) -> dict[str, Fact]:
    """The facts that are as they should be; a plugin need not be typed."""
    given = facts if isinstance(facts, Mapping) else {}
    return {
        _clean(name): _clean(value) if isinstance(value, str) else value
        for name, value in islice(given.items(), MOST_FACTS)
        if isinstance(name, str) and _is_fact(value)
    }


def _is_fact(value: object) -> bool:
    # JSON has no word for what is not finite, and Python none for a number of 5,000 digits.
    number = isinstance(value, int | float) and abs(value) < _HUGE
    return number or isinstance(value, str)


def _report(section: ProviderSection, found: Finding) -> Report:
    return {
        "provider": section.name,
        "kind": section.kind,
        "state": found.state,
        "summary": found.summary,
        "facts": dict(found.facts),
    }
