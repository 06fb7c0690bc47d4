"""`aws production-access`, `aws spend-limit` and `aws quota`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidecar.commands import (
    EX_NEGATIVE,
    CommandFailed,
    account_options,
    ask_first,
    option,
    say,
    show,
    yes_option,
)

if TYPE_CHECKING:
    from sidecar_aws.calls import Account

MOST_CONTACTS = 4
"""Addresses that `PutAccountDetails` takes."""
LONGEST_USE_CASE = 5000
_LIMIT = "MonthlySpendLimit"
_LIMIT_SEEN = "sns.monthly_spend_limit_usd"


@click.command("production-access")
@option("--request", is_flag=True, help="Ask AWS to let the account out of the sandbox.")
@option("--use-case", metavar="TEXT", help="What is sent, to whom, and how they agreed to it.")
@option("--website", metavar="URL", help="The site that the mails are about.")
@option("--contact", "contacts", multiple=True, metavar="ADDRESS", help="Who hears of it; again.")
@option(
    "--mail-type",
    type=click.Choice(["transactional", "marketing"]),
    default="transactional",
    show_default=True,
    help="What most of the mails are.",
)
@option(
    "--language",
    type=click.Choice(["EN", "JA"]),
    default="EN",
    show_default=True,
    help="What AWS writes in.",
)
@account_options
@yes_option
def production_access(
    request: bool,
    use_case: str | None,
    website: str | None,
    contacts: Sequence[str],
    mail_type: str,
    language: str,
    config: Path,
    provider: str | None,
    as_json: bool,
    yes: bool,
) -> None:
    """Say whether SES is out of the sandbox (exit 0) or not (1); with --request, ask AWS for it.

    \b
    otp-sidecar aws production-access --request --contact ops@example.com
        --website https://example.com --use-case "Login codes to our customers"
    """  # noqa: D301  # click reads a backspace, and no backslash
    if not request and (use_case or website or contacts):
        raise click.UsageError("--use-case, --website and --contact are for --request: add it")
    details = _details(use_case, website, contacts, mail_type, language) if request else {}
    from sidecar_aws.calls import account

    ses = account("sesv2", config, provider)
    state = _access(ses)
    if not request or state["production_access"]:
        show(state, _access_lines(state), as_json=as_json)
        if request:
            say("there is nothing to ask for")
        raise SystemExit(EX_NEGATIVE * (not state["production_access"]))
    ask_first(ses.plan("PutAccountDetails", details), yes=yes)
    ses.call("PutAccountDetails", **details)
    show({**state, "requested": True}, ["requested"], as_json=as_json)
    say(
        "AWS was asked, and answers within a day or so, by mail and in a case of its Support Center"
    )


def _details(
    use_case: str | None,
    website: str | None,
    contacts: Sequence[str],
    mail_type: str,
    language: str,
) -> dict[str, Any]:
    if not use_case or not website or not contacts:
        raise click.UsageError("--request needs --use-case, --website and --contact")
    if len(use_case) > LONGEST_USE_CASE:
        raise click.UsageError(f"--use-case has at most {LONGEST_USE_CASE} characters")
    if not website.startswith(("https://", "http://")) or len(website) > 1000:
        raise click.UsageError("--website is an address such as https://example.com")
    if len(contacts) > MOST_CONTACTS or not all("@" in one for one in contacts):
        raise click.UsageError(f"--contact is an e-mail address, at most {MOST_CONTACTS} times")
    return {
        "MailType": mail_type.upper(),
        "WebsiteURL": website,
        "ContactLanguage": language,
        "UseCaseDescription": use_case,
        "AdditionalContactEmailAddresses": list(contacts),
        "ProductionAccessEnabled": True,
    }


def _access(ses: Account) -> dict[str, Any]:
    answer = ses.call("GetAccount", has="ProductionAccessEnabled")
    review = answer.get("Details", {}).get("ReviewDetails", {})
    return {
        "region": ses.region,
        "production_access": answer["ProductionAccessEnabled"] is True,
        "sending_enabled": answer.get("SendingEnabled"),
        "enforcement": answer.get("EnforcementStatus"),
        "review": {"status": review.get("Status"), "case": review.get("CaseId")},
    }


def _access_lines(state: Mapping[str, Any]) -> Iterator[str]:
    yield f"production access   {'yes' if state['production_access'] else 'no: the sandbox'}"
    yield f"sending             {'on' if state['sending_enabled'] else 'paused'}"
    yield f"enforcement         {state['enforcement']}"
    if state["review"]["status"]:
        case = state["review"]["case"]
        yield f"request             {state['review']['status']}{f', case {case}' if case else ''}"


@click.command("spend-limit")
@click.argument("amount", required=False, type=click.IntRange(min=0, max=10**7))
@account_options
@yes_option
def spend_limit(
    amount: int | None, config: Path, provider: str | None, as_json: bool, yes: bool
) -> None:
    """Print what SNS may spend on SMS in a month, in USD; or set it to AMOUNT, in whole USD."""
    from sidecar_aws.calls import account

    sns = account("sns", config, provider)
    if amount is not None:
        attributes = {_LIMIT: str(amount)}
        warning = () if amount else ("A limit of 0 stops every SMS of this account.",)
        plan = sns.plan("SetSMSAttributes", {"attributes": attributes})
        ask_first([*plan, *warning], yes=yes)
        sns.call("SetSMSAttributes", attributes=attributes)
        told = {"region": sns.region, "monthly_spend_limit_usd": amount, "changed": True}
        show(told, [f"{amount} USD"], as_json=as_json)
        return
    limit = _limit(sns)
    told = {"region": sns.region, "monthly_spend_limit_usd": limit, "changed": False}
    show(told, [_limit_line(limit)], as_json=as_json)


@click.command()
@account_options
def quota(config: Path, provider: str | None, as_json: bool) -> None:
    """Print what the account may send: SES's quota and rate, SNS's spend limit, the sandboxes.

    What cannot be seen is left empty, and why is said; the exit code is then that of the reason.
    """
    from sidecar_aws.calls import account

    ses, sns = account("sesv2", config, provider), account("sns", config, provider)
    failures: list[CommandFailed] = []
    unseen: dict[str, str] = {}

    def seen(name: str, look: Callable[[], Any]) -> Any:
        try:
            return look()
        except CommandFailed as error:
            failures.append(error)
            unseen[name] = str(error)
            return None

    told = {
        "ses": {"region": ses.region, "account": seen("ses.account", lambda: _sending(ses))},
        "sns": {
            "region": sns.region,
            "monthly_spend_limit_usd": seen(_LIMIT_SEEN, lambda: _limit(sns)),
            "sandbox": seen("sns.sandbox", lambda: _sandbox(sns)),
        },
        "unseen": unseen,
    }
    show(told, _quota_lines(told), as_json=as_json)
    for failure in failures:
        failure.show()
    raise SystemExit(failures[0].exit_code if failures else 0)


def _sending(ses: Account) -> dict[str, Any]:
    answer = ses.call("GetAccount", has="SendQuota")
    quota = answer["SendQuota"]
    return {
        "sandbox": answer.get("ProductionAccessEnabled") is not True,
        "sending_enabled": answer.get("SendingEnabled"),
        "quota_per_day": quota.get("Max24HourSend"),
        "sent_in_24_hours": quota.get("SentLast24Hours"),
        "sends_per_second": quota.get("MaxSendRate"),
    }


def _limit(sns: Account) -> float | None:
    """In USD; None where it was never set."""
    answer = sns.call("GetSMSAttributes", attributes=[_LIMIT])
    try:
        return float(answer.get("attributes", {})[_LIMIT])
    except (KeyError, ValueError):
        return None


def _sandbox(sns: Account) -> bool:
    return sns.call("GetSMSSandboxAccountStatus", has="IsInSandbox")["IsInSandbox"] is True


def _limit_line(limit: float | None) -> str:
    if limit is None:
        return "never set: the account's own limit holds, 1 USD in a new one"
    return f"{limit:g} USD"


def _quota_lines(told: Mapping[str, Any]) -> Iterator[str]:
    ses, sns = told["ses"]["account"], told["sns"]
    yield f"SES in {told['ses']['region']}"
    if ses is None:
        yield "  cannot be seen"
    else:
        most = ses["quota_per_day"]
        yield f"  sandbox         {_yes(ses['sandbox'])}"
        yield f"  sending         {'on' if ses['sending_enabled'] else 'paused'}"
        yield f"  mails per day   {'no limit' if most < 0 else f'{most:.0f}'}"
        yield f"  sent            {ses['sent_in_24_hours']:.0f} in the last 24 hours"
        yield f"  mails a second  {ses['sends_per_second']:g}"
    limit = _limit_line(sns["monthly_spend_limit_usd"])
    if _LIMIT_SEEN in told["unseen"]:
        limit = "cannot be seen"
    yield f"SNS in {sns['region']}"
    yield f"  sandbox         {_yes(sns['sandbox'])}"
    yield f"  SMS a month     {limit}"


def _yes(answer: bool | None) -> str:
    return "cannot be seen" if answer is None else "yes" if answer else "no"
