"""What a Twilio account says of itself: is it active, what is left, whom may a trial reach."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

from sidecar import AccountReport, AccountState, Reply, Unknown, Verified

LOW = 1
"""The balance, in the account's own currency, below which its end is announced."""
Facts = Mapping[str, str | int | float | bool]

_FACT = re.compile(r"[0-9A-Za-z.-]{1,32}")
_NUMBER = re.compile(r"\+[0-9]{2,20}")


def is_trial(account: Reply) -> bool:
    return _facts(account, "type") == {"type": "Trial"}


def verified_numbers(reply: Reply) -> Verified | None:
    """The numbers of `OutgoingCallerIds`; None where the answer does not hold them all.

    A trial has five at most, the one it was opened with from the start (Twilio, "Try out Twilio SMS
    Messaging"), so an empty list is no answer either.
    """
    found = reply.json()
    listed = found.get("outgoing_caller_ids")
    if reply.status != 200 or not isinstance(listed, list) or found.get("next_page_uri"):
        return None
    numbers = [one.get("phone_number") if isinstance(one, dict) else None for one in listed]
    known = [number for number in numbers if isinstance(number, str) and _NUMBER.fullmatch(number)]
    return Verified(known) if 0 < len(known) == len(listed) else None


def report(account: Reply, balance: Reply, verified: Verified | None) -> AccountReport:
    """What the answers make; raises `Unknown` where they say nothing that is understood."""
    facts: dict[str, str | int | float | bool] = {}
    facts |= _facts(account, "status", "type") | _facts(balance, "balance", "currency")
    status = facts.get("status")
    if verified is not None:
        facts["verified_recipients"] = len(verified)
    if status in ("suspended", "closed"):
        told = f"the account is {status}: see why in the Twilio Console"
        return AccountReport(AccountState.BLOCKED, told, facts)
    if degraded := [*_of_a_trial(facts, verified), *_of_the_balance(facts)]:
        told = "; ".join(degraded)
        return AccountReport(AccountState.DEGRADED, told, facts, verified=verified)
    if status == "active":
        return AccountReport(AccountState.READY, "the account is active", facts)
    if "balance" in facts:
        told = "the API key is good; it may not read the account's status"
        return AccountReport(AccountState.READY, told, facts)
    raise Unknown("the account's answer could not be understood")


def cannot_be_seen() -> AccountReport:
    """The report for an API key that may read neither: it may send all the same."""
    told = (
        "this API key may read neither the account nor its balance, or is not good any more: "
        "let it read one of them"
    )
    return AccountReport(AccountState.DEGRADED, told)


def _of_a_trial(facts: Facts, verified: Verified | None) -> Iterator[str]:
    if facts.get("type") == "Trial":
        count = "" if verified is None else f"{len(verified)} "
        reaches = f"a trial account reaches {count}verified numbers and nobody else"
        yield f"{reaches}: upgrade it in the Twilio Console"


def _of_the_balance(facts: Facts) -> Iterator[str]:
    try:
        left = Decimal(str(facts["balance"]))
    except (KeyError, InvalidOperation):
        return
    amount = f"{left} {facts.get('currency', '')}".strip()
    if left <= 0:
        yield f"the balance is used up ({amount}): top it up in the Twilio Console"
    elif left < LOW:
        yield f"the balance is nearly used up ({amount}): top it up in the Twilio Console"


def _facts(reply: Reply, *names: str) -> dict[str, str]:
    # By name: the account's document also holds its auth token and its owner's address.
    found = reply.json() if reply.status == 200 else {}
    facts = {name: str(found.get(name) or "") for name in names}
    return {name: value for name, value in facts.items() if _FACT.fullmatch(value)}
