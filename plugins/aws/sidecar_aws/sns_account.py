"""What an SNS account says of itself: is it in the SMS sandbox, what may it spend in a month."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from sidecar import AccountReport, DeliveryError, Money, Reply, Verified
from sidecar_aws.errors import SNS, classify
from sidecar_aws.findings import Findings, is_denied, is_not_offered
from sidecar_aws.wire import Wire, countdown

VERSION = "2010-03-31"
LEAVE = "ask to leave it in the SNS console, under Text messaging"
FIRST_LIMIT = 1.0
"""USD a month that a new account may spend on SMS (SNS developer guide, "Requesting increases")."""
_LIMIT = re.compile(
    rb"<key>\s*MonthlySpendLimit\s*</key>\s*<value>\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*</value>"
)
_NUMBER = re.compile(
    rb"<PhoneNumber>\s*(\+[0-9]{2,20})\s*</PhoneNumber>\s*<Status>\s*(\w{1,20})\s*</Status>"
)
_MORE = re.compile(rb"<NextToken>[^<]")
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
    reply = await wire.query(_fields("GetSMSSandboxAccountStatus"), timeout=left())
    if _is_in_sandbox(findings, reply):
        findings.sandbox(await _verified(wire, left), "numbers", LEAVE)
    told = "SNS can send SMS" if findings.facts else "SNS answers, but tells no limits"
    return findings.report(told)


def _judge_limit(findings: Findings, reply: Reply) -> None:
    match = _LIMIT.search(reply.body)
    if match is None:  # never set: the account's own limit holds, and no call tells it
        return
    limit = float(match[1])
    findings.facts["monthly_spend_limit_usd"] = limit
    findings.monthly_limit = Money(Decimal(match[1].decode()), "USD")
    if limit <= 0:
        findings.blocked.append("the monthly spend limit for SMS is 0 USD: ask AWS for more")
    elif limit <= FIRST_LIMIT:
        # At the limit SNS goes on to answer with ids, and sends nothing.
        findings.degraded.append(
            f"the monthly spend limit for SMS is {limit:g} USD, and texts beyond it are lost "
            "without an error: ask AWS for more"
        )


def _is_in_sandbox(findings: Findings, reply: Reply) -> bool:
    match = _SANDBOX.search(reply.body)
    if reply.status == 200 and match is not None:
        findings.facts["sandbox"] = match[1] == b"true"
    elif is_denied(reply):
        findings.degraded.append(
            "the sandbox cannot be looked up: allow sns:GetSMSSandboxAccountStatus"
        )
    elif not is_not_offered(reply):
        raise classify(SNS, reply)
    return findings.facts.get("sandbox") is True


async def _verified(wire: Wire, left: Callable[[], float]) -> Verified | None:
    """The verified numbers; None where they cannot be listed, or one page does not hold them.

    The sandbox takes 10 (SNS developer guide, "SMS sandbox"), a page 100.
    """
    try:
        reply = await wire.query(_fields("ListSMSSandboxPhoneNumbers"), timeout=left())
    except DeliveryError:  # the account itself was reached: that alone must not fail the check
        return None
    if reply.status != 200 or b"PhoneNumbers" not in reply.body or _MORE.search(reply.body):
        return None
    found = _NUMBER.findall(reply.body)
    if len(found) != reply.body.count(b"<PhoneNumber>"):  # not written as it was when we learnt it
        return None
    return Verified(number.decode() for number, status in found if status == b"Verified")


def _fields(action: str) -> dict[str, str]:
    return {"Action": action, "Version": VERSION}
