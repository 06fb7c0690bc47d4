"""`aws verify-sender` and `aws sender-status`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parseaddr
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidecar.commands import (
    EX_NEGATIVE,
    CommandFailed,
    account_options,
    ask_first,
    say,
    show,
    yes_option,
)
from sidecar_aws.ses_account import identities_of

if TYPE_CHECKING:
    from sidecar_aws.calls import Account

_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
_IDENTITY = re.compile(rf"(?:[^\s@,;<>()\"\\]{{1,64}}@)?{_DOMAIN}")
DKIM_ZONE = "dkim.amazonses.com"
"""Where the keys of Easy DKIM are, in regions that name no other (SES developer guide)."""
PAGES = 20
"""Answers of `ListEmailIdentities` that are asked for, 100 identities each."""


def _identity(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    if text is not None and not _IDENTITY.fullmatch(text):
        raise click.BadParameter("is an e-mail address or a domain, such as codes@example.com")
    return text


@click.command("verify-sender")
@click.argument("address", callback=_identity)
@account_options
@yes_option
def verify_sender(
    address: str, config: Path, provider: str | None, as_json: bool, yes: bool
) -> None:
    """Ask AWS to verify ADDRESS, or a domain, as a sender of SES.

    To an address AWS sends a mail with a link that is good for a day; for a domain it gives three
    records for the DNS, which are printed.
    """
    from sidecar_aws.calls import account
    from sidecar_aws.refusals import Refused

    ses = account("sesv2", config, provider)
    ask_first(ses.plan("CreateEmailIdentity", {"EmailIdentity": address}), yes=yes)
    created = True
    try:
        answer = ses.call(
            "CreateEmailIdentity", has="VerifiedForSendingStatus", EmailIdentity=address
        )
    except Refused as error:
        if error.code != "AlreadyExistsException":
            raise
        created = False
        answer = ses.call("GetEmailIdentity", has="VerifiedForSendingStatus", EmailIdentity=address)
    verified = answer["VerifiedForSendingStatus"] is True
    records = _records(address, answer)
    told = {"region": ses.region, "identity": address, "created": created, "verified": verified}
    show({**told, "dns": records}, map(_record, records), as_json=as_json)
    say(_next_step(address, created=created, verified=verified, records=bool(records)))


@click.command("sender-status")
@click.argument("address", required=False, callback=_identity)
@account_options
def sender_status(address: str | None, config: Path, provider: str | None, as_json: bool) -> None:
    """Say whether ADDRESS may send, by itself or by its domain; exit 0 for yes, 1 for no.

    Without ADDRESS it is the configured sender's, or where none is configured every identity's.
    """
    from sidecar_aws.calls import account

    ses = account("sesv2", config, provider)
    chosen = address or _configured(ses)
    if chosen is None:
        found = list(_all(ses))
        show({"region": ses.region, "identities": found}, map(_line, found), as_json=as_json)
        if not found:
            say(f"there is no identity in {ses.region}; `aws verify-sender` begins one")
        raise SystemExit(EX_NEGATIVE * (not any(one["verified"] for one in found)))
    found = [one for name in identities_of(chosen) if (one := _look_up(ses, name))]
    covers = next((one["identity"] for one in found if one["verified"]), None)
    told = {"region": ses.region, "address": chosen, "verified": covers is not None}
    show({**told, "covered_by": covers, "identities": found}, map(_line, found), as_json=as_json)
    if covers is None:
        what = "is not verified yet" if found else "is not known, nor is its domain"
        raise CommandFailed(f"{chosen} {what} in {ses.region}{_hint(found)}", EX_NEGATIVE)
    say(f"{chosen} may send in {ses.region}")


def _configured(ses: Account) -> str | None:
    settings = ses.chosen.settings if ses.chosen is not None else None
    return parseaddr(getattr(settings, "sender", ""))[1] or None


def _look_up(ses: Account, identity: str) -> dict[str, Any] | None:
    from sidecar_aws.refusals import Refused

    try:
        answer = ses.call(
            "GetEmailIdentity", has="VerifiedForSendingStatus", EmailIdentity=identity
        )
    except Refused as error:
        if error.code == "NotFoundException":
            return None
        raise
    verified = answer["VerifiedForSendingStatus"] is True
    return {
        "identity": identity,
        "verified": verified,
        "status": answer.get("VerificationStatus") or ("SUCCESS" if verified else None),
        "dkim": answer.get("DkimAttributes", {}).get("Status"),
        "dns": [] if verified else _records(identity, answer),
    }


def _all(ses: Account) -> Iterator[dict[str, Any]]:
    token: dict[str, str] = {}
    for _ in range(PAGES):
        answer = ses.call("ListEmailIdentities", has="EmailIdentities", PageSize=100, **token)
        for one in answer["EmailIdentities"]:
            status = one.get("VerificationStatus")
            verified = status == "SUCCESS" if status else one.get("SendingEnabled") is True
            yield {"identity": one.get("IdentityName"), "verified": verified, "status": status}
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}
    say(f"there are more than {PAGES * 100} identities; these are the first")


def _records(identity: str, answer: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the DNS of a domain must say for Easy DKIM; an address has none."""
    dkim = answer.get("DkimAttributes", {})
    if "@" in identity:
        return []
    zone = dkim.get("SigningHostedZone") or DKIM_ZONE
    return [
        {"name": f"{t}._domainkey.{identity}", "type": "CNAME", "value": f"{t}.{zone}"}
        for t in dkim.get("Tokens") or ()
    ]


def _record(record: Mapping[str, str]) -> str:
    return f"{record['name']} {record['type']} {record['value']}"


def _line(one: Mapping[str, Any]) -> str:
    standing = "verified" if one["verified"] else "not verified"
    return f"{one['identity']:<40} {standing:<13} {one['status'] or ''}".rstrip()


def _hint(found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return ": see `otp-sidecar aws verify-sender`"
    if any("@" in one["identity"] for one in found):
        return ": open the link in AWS's mail to it"
    return ": its domain's DNS records are not found yet"


def _next_step(identity: str, *, created: bool, verified: bool, records: bool) -> str:
    if verified:
        return f"{identity} is {'' if created else 'already '}verified"
    asked = "AWS was asked" if created else "AWS was asked before, and waits"
    if "@" in identity:
        anew = "" if created else "; for a new mail, delete the identity in the SES console first"
        return f"{asked}: open the link in its mail to {identity}, within 24 hours{anew}"
    where = "put these records into" if records else "see the SES console for the records of"
    return f"{asked}: {where} the DNS of {identity}; it is looked at for 72 hours"
