"""What an account of End User Messaging says of itself: is it in the sandbox, what may it spend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar import AccountReport, Reply
from sidecar_aws.eum_errors import classify_eum, reason_of
from sidecar_aws.findings import Findings, is_denied, is_not_offered
from sidecar_aws.wire import Wire, countdown

LIMITS = "PinpointSMSVoiceV2.DescribeSpendLimits"
ATTRIBUTES = "PinpointSMSVoiceV2.DescribeAccountAttributes"
TEXTS = "TEXT_MESSAGE_MONTHLY_SPEND_LIMIT"
FIRST_LIMIT = 1.0
"""USD a month that a new account may spend on SMS (the SMS user guide, "Sandbox")."""
_ALL = b'{"MaxResults": 100}'
"""More than there are: five limits, two attributes."""


async def report(wire: Wire, *, timeout: float) -> AccountReport:
    """Ask for the spend limits, then for the sandbox, within `timeout` seconds.

    Raises a `DeliveryError` where the account cannot be reached, or is switched off.
    """
    left = countdown(timeout)
    findings = Findings()
    reply = await wire.post_json(LIMITS, _ALL, timeout=left())
    if _lacks_permission(reply):
        findings.degraded.append(
            "the spend limit cannot be read: allow sms-voice:DescribeSpendLimits"
        )
    elif reply.status == 200:
        _judge_limit(findings, _named(reply, "SpendLimits").get(TEXTS, {}))
    else:
        raise classify_eum(reply)
    _judge_sandbox(findings, await wire.post_json(ATTRIBUTES, _ALL, timeout=left()))
    told = "AWS can send SMS" if findings.facts else "AWS answers, but tells no limits"
    return findings.report(told)


def _judge_limit(findings: Findings, limit: Mapping[str, Any]) -> None:
    most, enforced = _dollars(limit.get("MaxLimit")), _dollars(limit.get("EnforcedLimit"))
    if most is None or enforced is None:
        return
    # An enforced limit counts where it was set by hand (service model, `SpendLimit`).
    now = enforced if limit.get("Overridden") is True else most
    findings.facts |= {"monthly_spend_limit_usd": now, "monthly_spend_limit_most_usd": most}
    mend = "ask AWS for more" if now >= most else f"it may be raised to {most:g} USD in the console"
    if now <= 0:
        findings.blocked.append(f"the monthly spend limit for SMS is 0 USD: {mend}")
    elif now <= FIRST_LIMIT:
        findings.degraded.append(
            f"the monthly spend limit for SMS is {now:g} USD, and texts beyond it are throttled: "
            f"{mend}"
        )


def _judge_sandbox(findings: Findings, reply: Reply) -> None:
    if reply.status == 200:
        tier = _named(reply, "AccountAttributes").get("ACCOUNT_TIER", {}).get("Value")
        if tier is None:
            return
        sandbox = str(tier).upper() == "SANDBOX"
        findings.facts["sandbox"] = sandbox
        if sandbox:
            findings.degraded.append(
                "the account is in the SMS sandbox, verified numbers only: ask AWS to leave it"
            )
    elif _lacks_permission(reply):
        findings.degraded.append(
            "the sandbox cannot be looked up: allow sms-voice:DescribeAccountAttributes"
        )
    elif not is_not_offered(reply):
        raise classify_eum(reply)


def _lacks_permission(reply: Reply) -> bool:
    # With a reason the account itself is switched off, and no permission would help.
    return is_denied(reply) and reason_of(reply.json()) is None


def _named(reply: Reply, key: str) -> Mapping[str, Mapping[str, Any]]:
    """The entries of a list in the answer by their names."""
    entries = reply.json().get(key)
    found = entries if isinstance(entries, list) else []
    return {str(one.get("Name")): one for one in found if isinstance(one, dict)}


def _dollars(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
