"""What an SNS account says of itself: is it in the SMS sandbox, what may it spend in a month."""

from __future__ import annotations

import re

from sidecar import AccountReport, Reply
from sidecar_aws.errors import SNS, classify
from sidecar_aws.findings import Findings, is_denied, is_not_offered
from sidecar_aws.wire import Wire, countdown

VERSION = "2010-03-31"
FIRST_LIMIT = 1.0
"""USD a month that a new account may spend on SMS (SNS developer guide, "Requesting increases")."""
_LIMIT = re.compile(
    rb"<key>\s*MonthlySpendLimit\s*</key>\s*<value>\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*</value>"
)
_SANDBOX = re.compile(rb"<IsInSandbox>\s*(true|false)\s*</IsInSandbox>")


async def report(wire: Wire, *, timeout: float) -> AccountReport:
    """Ask for the SMS attributes, then for the sandbox, within `timeout` seconds.

    Raises a `DeliveryError` where the account cannot be reached.
    """
    left = countdown(timeout)
    findings = Findings()
    reply = await wire.query(_fields("GetSMSAttributes"), timeout=left())
    if is_denied(reply):
        findings.degraded.append("the spend limit cannot be read: allow sns:GetSMSAttributes")
    elif reply.status == 200:
        _judge_limit(findings, reply)
    else:
        raise classify(SNS, reply)
    _judge_sandbox(
        findings, await wire.query(_fields("GetSMSSandboxAccountStatus"), timeout=left())
    )
    told = "SNS can send SMS" if findings.facts else "SNS answers, but tells no limits"
    return findings.report(told)


def _judge_limit(findings: Findings, reply: Reply) -> None:
    match = _LIMIT.search(reply.body)
    if match is None:  # never set: the account's own limit holds, and no call tells it
        return
    limit = float(match[1])
    findings.facts["monthly_spend_limit_usd"] = limit
    if limit <= 0:
        findings.blocked.append("the monthly spend limit for SMS is 0 USD")
    elif limit <= FIRST_LIMIT:
        # At the limit SNS goes on to answer with ids, and sends nothing.
        findings.degraded.append(
            f"the monthly spend limit for SMS is {limit:g} USD, and texts beyond it are lost "
            "without an error: ask AWS for more"
        )


def _judge_sandbox(findings: Findings, reply: Reply) -> None:
    match = _SANDBOX.search(reply.body)
    if reply.status == 200 and match is not None:
        sandbox = match[1] == b"true"
        findings.facts["sandbox"] = sandbox
        if sandbox:
            findings.degraded.append(
                "the account is in the SMS sandbox, verified numbers only: ask AWS to leave it"
            )
    elif is_denied(reply):
        findings.degraded.append(
            "the sandbox cannot be looked up: allow sns:GetSMSSandboxAccountStatus"
        )
    elif not is_not_offered(reply):
        raise classify(SNS, reply)


def _fields(action: str) -> dict[str, str]:
    return {"Action": action, "Version": VERSION}
