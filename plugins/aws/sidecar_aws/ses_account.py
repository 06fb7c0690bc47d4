"""What an SES account says of itself: may it send, how much is left, is the sender verified."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from sidecar import AccountReport, DeliveryError, Reply, Throttled, Verified
from sidecar_aws.errors import SES, classify
from sidecar_aws.findings import Findings, is_denied, is_not_offered
from sidecar_aws.wire import Wire, countdown

ACCOUNT = "/v2/email/account"
IDENTITIES = "/v2/email/identities/"
LIST = "/v2/email/list-identities"
"""`ListEmailIdentities` as botocore 1.44 asks for it: with a body, where it once had a query."""
PAGE = 500
"""Identities of one answer, so that it stays within the bound of a reply."""
PAUSE = 1.1
"""Seconds after which a call is let in again: AWS takes one a second of most, but for sends (SES
developer guide, "Service quotas")."""
PAGES = 4
"""Answers that are asked for. Where there are more, nobody is called unverified."""
SIMULATOR = "simulator.amazonses.com"
"""Reached from the sandbox too (SES developer guide, "Using the mailbox simulator")."""
V1 = "2010-12-01"
READY = "SES can send"
LEAVE = "ask for production access in the SES console"
LOW = 0.1
"""The part of the daily quota from which on its end is announced."""
QUOTA = ("Max24HourSend", "SentLast24Hours", "MaxSendRate")
_QUOTA = re.compile(rb"<(Max24HourSend|SentLast24Hours|MaxSendRate)>([0-9.eE+-]{1,20})<")
# What yarl leaves as it is in a path: the path that is signed has to be the one that is sent.
_SAFE = "@!$&'*+=~"


async def report(wire: Wire, sender: str, *, timeout: float) -> AccountReport:
    """Ask for the account, then for the identities that may cover `sender`, within `timeout` s.

    Raises a `DeliveryError` where the account cannot be reached.
    """
    left = countdown(timeout)
    findings = Findings()
    reply = await _read(wire, ACCOUNT, left)
    if is_not_offered(reply):
        await _report_v1(findings, wire, sender, left)
        return findings.report(READY)
    if is_denied(reply):
        findings.degraded.append("the account cannot be read: allow ses:GetAccount")
    elif reply.status == 200 and "SendQuota" in reply.json():
        _judge_account(findings, reply.json())
        if findings.facts["sandbox"]:
            findings.sandbox(await _verified(wire, left), "addresses or domains", LEAVE)
    else:
        raise classify(SES, reply)
    _judge_sender(findings, verified=await _is_verified(findings, wire, sender, left))
    return findings.report(READY)


def refusal(to: str, report: AccountReport) -> str | None:
    """Why an account in the sandbox surely refuses the address `to`; None where it may not."""
    if report.verified is None:
        return None
    local, _, domain = to.casefold().rpartition("@")
    # A label after `+` needs no verification of its own (SES developer guide).
    covering = [*identities_of(to), f"{local.partition('+')[0]}@{domain}"]
    if domain == SIMULATOR or report.verified.holds(*covering):
        return None
    return "the SES account is in the sandbox, and the recipient is not verified there"


def _judge_account(findings: Findings, account: Mapping[str, Any]) -> None:
    enforcement = str(account.get("EnforcementStatus", "HEALTHY"))
    sandbox = account.get("ProductionAccessEnabled") is False
    findings.facts |= {"sandbox": sandbox, "enforcement": enforcement[:20]}
    if enforcement == "SHUTDOWN":
        findings.blocked.append(
            "AWS has stopped this account from sending: answer its case in the AWS Support Center"
        )
    elif account.get("SendingEnabled") is False:
        findings.blocked.append(
            "sending is paused for this account and region: resume it in the SES console"
        )
    if enforcement not in ("HEALTHY", "SHUTDOWN"):
        findings.degraded.append(
            "AWS has this account on probation and may stop it: see its case in the Support Center"
        )
    quota = account["SendQuota"]
    _judge_quota(findings, quota if isinstance(quota, Mapping) else {})


def _judge_quota(findings: Findings, quota: Mapping[str, Any]) -> None:
    most, sent, rate = (_number(quota.get(name)) for name in QUOTA)
    if most is None or sent is None:
        findings.degraded.append("what AWS answered about the daily quota cannot be read")
        return
    if most < 0:  # -1: no limit
        return
    left = max(0.0, most - sent)
    findings.facts |= {"quota_per_day": most, "quota_left": left}
    if rate is not None:
        findings.facts["sends_per_second"] = rate
    if left < 1:
        findings.blocked.append(
            f"the daily quota of {most:.0f} mails is used up: some comes back every hour, "
            "and AWS raises it on request"
        )
    elif left < LOW * most:
        findings.degraded.append(
            f"{left:.0f} of {most:.0f} mails are left for these 24 hours: "
            "ask AWS for a higher quota"
        )


async def _verified(wire: Wire, left: Callable[[], float]) -> Verified | None:
    """The verified identities; None where they cannot be listed, or there are too many."""
    names: list[str] = []
    asked: dict[str, Any] = {"PageSize": PAGE}
    for _ in range(PAGES):
        try:
            reply = await wire.call(
                "POST",
                LIST,
                content_type="application/json",
                body=json.dumps(asked).encode(),
                timeout=left(),
            )
        except DeliveryError:  # the account itself was reached: that alone must not fail the check
            return None
        page = reply.json().get("EmailIdentities")
        if reply.status != 200 or not isinstance(page, list):
            return None
        names += _verified_in(page)
        token = reply.json().get("NextToken")
        if not token:
            return Verified(names)
        asked["NextToken"] = str(token)
    return None


def _verified_in(page: Iterable[Any]) -> Iterator[str]:
    for one in page:
        match one:
            case {"IdentityName": str(name), "VerificationStatus": "SUCCESS"}:
                yield name
            case {"IdentityName": str(name), "SendingEnabled": True}:
                yield name


async def _is_verified(
    findings: Findings, wire: Wire, sender: str, left: Callable[[], float]
) -> bool | None:
    """Whether an identity that covers `sender` is verified; None where that may not be asked."""
    for identity in identities_of(sender):
        path = IDENTITIES + quote(identity, safe=_SAFE)
        reply = await _read(wire, path, left)
        if is_denied(reply):
            findings.degraded.append("the sender cannot be looked up: allow ses:GetEmailIdentity")
            return None
        if reply.status == 200 and reply.json().get("VerifiedForSendingStatus") is True:
            return True
        if isinstance(error := classify(SES, reply), Throttled):
            return None
        if reply.status not in (200, 404):
            raise error
    return False


async def _read(wire: Wire, path: str, left: Callable[[], float]) -> Reply:
    """The answer to a GET; where AWS says that we ask too fast, to the second one."""
    reply = await wire.call("GET", path, timeout=left())
    if isinstance(classify(SES, reply), Throttled) and left() > 2 * PAUSE:
        await asyncio.sleep(PAUSE)
        reply = await wire.call("GET", path, timeout=left())
    return reply


def _judge_sender(findings: Findings, *, verified: bool | None) -> None:
    if verified is None:
        return
    findings.facts["sender_verified"] = verified
    if not verified:
        findings.blocked.append(
            "neither the sender nor its domain is verified in this region: "
            "verify one in the SES console"
        )


async def _report_v1(
    findings: Findings, wire: Wire, sender: str, left: Callable[[], float]
) -> None:
    """The same from SES v1, for endpoints that stand in for SES and know no more."""
    reply = await wire.query({"Action": "GetSendQuota", "Version": V1}, timeout=left())
    if is_denied(reply):
        findings.degraded.append("the quota cannot be read: allow ses:GetSendQuota")
        return
    quota = {name.decode(): _number(value.decode()) for name, value in _QUOTA.findall(reply.body)}
    if reply.status != 200 or "Max24HourSend" not in quota:
        raise classify(SES, reply)
    _judge_quota(findings, quota)
    fields = {"Action": "GetIdentityVerificationAttributes", "Version": V1}
    for number, identity in enumerate(identities_of(sender), start=1):
        fields[f"Identities.member.{number}"] = identity
    reply = await wire.query(fields, timeout=left())
    if reply.status == 200:
        verified = b"<VerificationStatus>Success</VerificationStatus>" in reply.body
        _judge_sender(findings, verified=verified)


def identities_of(sender: str) -> Iterator[str]:
    """The address, its domain, and at most two domains above: a verified one covers those below."""
    yield sender
    labels = sender.rpartition("@")[2].split(".")
    for depth in range(min(3, len(labels) - 1)):
        yield ".".join(labels[depth:])


def _number(value: object) -> float | None:
    """None where it is no number that a quota may be."""
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
