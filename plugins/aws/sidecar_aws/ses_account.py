"""What an SES account says of itself: may it send, how much is left, is the sender verified."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from sidecar import AccountReport
from sidecar_aws.errors import SES, classify
from sidecar_aws.findings import Findings, is_denied, is_not_offered
from sidecar_aws.wire import Wire, countdown

ACCOUNT = "/v2/email/account"
IDENTITIES = "/v2/email/identities/"
V1 = "2010-12-01"
READY = "SES can send"
LOW = 0.1
"""The part of the daily quota from which on its end is announced."""
_QUOTA = re.compile(rb"<(Max24HourSend|SentLast24Hours|MaxSendRate)>([0-9.eE+-]{1,20})<")
# What yarl leaves as it is in a path: the path that is signed has to be the one that is sent.
_SAFE = "@!$&'*+=~"


async def report(wire: Wire, sender: str, *, timeout: float) -> AccountReport:
    """Ask for the account, then for the identities that may cover `sender`, within `timeout` s.

    Raises a `DeliveryError` where the account cannot be reached.
    """
    left = countdown(timeout)
    findings = Findings()
    reply = await wire.call("GET", ACCOUNT, timeout=left())
    if is_not_offered(reply):
        await _report_v1(findings, wire, sender, left)
        return findings.report(READY)
    if is_denied(reply):
        findings.degraded.append("the account cannot be read: allow ses:GetAccount")
    elif reply.status == 200 and "SendQuota" in reply.json():
        _judge_account(findings, reply.json())
    else:
        raise classify(SES, reply)
    _judge_sender(findings, verified=await _is_verified(findings, wire, sender, left))
    return findings.report(READY)


def _judge_account(findings: Findings, account: Mapping[str, Any]) -> None:
    enforcement = str(account.get("EnforcementStatus", "HEALTHY"))
    sandbox = account.get("ProductionAccessEnabled") is False
    findings.facts |= {"sandbox": sandbox, "enforcement": enforcement[:20]}
    if account.get("SendingEnabled") is False:
        findings.blocked.append("sending is switched off for this account and region")
    if enforcement == "SHUTDOWN":
        findings.blocked.append("AWS has stopped this account: answer its case in the console")
    elif enforcement != "HEALTHY":
        findings.degraded.append("AWS has this account on probation: see its case in the console")
    if sandbox:
        findings.degraded.append(
            "the account is in the sandbox, verified recipients only: ask for production access"
        )
    _judge_quota(findings, account["SendQuota"])


def _judge_quota(findings: Findings, quota: Mapping[str, Any]) -> None:
    most, sent = (_number(quota.get(name)) for name in ("Max24HourSend", "SentLast24Hours"))
    if most < 0:  # -1: no limit
        return
    left = max(0.0, most - sent)
    findings.facts |= {"quota_per_day": most, "quota_left": left}
    findings.facts["sends_per_second"] = _number(quota.get("MaxSendRate"))
    if left < 1:
        findings.blocked.append("the daily quota is used up")
    elif left < LOW * most:
        findings.degraded.append(f"{left:.0f} of {most:.0f} mails are left for today")


async def _is_verified(
    findings: Findings, wire: Wire, sender: str, left: Callable[[], float]
) -> bool | None:
    """Whether an identity that covers `sender` is verified; None where that may not be asked."""
    for identity in _identities(sender):
        path = IDENTITIES + quote(identity, safe=_SAFE)
        reply = await wire.call("GET", path, timeout=left())
        if is_denied(reply):
            findings.degraded.append("the sender cannot be looked up: allow ses:GetEmailIdentity")
            return None
        if reply.status == 200 and reply.json().get("VerifiedForSendingStatus") is True:
            return True
        if reply.status not in (200, 404):
            raise classify(SES, reply)
    return False


def _judge_sender(findings: Findings, *, verified: bool | None) -> None:
    if verified is None:
        return
    findings.facts["sender_verified"] = verified
    if not verified:
        findings.blocked.append("neither the sender nor its domain is verified in this region")


async def _report_v1(
    findings: Findings, wire: Wire, sender: str, left: Callable[[], float]
) -> None:
    """The same from SES v1, for endpoints that stand in for SES and know no more."""
    reply = await wire.query({"Action": "GetSendQuota", "Version": V1}, timeout=left())
    quota = {name.decode(): _number(value.decode()) for name, value in _QUOTA.findall(reply.body)}
    if reply.status != 200 or "Max24HourSend" not in quota:
        raise classify(SES, reply)
    _judge_quota(findings, quota)
    fields = {"Action": "GetIdentityVerificationAttributes", "Version": V1}
    for number, identity in enumerate(_identities(sender), start=1):
        fields[f"Identities.member.{number}"] = identity
    reply = await wire.query(fields, timeout=left())
    if reply.status == 200:
        verified = b"<VerificationStatus>Success</VerificationStatus>" in reply.body
        _judge_sender(findings, verified=verified)


def _identities(sender: str) -> Iterator[str]:
    """The address, its domain, and at most two domains above: a verified one covers those below."""
    yield sender
    labels = sender.rpartition("@")[2].split(".")
    for depth in range(min(3, len(labels) - 1)):
        yield ".".join(labels[depth:])


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        return 0.0
