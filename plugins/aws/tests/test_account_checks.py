"""What the account checks ask, and what they make of the answers."""

import asyncio
import json
from decimal import Decimal

import boto3
import pytest

from sidecar import (
    AccountState,
    Message,
    Misconfigured,
    Money,
    Throttled,
    Unavailable,
    Unknown,
)
from sidecar.testing import Answer, stub_server
from sidecar_aws import ses_account
from sidecar_aws.eum import Eum, EumConfig
from sidecar_aws.ses import Ses, SesConfig
from sidecar_aws.sns import Sns, SnsConfig

KEYS = {"region": "us-east-1", "access_key_id": "AKIA", "secret_access_key": "secret"}
DENIED = Answer(403, {"x-amzn-errortype": "AccessDeniedException"}, b"{}")
DENIED_XML = Answer(403, {}, b"<Error><Code>AuthorizationError</Code></Error>")
GONE = Answer(404, {"x-amzn-errortype": "NotFoundException"}, b"{}")
VERIFIED = Answer(200, {}, b'{"VerifiedForSendingStatus": true}')
PENDING = Answer(200, {}, b'{"VerifiedForSendingStatus": false}')
LIMIT = b"<attributes><entry><key>MonthlySpendLimit</key><value>%s</value></entry></attributes>"
SANDBOX = b"<R><IsInSandbox>%s</IsInSandbox></R>"


BUSY = Answer(429, {"x-amzn-errortype": "TooManyRequestsException"})


RUBBISH = ({}, [1], "50", {"Max24HourSend": None, "SentLast24Hours": 1}, {"Max24HourSend": "NaN"})


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(ses_account, "PAUSE", 0.0)


def account(sent=10.0, most=50000.0, **changes):
    chosen = {
        "EnforcementStatus": "HEALTHY",
        "ProductionAccessEnabled": True,
        "SendingEnabled": True,
        "SendQuota": {"Max24HourSend": most, "MaxSendRate": 14.0, "SentLast24Hours": sent},
        **changes,
    }
    return Answer(200, {}, json.dumps(chosen).encode())


async def check(provider_class, config, answers):
    async with stub_server(*answers) as stub:
        chosen = config(kind=provider_class.kind, endpoint_url=stub.url, allow_private=True, **KEYS)
        async with provider_class("p", chosen) as provider:
            return await provider.check(timeout=20.0), stub.requests


def ses(*answers):
    def config(**settings):
        return SesConfig(sender="no@codes.example.org", **settings)

    return check(Ses, config, answers)


def sns(limit, sandbox):
    return check(Sns, SnsConfig, [limit, sandbox])


async def test_a_healthy_ses_account_is_ready():
    report, requests = await ses(account(), VERIFIED)
    assert (report.state, report.summary) == (AccountState.READY, "SES can send")
    assert report.facts == {
        "sandbox": False,
        "enforcement": "HEALTHY",
        "quota_per_day": 50000.0,
        "quota_left": 49990.0,
        "sends_per_second": 14.0,
        "sender_verified": True,
    }
    assert {r.method for r in requests} == {"GET"}


@pytest.mark.parametrize(
    ("answer", "state", "word"),
    [
        (account(ProductionAccessEnabled=False), AccountState.DEGRADED, "sandbox"),
        (account(SendingEnabled=False), AccountState.BLOCKED, "resume it in the SES console"),
        (account(EnforcementStatus="PROBATION"), AccountState.DEGRADED, "probation"),
        (account(EnforcementStatus="SHUTDOWN"), AccountState.BLOCKED, "stopped"),
        (account(sent=50000.0), AccountState.BLOCKED, "50000 mails is used up"),
        (account(sent=49000.0), AccountState.DEGRADED, "1000 of 50000"),
        (account(most=-1.0), AccountState.READY, "can send"),
        (DENIED, AccountState.DEGRADED, "ses:GetAccount"),
        *((account(SendQuota=q), AccountState.DEGRADED, "cannot be read") for q in RUBBISH),
    ],
)
async def test_what_is_amiss_with_an_ses_account_is_said(answer, state, word):
    report, _ = await ses(answer, VERIFIED)
    assert report.state is state
    assert word in report.summary


async def test_the_worst_finding_gives_the_state_and_comes_first():
    report, _ = await ses(account(ProductionAccessEnabled=False, SendingEnabled=False), VERIFIED)
    assert report.state is AccountState.BLOCKED
    assert report.summary.index("paused") < report.summary.index("sandbox")


LISTED = Answer(
    200,
    {},
    json.dumps(
        {
            "EmailIdentities": [
                {"IdentityName": "Ada@example.net", "VerificationStatus": "SUCCESS"},
                {"IdentityName": "example.org", "VerificationStatus": "SUCCESS"},
                {"IdentityName": "old@example.com", "SendingEnabled": True},
                {"IdentityName": "eve@example.com", "VerificationStatus": "PENDING"},
                "nonsense",
            ]
        }
    ).encode(),
)
SANDBOXED = {"ProductionAccessEnabled": False}


def refused(provider_class, report, *recipients):
    """Those of `recipients` that the account would surely refuse, by its report."""
    if provider_class is Ses:
        config = SesConfig(kind="ses", sender="no@codes.example.org", **KEYS)
    else:
        config = SnsConfig(kind="sns", **KEYS)
    provider = provider_class("p", config)
    messages = [Message("m", "any", to, "the text") for to in recipients]
    return [one.to for one in messages if provider.would_refuse(one, report)]


async def test_the_sandbox_of_ses_refuses_whoever_is_not_verified_and_nobody_else():
    report, requests = await ses(account(**SANDBOXED), LISTED, VERIFIED)
    assert report.state is AccountState.DEGRADED
    assert report.facts["verified_recipients"] == 3
    assert (requests[1].method, requests[1].path) == ("POST", "/v2/email/list-identities")
    assert "reaches 3 verified addresses" in report.summary
    fine = ["ADA@example.net", "ada+otp@example.net", "x@mail.example.org", "old@example.com"]
    fine += ["bounce@simulator.amazonses.com"]
    assert refused(Ses, report, "eve@example.com", "bob@example.net", *fine) == [
        "eve@example.com",
        "bob@example.net",
    ]
    assert "example" not in repr(report)


async def test_an_account_out_of_the_sandbox_refuses_nobody():
    report, requests = await ses(account(sent=49000.0), VERIFIED)
    assert report.state is AccountState.DEGRADED
    assert refused(Ses, report, "eve@example.com") == []
    assert len(requests) == 2, "nobody asks for the identities"


@pytest.mark.parametrize(
    "listed", [DENIED, Answer(503), Answer(200, {}, b"<html>"), Answer(fault="truncate")]
)
async def test_where_the_identities_cannot_be_listed_nobody_is_called_unverified(listed):
    report, _ = await ses(account(**SANDBOXED), listed, VERIFIED)
    assert report.state is AccountState.DEGRADED
    assert "sandbox" in report.summary
    assert refused(Ses, report, "eve@example.com") == []


def page(*names, token=None):
    found = [{"IdentityName": name, "VerificationStatus": "SUCCESS"} for name in names]
    return Answer(200, {}, json.dumps({"EmailIdentities": found, "NextToken": token}).encode())


async def test_the_identities_come_in_pages_and_too_many_of_them_are_no_verdict():
    pages = [page("a@example.com", token="t1"), page("b@example.com")]
    report, requests = await ses(account(**SANDBOXED), *pages, VERIFIED)
    assert json.loads(requests[2].body)["NextToken"] == "t1"
    assert refused(Ses, report, "a@example.com", "b@example.com", "c@example.com") == [
        "c@example.com"
    ]
    endless = [page(f"{n}@example.com", token=f"t{n}") for n in range(4)]
    report, requests = await ses(account(**SANDBOXED), *endless, VERIFIED)
    assert len(requests) == 6
    assert refused(Ses, report, "c@example.com") == []


NUMBERS = (
    b"<R><PhoneNumbers><member><PhoneNumber>+15005550001</PhoneNumber><Status>Verified</Status>"
    b"</member><member><PhoneNumber>+15005550002</PhoneNumber><Status>Pending</Status></member>"
    b"</PhoneNumbers></R>"
)
SWAPPED = (
    b"<R><PhoneNumbers><member><Status>Verified</Status><PhoneNumber>+15005550001</PhoneNumber>"
    b"</member></PhoneNumbers></R>"
)


@pytest.mark.parametrize(
    ("listed", "lost"),
    [
        (Answer(200, {}, NUMBERS), ["+15005550002", "+15005550003"]),
        (Answer(200, {}, SWAPPED), []),
        (Answer(200, {}, NUMBERS + b"<NextToken>more</NextToken>"), []),
        (DENIED_XML, []),
        (Answer(404, {}, b"<html>"), []),
        (Answer(fault="eof"), []),
    ],
)
async def test_the_sandbox_of_sns_refuses_the_numbers_that_are_surely_not_verified(listed, lost):
    asked = [Answer(200, {}, LIMIT % b"500"), Answer(200, {}, SANDBOX % b"true"), listed]
    report, _ = await check(Sns, SnsConfig, asked)
    assert report.state is AccountState.DEGRADED
    numbers = ["+15005550001", "+15005550002", "+15005550003"]
    assert refused(Sns, report, *numbers) == lost
    assert "15005550001" not in repr(report)


async def test_the_spend_limit_is_handed_over_as_money():
    report, _ = await sns(Answer(200, {}, LIMIT % b"12.50"), Answer(200, {}, SANDBOX % b"false"))
    assert report.monthly_limit == Money(Decimal("12.50"), "USD")


async def test_the_sender_is_covered_by_its_address_its_domain_or_one_above():
    report, requests = await ses(account(), GONE, PENDING, VERIFIED)
    assert report.facts["sender_verified"] is True
    paths = [r.path.rpartition("/")[2] for r in requests[1:]]
    assert paths == ["no@codes.example.org", "codes.example.org", "example.org"]


async def test_an_unverified_sender_blocks():
    report, _ = await ses(account(), GONE)
    assert report.state is AccountState.BLOCKED
    assert "verified" in report.summary


async def test_a_call_that_came_too_fast_is_made_once_more():
    report, requests = await ses(BUSY, account(), BUSY, GONE, VERIFIED)
    assert report.facts["sender_verified"] is True
    assert [r.path.rpartition("/")[2] for r in requests] == [
        "account",
        "account",
        "no@codes.example.org",
        "no@codes.example.org",
        "codes.example.org",
    ]


async def test_where_it_is_too_fast_again_there_is_no_verdict_on_the_sender():
    report, _ = await ses(account(), BUSY)
    assert report.state is AccountState.READY
    assert "sender_verified" not in report.facts


async def test_a_look_up_that_is_not_allowed_is_no_verdict_on_the_sender():
    report, _ = await ses(account(), DENIED)
    assert report.state is AccountState.DEGRADED
    assert "sender_verified" not in report.facts


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([Answer(403, {"x-amzn-errortype": "UnrecognizedClientException"})], Misconfigured),
        ([Answer(503, {"x-amzn-errortype": "ServiceUnavailable"})], Unavailable),
        ([BUSY], Throttled),
        ([Answer(200, {}, b"<html>")], Unknown),
        ([account(), Answer(503, {})], Unavailable),
        ([Answer(404, {}, b"<html>")], Misconfigured),
    ],
)
async def test_an_ses_account_that_cannot_be_reached_is_an_error(answers, error):
    with pytest.raises(error):
        await ses(*answers)


@pytest.mark.parametrize(
    ("limit", "sandbox", "state", "word"),
    [
        (LIMIT % b"500", SANDBOX % b"false", AccountState.READY, "can send"),
        (LIMIT % b"500", SANDBOX % b"true", AccountState.DEGRADED, "sandbox"),
        (LIMIT % b"1", SANDBOX % b"false", AccountState.DEGRADED, "1 USD"),
        (LIMIT % b"0", SANDBOX % b"false", AccountState.BLOCKED, "0 USD"),
        (b"<attributes/>", SANDBOX % b"false", AccountState.READY, "can send"),
    ],
)
async def test_what_an_sns_account_may_is_said(limit, sandbox, state, word):
    report, requests = await sns(Answer(200, {}, limit), Answer(200, {}, sandbox))
    assert report.state is state
    assert word in report.summary
    assert [b"GetSMSAttributes" in requests[0].body, b"Sandbox" in requests[1].body] == [True, True]


async def test_permissions_that_lack_for_an_sns_check_are_named():
    report, _ = await sns(DENIED_XML, DENIED_XML)
    assert report.state is AccountState.DEGRADED
    assert "sns:GetSMSAttributes" in report.summary
    assert "sns:GetSMSSandboxAccountStatus" in report.summary


async def test_an_sns_account_that_cannot_be_reached_is_an_error():
    refused = Answer(403, {}, b"<Error><Code>InvalidClientTokenId</Code></Error>")
    with pytest.raises(Misconfigured):
        await sns(refused, refused)


TIER = b'{"AccountAttributes": [{"Name": "ACCOUNT_TIER", "Value": "%s"}]}'
DENIED_FOR_ALL = Answer(
    400, {}, b'{"__type": "x#AccessDeniedException", "Reason": "ACCOUNT_DISABLED"}'
)


def limits(enforced, most, overridden):
    limit = {"EnforcedLimit": enforced, "MaxLimit": most, "Overridden": overridden}
    other = {"Name": "VOICE_MESSAGE_MONTHLY_SPEND_LIMIT", **limit, "EnforcedLimit": 0}
    text = {"Name": "TEXT_MESSAGE_MONTHLY_SPEND_LIMIT", **limit}
    return Answer(200, {}, json.dumps({"SpendLimits": [other, text]}).encode())


def tier(name):
    return Answer(200, {}, TIER % name)


def eum(*answers):
    return check(Eum, EumConfig, answers)


async def test_a_healthy_eum_account_is_ready():
    report, requests = await eum(limits(500, 1000, overridden=True), tier(b"PRODUCTION"))
    assert (report.state, report.summary) == (AccountState.READY, "AWS can send SMS")
    assert report.facts == {
        "monthly_spend_limit_usd": 500.0,
        "monthly_spend_limit_most_usd": 1000.0,
        "sandbox": False,
    }
    asked = [request.headers["x-amz-target"].partition(".")[2] for request in requests]
    assert asked == ["DescribeSpendLimits", "DescribeAccountAttributes"]


@pytest.mark.parametrize(
    ("answers", "state", "words"),
    [
        ((limits(1, 1, overridden=False), tier(b"PRODUCTION")), AccountState.DEGRADED, "ask AWS"),
        ((limits(9, 1, overridden=False), tier(b"PRODUCTION")), AccountState.DEGRADED, "is 1 USD"),
        ((limits(1, 90, overridden=True), tier(b"PRODUCTION")), AccountState.DEGRADED, "to 90 USD"),
        ((limits(1, 90, overridden=False), tier(b"PRODUCTION")), AccountState.READY, "can send"),
        ((limits(0, 90, overridden=True), tier(b"PRODUCTION")), AccountState.BLOCKED, "0 USD"),
        ((limits(90, 90, overridden=True), tier(b"SANDBOX")), AccountState.DEGRADED, "sandbox"),
        ((Answer(200, {}, b"{}"), Answer(200, {}, b"{}")), AccountState.READY, "no limits"),
        ((Answer(200, {}, b"{}"), Answer(404, {}, b"{}")), AccountState.READY, "no limits"),
        ((DENIED, tier(b"PRODUCTION")), AccountState.DEGRADED, "sms-voice:DescribeSpendLimits"),
        (
            (limits(90, 90, overridden=True), DENIED),
            AccountState.DEGRADED,
            "sms-voice:DescribeAccountAttributes",
        ),
    ],
)
async def test_what_is_amiss_with_an_eum_account_is_said(answers, state, words):
    report, _ = await eum(*answers)
    assert report.state is state
    assert words in report.summary


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([Answer(400, {}, b'{"__type": "UnrecognizedClientException"}')], Misconfigured),
        ([DENIED_FOR_ALL], Misconfigured),
        ([limits(9, 9, overridden=False), DENIED_FOR_ALL], Misconfigured),
        ([Answer(503, {})], Unavailable),
        ([Answer(400, {}, b'{"__type": "ThrottlingException"}')], Throttled),
        ([Answer(404, {}, b"<html>")], Misconfigured),
    ],
)
async def test_an_eum_account_that_cannot_be_reached_is_an_error(answers, error):
    with pytest.raises(error):
        await eum(*answers)


async def test_boto3_reads_the_same_in_these_answers():
    async with stub_server(limits(500, 1000, overridden=True), tier(b"SANDBOX")) as stub:
        client = boto3.session.Session().client(
            Eum.model,
            region_name="us-east-1",
            endpoint_url=stub.url,
            aws_access_key_id="AKIA",
            aws_secret_access_key="secret",
        )
        spend = await asyncio.to_thread(client.describe_spend_limits)
        account = await asyncio.to_thread(client.describe_account_attributes)
    assert spend["SpendLimits"][1] == {
        "Name": "TEXT_MESSAGE_MONTHLY_SPEND_LIMIT",
        "EnforcedLimit": 500,
        "MaxLimit": 1000,
        "Overridden": True,
    }
    assert account["AccountAttributes"] == [{"Name": "ACCOUNT_TIER", "Value": "SANDBOX"}]
