"""What is refused before anything leaves, and what the rest puts on the wire."""

import json
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from sidecar import Message, Misconfigured, Refused, Rejected
from sidecar.testing import Answer, stub_server
from sidecar_aws.ses import Ses, SesConfig
from sidecar_aws.sns import Sns, SnsConfig

KEYS = {"region": "us-east-1", "access_key_id": "AKIA", "secret_access_key": "canary-secret"}
BOTH_IDS = {
    Ses: b'{"MessageId": "m"}',
    Sns: b"<PublishResult><MessageId>m</MessageId></PublishResult>",
}


def mail(**changes):
    chosen = {"id": "m-1", "channel": "email", "to": "ada@example.com", "subject": "Your code"}
    return Message(**{**chosen, "text": "Your code is 739184620517", **changes})


def text(**changes):
    chosen = {
        "id": "m-1",
        "channel": "sms",
        "to": "+14155552671",
        "text": "Your code is 739184620517",
    }
    return Message(**{**chosen, **changes})


async def request_of(provider_class, message, **settings):
    """The body of the one request that `message` becomes."""
    async with stub_server(Answer(200, {}, BOTH_IDS[provider_class])) as stub:
        if provider_class is Ses:
            settings.setdefault("sender", "no@example.org")
        config = provider_class.Config(
            kind=provider_class.kind, endpoint_url=stub.url, allow_private=True, **KEYS, **settings
        )
        async with provider_class("p", config) as provider:
            try:
                await provider.send(message, timeout=20.0)
            except Rejected as error:
                assert stub.requests == []
                return error
        (request,) = stub.requests
    body = request.body.decode()
    return json.loads(body) if provider_class is Ses else parse_qs(body)


@pytest.mark.parametrize(
    "settings",
    [
        {"access_key_id": "AKIA"},
        {"secret_access_key": "canary-secret"},
        {"session_token": "canary-secret"},
        {"access_key_id": "", "secret_access_key": "canary-secret"},
        {"access_key_id": "AKIA", "secret_access_key": "canary-secret\n"},
        {"region": "us-east-1.evil.example/"},
        {"region": ""},
        {"endpoint_url": "sns.example.org"},
        {"endpoint_url": "ftp://sns.example.org"},
        {"endpoint_url": "https://user:canary-secret@sns.example.org"},
        {"endpoint_url": "https://sns.example.org/?x=1"},
        {"sender_id": "123"},
        {"sender_id": "TwelveLetter"},
        {"sender_id": "A b"},
        {"origination_number": "12x"},
        {"sms_type": "transactional"},
        {"max_price": "0"},
        {"max_price": "NaN"},
    ],
)
def test_unusable_settings_are_refused_without_being_repeated(settings):
    with pytest.raises(ValidationError) as raised:
        SnsConfig(kind="sns", **settings)
    assert "canary-secret" not in str(raised.value)


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "nobody",
        "a@b",
        "a@example.org, b@example.org",
        "a@example.org <b@example.org> <c@example.org>",
        "a@example.org\r\nBcc: b@example.org",
        "=?utf-8?q?a=0D=0ABcc=3A_z=40x.example?= <a@example.org>",
        "a b@example.org",
    ],
)
def test_a_sender_that_is_no_address_is_refused(sender):
    with pytest.raises(ValidationError):
        SesConfig(kind="ses", sender=sender)


@pytest.mark.parametrize(
    ("sender", "on_the_wire"),
    [
        ("no@example.org", "no@example.org"),
        ("Example <no@example.org>", "Example <no@example.org>"),
        ('"Ex, Inc." <no@example.org>', '"Ex, Inc." <no@example.org>'),
        ("Ex, Inc. <no@example.org>", '"Ex, Inc." <no@example.org>'),
        ("<no@example.org>", "no@example.org"),
        ("Käse <no@example.org>", "=?utf-8?b?S8Okc2U=?= <no@example.org>"),
    ],
)
def test_a_name_may_stand_before_the_address(sender, on_the_wire):
    config = SesConfig(kind="ses", sender=sender)
    assert (config.sender, config.sender_address) == (on_the_wire, "no@example.org")


@pytest.mark.parametrize("bad", ["a\r\nBcc: b@example.org", "a\nb", "a\x00b", "a\u2028b", "a\x85b"])
@pytest.mark.parametrize("field", ["subject", "reply_to"])
async def test_a_line_break_in_a_header_is_rejected_before_it_leaves(field, bad):
    assert isinstance(await request_of(Ses, mail(**{field: bad})), Rejected)


async def test_each_text_of_a_mail_has_its_place():
    body = await request_of(Ses, mail(html="<b>739184620517</b>", reply_to="help@example.org"))
    simple = body["Content"]["Simple"]
    assert simple["Subject"] == {"Data": "Your code", "Charset": "UTF-8"}
    assert simple["Body"]["Text"] == {"Data": "Your code is 739184620517", "Charset": "UTF-8"}
    assert simple["Body"]["Html"] == {"Data": "<b>739184620517</b>", "Charset": "UTF-8"}
    assert body["ReplyToAddresses"] == ["help@example.org"]
    assert body["Destination"] == {"ToAddresses": ["ada@example.com"]}


async def test_the_id_travels_as_a_tag_in_the_letters_that_ses_allows():
    body = await request_of(Ses, mail(id="id: 7/é" + "x" * 300))
    (tag,) = body["EmailTags"]
    assert tag["Name"] == "otp-sidecar-id"
    assert tag["Value"] == "id__7__" + "x" * 249


async def test_the_configuration_set_is_the_messages_or_the_settings():
    chosen = mail(extra={"ses": {"configuration_set": "other"}, "sns": {"unread": 1}})
    assert "ConfigurationSetName" not in await request_of(Ses, mail())
    body = await request_of(Ses, mail(), configuration_set="codes")
    assert body["ConfigurationSetName"] == "codes"
    body = await request_of(Ses, chosen, configuration_set="codes")
    assert body["ConfigurationSetName"] == "other"


async def test_a_text_is_transactional_unless_told_otherwise():
    body = await request_of(Sns, text())
    assert body["MessageAttributes.entry.1.Name"] == ["AWS.SNS.SMS.SMSType"]
    assert body["MessageAttributes.entry.1.Value.StringValue"] == ["Transactional"]
    assert "MessageAttributes.entry.2.Name" not in body


async def test_a_text_may_choose_its_sender_and_type():
    chosen = text(extra={"sns": {"sender_id": "Other", "sms_type": "Promotional"}})
    body = await request_of(Sns, chosen, sender_id="Example")
    values = [body[f"MessageAttributes.entry.{n}.Value.StringValue"] for n in (1, 2)]
    assert values == [["Promotional"], ["Other"]]


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        (Ses, mail(extra={"ses": {"configuration-set": "x"}})),
        (Ses, mail(extra={"ses": {"configuration_set": "a b"}})),
        (Sns, text(extra={"sns": {"senderid": "x"}})),
        (Sns, text(extra={"sns": {"sms_type": "loud"}})),
        (Sns, text(text="")),
        (Sns, text(text="x" * 1601)),
    ],
)
async def test_what_cannot_be_sent_is_rejected_before_it_leaves(provider, message):
    assert isinstance(await request_of(provider, message), Rejected)


async def test_the_longest_text_is_sent():
    body = await request_of(Sns, text(text="é" * 1600))
    assert body["Message"] == ["é" * 1600]


def test_an_empty_session_token_counts_as_absent():
    keys = {"access_key_id": "AKIA", "secret_access_key": "s", "session_token": ""}
    config = SesConfig.model_validate({"kind": "ses", "sender": "codes@example.com", **keys})
    assert config.session_token is None


async def test_a_bad_value_of_one_message_does_not_open_the_circuit():
    no_set = Answer(
        404,
        {"x-amzn-errortype": "NotFoundException"},
        b'{"message": "Configuration set <x> does not exist."}',
    )
    for extra, error in (({"ses": {"configuration_set": "x"}}, Refused), ({}, Misconfigured)):
        async with stub_server(no_set) as stub:
            settings = {"endpoint_url": stub.url, "allow_private": True, "region": "eu-west-1"}
            keys = {"access_key_id": "AKIA", "secret_access_key": "s"}
            config = SesConfig(kind="ses", sender="no@example.org", **settings, **keys)
            async with Ses("ses", config) as provider:
                with pytest.raises(error):
                    await provider.send(mail(extra=extra), timeout=5.0)
