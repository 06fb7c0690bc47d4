"""One row per error that SES and SNS can answer with."""

import json

import pytest

from sidecar import Message, Misconfigured, Refused, Rejected, Throttled, Unavailable, Unknown
from sidecar.testing import Answer, stub_server
from sidecar_aws.errors import QUOTA_PAUSE, BadSetting
from sidecar_aws.ses import Ses, SesConfig
from sidecar_aws.sns import DOUBTFUL, Sns, SnsConfig

KEYS = {"region": "us-east-1", "access_key_id": "AKIA", "secret_access_key": "secret"}
MAIL = Message("m-1", "email", "ada@example.com", "Your code is 739184620517", subject="Your code")
TEXT = Message("m-1", "sms", "+14155552671", "Your code is 739184620517")
UNVERIFIED = (
    "Email address is not verified. The following identities failed the check in region"
    " US-EAST-1: {}"
)
NOT_VALID = "Invalid parameter: PhoneNumber Reason: +14155552671 is not valid to publish to"

SES_ERRORS = [
    (400, "Throttling", "Maximum sending rate exceeded.", Throttled),
    (400, "ThrottlingException", "Maximum sending rate exceeded.", Throttled),
    (429, "TooManyRequestsException", "Too many requests", Throttled),
    (400, "Throttling", "Daily message quota exceeded.", Throttled),
    (429, "TooManyRequestsException", "Daily message quota exceeded.", Throttled),
    (400, "LimitExceededException", "Daily message quota exceeded", Throttled),
    (400, "LimitExceededException", "too many instances of the resource", Throttled),
    (400, "AccountSendingPausedException", "", Misconfigured),
    (400, "SendingPausedException", "", Misconfigured),
    (400, "AccountSuspendedException", "", Misconfigured),
    (400, "ConfigurationSetSendingPausedException", "", BadSetting),
    (400, "MailFromDomainNotVerifiedException", "", Misconfigured),
    (400, "MessageRejected", UNVERIFIED.format("no-reply@example.org"), Misconfigured),
    (400, "MessageRejected", UNVERIFIED.format("Example.org"), Misconfigured),
    (400, "MessageRejected", "Email address not verified x", Misconfigured),
    (400, "MessageRejected", UNVERIFIED.format("ada@EXAMPLE.com"), Refused),
    (
        400,
        "MessageRejected",
        UNVERIFIED.format("no-reply@example.org, ada@example.com"),
        Misconfigured,
    ),
    (400, "MessageRejected", "Transaction failed: virus found", Rejected),
    (400, "InvalidParameterValue", "Illegal address", Rejected),
    (400, "BadRequestException", "Domain contains control or whitespace", Rejected),
    (400, "BadRequestException", "Invalid email address", Rejected),
    (400, "BadRequestException", "Configuration set <x> does not exist", BadSetting),
    (400, "ConfigurationSetDoesNotExist", "", BadSetting),
    (404, "NotFoundException", "Configuration set <x> does not exist.", BadSetting),
    (404, "NotFoundException", "", Misconfigured),
    (400, "TemplateDoesNotExist", "", Misconfigured),
    (403, "SignatureDoesNotMatch", "The request signature we calculated ...", Misconfigured),
    (403, "SignatureDoesNotMatch", "Signature expired: 20261122 is now earlier", Misconfigured),
    (403, "InvalidSignatureException", "", Misconfigured),
    (403, "InvalidClientTokenId", "", Misconfigured),
    (403, "UnrecognizedClientException", "", Misconfigured),
    (403, "ExpiredToken", "", Misconfigured),
    (403, "ExpiredTokenException", "", Misconfigured),
    (403, "AccessDenied", "", Misconfigured),
    (403, "AccessDeniedException", "", Misconfigured),
    (403, "MissingAuthenticationToken", "", Misconfigured),
    (403, "OptInRequired", "", Misconfigured),
    (400, "RequestExpired", "", Misconfigured),
    (403, "RequestTimeTooSkewed", "", Misconfigured),
    (500, "InternalFailure", "", Unavailable),
    (500, "InternalServiceErrorException", "", Unavailable),
    (503, "ServiceUnavailable", "", Unavailable),
    (403, "403", "moto repeats the status", Misconfigured),
    (400, "NeverSeen", "", Refused),
    (418, "", "", Refused),
    (202, "", "", Unknown),
]

SNS_ERRORS = [
    (400, "InvalidParameter", NOT_VALID, Rejected),
    (400, "InvalidParameter", "Invalid parameter: Message too long", Rejected),
    (400, "InvalidParameter", "Invalid parameter: Empty message", Rejected),
    (400, "InvalidParameter", "Invalid parameter: MessageAttributes SenderID", BadSetting),
    (400, "InvalidParameter", "not verified in the SMS sandbox", Refused),
    (400, "InvalidParameter", "something else", Rejected),
    (400, "ParameterValueInvalid", "", Rejected),
    (400, "ValidationException", "", Rejected),
    (400, "Throttling", "Rate exceeded", Throttled),
    (400, "ThrottlingException", "Rate exceeded", Throttled),
    (429, "Throttled", "Rate exceeded", Throttled),
    (403, "AuthorizationError", "", Misconfigured),
    (403, "InvalidSecurity", "", Misconfigured),
    (403, "AccessDenied", "", Misconfigured),
    (403, "SignatureDoesNotMatch", "", Misconfigured),
    (403, "InvalidClientTokenId", "", Misconfigured),
    (403, "ExpiredToken", "", Misconfigured),
    (403, "OptInRequired", "", Misconfigured),
    (500, "InternalError", "", Unavailable),
    (503, "ServiceUnavailable", "", Unavailable),
    (400, "KMSDisabled", "", Misconfigured),
    (400, "KMSInvalidState", "", Misconfigured),
    (400, "KMSNotFound", "", Misconfigured),
    (403, "KMSOptInRequired", "", Misconfigured),
    (400, "KMSThrottling", "", Throttled),
    (400, "KMSAccessDenied", "", Misconfigured),
    (400, "EndpointDisabled", "", Misconfigured),
    (400, "PlatformApplicationDisabled", "", Misconfigured),
    (404, "NotFound", "", Misconfigured),
    (403, "403", "moto repeats the status", Misconfigured),
    (400, "NeverSeen", "", Refused),
]


async def failure(provider_class, config, message, answers, sends=1):
    """What the last of `sends` raises."""
    async with stub_server(*answers) as stub:
        chosen = config(kind=provider_class.kind, endpoint_url=stub.url, allow_private=True, **KEYS)
        async with provider_class("p", chosen) as provider:
            for _ in range(sends - 1):
                await outcome(provider, message)
            error = await outcome(provider, message)
            assert len(stub.requests) == sends
            return error


async def outcome(provider, message):
    try:
        return await provider.send(message, timeout=5.0)
    except Exception as error:  # noqa: BLE001  # what it is, is the question
        return error


def ses(*answers):
    def config(**settings):
        return SesConfig(sender="Us <no-reply@example.org>", **settings)

    return failure(Ses, config, MAIL, answers)


def sns(*answers, sends=1):
    return failure(Sns, SnsConfig, TEXT, answers, sends)


def in_json(status, code, text):
    return Answer(status, {"x-amzn-errortype": code}, json.dumps({"message": text}).encode())


def in_xml(status, code, text):
    body = (
        f'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{text}</Message></Error></ErrorResponse>"
    )
    return Answer(status, {}, body.encode())


@pytest.mark.parametrize(("status", "code", "text", "expected"), SES_ERRORS)
async def test_ses(status, code, text, expected):
    error = await ses(in_json(status, code, text))
    assert type(error) is expected
    assert error.code == (code if code and not code.isdigit() else str(status))


@pytest.mark.parametrize(("status", "code", "text", "expected"), SNS_ERRORS)
async def test_sns(status, code, text, expected):
    error = await sns(in_xml(status, code, text))
    assert type(error) is expected
    assert error.code == (code if not code.isdigit() else str(status))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(400, {"X-Amzn-ErrorType": "SendingPausedException:http://internal.amazon.com/"}),
        Answer(400, {}, b'{"__type": "com.amazonaws.sesv2#SendingPausedException"}'),
        Answer(400, {}, b'{"code": "SendingPausedException"}'),
        Answer(400, {}, b"<Error><Code>SendingPausedException</Code></Error>"),
    ],
)
async def test_the_code_is_found_wherever_aws_puts_it(answer):
    error = await ses(answer)
    assert (type(error), error.code) == (Misconfigured, "SendingPausedException")


@pytest.mark.parametrize("code", ["739184620517", "ada@example.com", "<b>", "x" * 65, "A B"])
async def test_what_is_no_code_is_not_passed_on_as_one(code):
    error = await ses(Answer(400, {}, json.dumps({"code": code}).encode()))
    assert error.code == "400"


async def test_a_used_up_daily_quota_is_left_alone_for_longer_than_a_rate():
    quota = await ses(in_json(429, "TooManyRequestsException", "Daily message quota exceeded"))
    rate = await ses(in_json(429, "TooManyRequestsException", "Maximum sending rate exceeded"))
    assert (quota.retry_after, rate.retry_after) == (QUOTA_PAUSE, None)


async def test_the_pause_that_a_gateway_names_is_kept():
    answer = Answer(429, {"Retry-After": "7", "x-amzn-errortype": "TooManyRequestsException"})
    assert (await ses(answer)).retry_after == 7.0


@pytest.mark.parametrize(
    ("text", "word"), [("Signature expired: x", "clock"), ("calculated does not match", "key")]
)
async def test_a_wrong_clock_is_told_from_a_wrong_key(text, word):
    assert word in (await ses(in_json(403, "SignatureDoesNotMatch", text))).reason


async def test_a_region_without_sms_does_not_look_like_bad_numbers_for_ever():
    bad = in_xml(400, "InvalidParameter", NOT_VALID)
    assert type(await sns(bad, sends=DOUBTFUL - 1)) is Rejected
    assert type(await sns(bad, sends=DOUBTFUL)) is Refused


async def test_one_accepted_text_restores_the_trust_in_the_region():
    bad = in_xml(400, "InvalidParameter", NOT_VALID)
    good = Answer(200, {}, b"<PublishResult><MessageId>m</MessageId></PublishResult>")
    answers = [bad] * (DOUBTFUL - 1) + [good] + [bad]
    assert type(await sns(*answers, sends=DOUBTFUL + 1)) is Rejected


async def test_entities_in_an_error_are_never_expanded():
    bomb = b'<!DOCTYPE x [<!ENTITY a "InternalError">]><Error><Code>&a;</Code></Error>'
    error = await sns(Answer(400, {}, bomb))
    assert (type(error), error.code) == (Refused, "400")
