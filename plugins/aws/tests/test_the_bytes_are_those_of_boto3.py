"""For the same message boto3 and we put the same on the wire, the signature included."""

import asyncio
import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote, urlsplit

import boto3
import pytest
from botocore.config import Config

from sidecar import Message
from sidecar.testing import Answer, stub_server
from sidecar_aws.access import Access, Keys
from sidecar_aws.eum import Eum, EumConfig
from sidecar_aws.ses import Ses, SesConfig
from sidecar_aws.ses_account import IDENTITIES
from sidecar_aws.signing import Signer
from sidecar_aws.sns import Sns, SnsConfig

AT = datetime(2026, 11, 22, 10, 20, 30, tzinfo=UTC)
COMPARED = (
    "host",
    "content-type",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-target",
    "authorization",
)
TOKENS = [None, "a-token/with+signs=="]


@pytest.fixture
def frozen_time(monkeypatch):
    """Botocore's clock; ours is handed in."""
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: AT)


def now():
    return AT.timestamp()


def settings(stub, token):
    return {
        "region": "eu-central-1",
        "endpoint_url": stub.url,
        "allow_private": True,
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "session_token": token,
    }


def boto_client(service, stub, token):
    return boto3.session.Session().client(
        service,
        region_name="eu-central-1",
        endpoint_url=stub.url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def assert_same(ours, theirs):
    assert (ours.method, ours.path, ours.body) == (theirs.method, theirs.path, theirs.body)
    for name in COMPARED:
        assert ours.headers.get(name) == theirs.headers.get(name), name


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    ("extra", "more"),
    [
        ({}, {}),
        (
            {"html": "<p>é</p>", "reply_to": "help@example.org"},
            {
                "ReplyToAddresses": ["help@example.org"],
                "ConfigurationSetName": "codes",
            },
        ),
    ],
)
async def test_ses(frozen_time, token, extra, more):
    chosen = {"configuration_set": "codes"} if more else {}
    message = Message(
        "m 1", "email", "ada@example.com", "Код 739184620517 €", subject="Ihr Code €", **extra
    )
    body = {"Text": {"Data": message.text, "Charset": "UTF-8"}}
    if message.html:
        body["Html"] = {"Data": message.html, "Charset": "UTF-8"}
    call = {
        "FromEmailAddress": "no-reply@example.org",
        "Destination": {"ToAddresses": ["ada@example.com"]},
        "Content": {
            "Simple": {"Subject": {"Data": message.subject, "Charset": "UTF-8"}, "Body": body}
        },
        "EmailTags": [{"Name": "otp-sidecar-id", "Value": "m_1"}],
        **more,
    }
    async with stub_server(Answer(200, {}, b'{"MessageId": "m"}')) as stub:
        config = SesConfig(
            kind="ses", sender="no-reply@example.org", **settings(stub, token), **chosen
        )
        async with Ses("ses", config, now=now) as provider:
            await provider.send(message, timeout=5.0)
        await asyncio.to_thread(lambda: boto_client("sesv2", stub, token).send_email(**call))
        assert_same(*stub.requests)
        assert json.loads(stub.requests[0].body) == call


@pytest.mark.parametrize("token", TOKENS)
async def test_sns(frozen_time, token):
    text = "Your code is 739184620517 & more: ~ * ' ( ) é € 😀\nbye"
    attributes = {
        "AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Promotional"},
        "AWS.SNS.SMS.SenderID": {"DataType": "String", "StringValue": "Example"},
        "AWS.SNS.SMS.MaxPrice": {"DataType": "Number", "StringValue": "0.05"},
        "AWS.MM.SMS.OriginationNumber": {"DataType": "String", "StringValue": "+12065550100"},
    }
    answer = Answer(
        200,
        {},
        b"<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>",
    )
    async with stub_server(answer) as stub:
        config = SnsConfig(
            kind="sns",
            sms_type="Promotional",
            sender_id="Example",
            max_price="0.05",
            origination_number="+12065550100",
            **settings(stub, token),
        )
        async with Sns("sns", config, now=now) as provider:
            await provider.send(Message("m", "sms", "+14155552671", text), timeout=5.0)
        await asyncio.to_thread(
            lambda: boto_client("sns", stub, token).publish(
                PhoneNumber="+14155552671", Message=text, MessageAttributes=attributes
            )
        )
        assert_same(*stub.requests)
        assert dict(parse_qsl(stub.requests[0].body.decode()))["Message"] == text


EUM_SETTINGS = {
    "origination_identity": "arn:aws:sms-voice:eu-central-1:123456789012:pool/pool-1",
    "configuration_set": "codes",
    "max_price": "0.05",
    "protect_configuration_id": "protect-1",
}
EUM_EXTRA = {"eum": {"in_entity_id": "1101", "in_template_id": "1107", "message_type": None}}
EUM_CALL = {
    "OriginationIdentity": EUM_SETTINGS["origination_identity"],
    "MessageType": "TRANSACTIONAL",
    "ConfigurationSetName": "codes",
    "MaxPrice": "0.05000",
    "DestinationCountryParameters": {"IN_ENTITY_ID": "1101", "IN_TEMPLATE_ID": "1107"},
    "ProtectConfigurationId": "protect-1",
    "TimeToLive": 300,
}


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    ("chosen", "extra", "expires_in", "more"),
    [
        ({}, {}, None, {"MessageType": "TRANSACTIONAL"}),
        (EUM_SETTINGS, EUM_EXTRA, 300.9, EUM_CALL),
    ],
)
async def test_eum(frozen_time, token, chosen, extra, expires_in, more):
    text = 'Your code is 739184620517 & more: "\\ é € 😀\nbye'
    call = {
        "DestinationPhoneNumber": "+14155552671",
        "MessageBody": text,
        **more,
        "Context": {"otp-sidecar-id": "m_1"},
    }
    async with stub_server(Answer(200, {}, b'{"MessageId": "m"}')) as stub:
        config = EumConfig(kind="eum", **settings(stub, token), **chosen)
        message = Message("m 1", "sms", "+14155552671", text, expires_in=expires_in, extra=extra)
        async with Eum("eum", config, now=now) as provider:
            await provider.send(message, timeout=5.0)
        client = boto_client("pinpoint-sms-voice-v2", stub, token)
        await asyncio.to_thread(lambda: client.send_text_message(**call))
        assert_same(*stub.requests)
        assert json.loads(stub.requests[0].body) == call


@pytest.mark.parametrize("token", TOKENS)
async def test_the_questions_of_eums_check(frozen_time, token):
    async with stub_server(Answer(200, {}, b"{}")) as stub:
        async with Eum("eum", EumConfig(kind="eum", **settings(stub, token)), now=now) as provider:
            await provider.check(timeout=5.0)
        client = boto_client("pinpoint-sms-voice-v2", stub, token)
        await asyncio.to_thread(lambda: client.describe_spend_limits(MaxResults=100))
        await asyncio.to_thread(lambda: client.describe_account_attributes(MaxResults=100))
        assert len(stub.requests) == 4
        assert_same(*stub.requests[::2])
        assert_same(*stub.requests[1::2])


@pytest.mark.parametrize("token", TOKENS)
async def test_a_request_that_boto3_signed_gets_the_same_signature_from_us(token):
    async with stub_server(Answer(200, {}, b"{}")) as stub:
        await asyncio.to_thread(lambda: boto_client("sesv2", stub, token).get_account())
        (theirs,) = stub.requests
    at = datetime.strptime(theirs.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    keys = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    access = Access(stub.url, "eu-central-1", keys)
    signer = Signer("ses", at.timestamp)
    signed = signer.sign(access, theirs.method, stub.url + theirs.path, None, theirs.body)
    assert signed["Authorization"] == theirs.headers["authorization"]


@pytest.mark.parametrize("local", ["a+b", "a!#$%&'*+-/=?^_`{|}~z", "x.y"])
async def test_the_path_of_an_identity_is_signed_as_it_is_sent(frozen_time, local):
    sender = f"{local}@example.org"
    account = Answer(
        200, {}, b'{"SendQuota": {"Max24HourSend": -1}, "EnforcementStatus": "HEALTHY"}'
    )
    found = Answer(200, {}, b'{"VerifiedForSendingStatus": true}')
    async with stub_server(account, found) as stub:
        config = SesConfig(kind="ses", sender=sender, **settings(stub, None))
        async with Ses("ses", config, now=now) as provider:
            await provider.check(timeout=5.0)
        ours = stub.requests[-1]
    access = Access(
        stub.url,
        "eu-central-1",
        Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    )
    again = Signer("ses", now).sign(access, "GET", stub.url + ours.path, None, b"")
    assert unquote(urlsplit(ours.path).path) == IDENTITIES + sender
    assert again["Authorization"] == ours.headers["authorization"]
