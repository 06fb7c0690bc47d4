"""What a SendGrid account says of itself: what the API key may do, and how many mails are left."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidecar import AccountReport, AccountState, Reply

LOW = 0.1
"""The part of the credits from which on their end is announced."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Facts = dict[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class KeyReport(AccountReport):
    """A report that also holds the scopes of the API key; those are never shown in `/health`."""

    scopes: tuple[str, ...] = ()


def report(scopes: list[object], balance: Reply | None) -> KeyReport:
    """What the answers make. `balance` is None, or a refusal, where the key may not ask for it."""
    texts = tuple(scope for scope in scopes if isinstance(scope, str))
    facts: Facts = {"scopes": len(scopes)} | (_credits(balance) if balance else {})
    if "mail.send" not in scopes:
        told = "the API key lacks the scope mail.send: give it Mail Send in SendGrid's API keys"
        return KeyReport(AccountState.BLOCKED, told, facts, scopes=texts)
    state, told = _judge(facts)
    return KeyReport(state, told, facts, scopes=texts)


def cannot_be_seen() -> AccountReport:
    """The report for a key that may not ask for its own scopes: it may send all the same."""
    told = "the API key may not ask for its own scopes, so whether it may send cannot be seen"
    return AccountReport(AccountState.DEGRADED, told)


def _judge(facts: Facts) -> tuple[AccountState, str]:
    left, total = facts.get("credits_left"), facts.get("credits_total")
    until = f" until {facts['credits_reset']}" if "credits_reset" in facts else ""
    if not isinstance(left, int) or not isinstance(total, int):
        return AccountState.READY, "the API key may send mail"
    if left <= 0 and facts.get("credits_period") == "daily":
        # The plans that count by the day, trial and free, know no overage.
        told = f"the day's {total} credits are used up{until}: wait, or upgrade the plan"
        return AccountState.BLOCKED, told
    if left <= 0:
        told = (
            f"the {total} credits are used up{until}: mails cost extra or are refused, "
            "as the plan says; upgrade it"
        )
        return AccountState.DEGRADED, told
    if left < LOW * total:
        told = f"{left} of {total} credits are left{until}: upgrade the plan if that is too few"
        return AccountState.DEGRADED, told
    return AccountState.READY, f"the API key may send mail; {left} of {total} credits are left"


def _credits(reply: Reply) -> Facts:
    """`GET /v3/user/credits`, as far as it says something; `remain` is null without a limit."""
    found = reply.json() if reply.status == 200 else {}
    facts: Facts = {}
    for name, fact in (("remain", "credits_left"), ("total", "credits_total")):
        value = found.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            facts[fact] = value
    if found.get("reset_frequency") in ("daily", "weekly", "monthly"):
        facts["credits_period"] = str(found["reset_frequency"])
    if match := _DATE.match(str(found.get("next_reset") or "")):
        facts["credits_reset"] = match[0]
    return facts
