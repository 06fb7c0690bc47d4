"""End User Messaging: what is refused before anything leaves, and what goes on the wire."""

import json
import re

import pytest
from botocore.loaders import Loader
from pydantic import ValidationError

from sidecar import Message, Rejected
from sidecar.testing import Answer, stub_server
from sidecar_aws.eum import Eum, EumConfig

KEYS = {"region": "us-east-1", "access_key_id": "AKIA", "secret_access_key": "canary-secret"}
SHAPES = Loader().load_service_model(Eum.model, "service-2")["shapes"]
ARN = "arn:aws:sms-voice:eu-west-1:123456789012:phone-number/phone-0123456789abcdef"


def text(**changes):
    chosen = {"id": "m-1", "channel": "sms", "to": "+14155552671"}
    return Message(**{**chosen, "text": "Your code is 739184620517", **changes})


async def body_of(message, **settings):
    """The JSON of the one request that `message` becomes."""
    async with stub_server(Answer(200, {}, b'{"MessageId": "m"}')) as stub:
        config = EumConfig(
            kind="eum", endpoint_url=stub.url, allow_private=True, **KEYS, **settings
        )
        async with Eum("p", config) as provider:
            await provider.send(message, timeout=20.0)
    (request,) = stub.requests
    return json.loads(request.body)


@pytest.mark.parametrize(
    "settings",
    [
        {"origination_identity": ""},
        {"origination_identity": "pool 1"},
        {"origination_identity": "x" * 257},
        {"origination_identity": "pool-1\n"},
        {"configuration_set": "a+b"},
        {"protect_configuration_id": "a b"},
        {"message_type": "Transactional"},
        {"max_price": "0"},
        {"max_price": "100"},
        {"max_price": "0.123456"},
        {"max_price": "NaN"},
        {"dry_run": True},
    ],
)
def test_unusable_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        EumConfig(kind="eum", **settings)


@pytest.mark.parametrize("identity", ["+12065550100", "Example", "pool-0123456789abcdef", ARN])
async def test_every_form_of_an_origination_identity_is_taken(identity):
    body = await body_of(text(), origination_identity=identity)
    assert body["OriginationIdentity"] == identity


@pytest.mark.parametrize("price", ["0.05", 0.05, "5", 99, "0.00645", "99.99999", "1E-5", "1e1"])
async def test_a_price_is_written_as_the_model_wants_it(price):
    written = (await body_of(text(), max_price=price))["MaxPrice"]
    assert float(written) == float(price)
    shape = SHAPES["MaxPrice"]
    assert re.fullmatch(shape["pattern"], written)
    assert shape["min"] <= len(written) <= shape["max"]


async def test_a_text_is_transactional_and_nothing_else_unless_told():
    assert await body_of(text()) == {
        "DestinationPhoneNumber": "+14155552671",
        "MessageBody": "Your code is 739184620517",
        "MessageType": "TRANSACTIONAL",
        "Context": {"otp-sidecar-id": "m-1"},
    }


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [(0.0, 5), (4.9, 5), (5.9, 5), (299.99, 299), (300.0, 300), (1e9, 259_200), (None, None)],
)
async def test_the_life_of_the_code_is_the_texts(expires_in, life):
    assert (await body_of(text(expires_in=expires_in))).get("TimeToLive") == life


async def test_a_text_may_choose_for_itself():
    chosen = {
        "origination_identity": "Other",
        "configuration_set": "events",
        "message_type": "PROMOTIONAL",
        "in_entity_id": "1101",
        "in_template_id": "1107",
    }
    message = text(extra={"eum": chosen, "sns": {"unread": 1}})
    settings = {"origination_identity": "Example", "configuration_set": "codes"}
    body = await body_of(message, max_price="0.05", protect_configuration_id="p-1", **settings)
    india = body.pop("DestinationCountryParameters")
    assert india == {"IN_ENTITY_ID": "1101", "IN_TEMPLATE_ID": "1107"}
    assert set(india) == set(SHAPES["DestinationCountryParameterKey"]["enum"])
    assert body["OriginationIdentity"] == "Other"
    assert body["ConfigurationSetName"] == "events"
    assert body["MessageType"] == "PROMOTIONAL"
    assert body["MaxPrice"] == "0.05000"
    assert body["ProtectConfigurationId"] == "p-1"


async def test_a_choice_of_one_text_does_not_stay_for_the_next():
    async with stub_server(Answer(200, {}, b'{"MessageId": "m"}')) as stub:
        config = EumConfig(kind="eum", endpoint_url=stub.url, allow_private=True, **KEYS)
        async with Eum("p", config) as provider:
            for extra in ({"eum": {"origination_identity": "Other"}}, {}):
                await provider.send(text(extra=extra), timeout=20.0)
    first, second = (json.loads(request.body) for request in stub.requests)
    assert (first.pop("OriginationIdentity"), first) == ("Other", second)


@pytest.mark.parametrize("blank", [" ", "\n", "\u2003"])
async def test_the_id_travels_in_the_context_without_blanks(blank):
    body = await body_of(text(id=f"{blank}é{blank}7{blank}"))
    assert body["Context"] == {"otp-sidecar-id": "_é_7_"}
    assert re.fullmatch(SHAPES["ContextValue"]["pattern"], body["Context"]["otp-sidecar-id"])


@pytest.mark.parametrize(
    "message",
    [
        text(text=""),
        text(text=" \n\t"),
        text(text="x" * 1601),
        text(extra={"eum": {"origination-identity": "x"}}),
        text(extra={"eum": {"origination_identity": "a b"}}),
        text(extra={"eum": {"message_type": "loud"}}),
        text(extra={"eum": {"max_price": "9"}}),
        text(extra={"eum": {"protect_configuration_id": "none"}}),
        text(extra={"eum": {"in_template_id": ""}}),
    ],
)
async def test_what_cannot_be_sent_is_rejected_before_it_leaves(message):
    async with stub_server(Answer(200, {}, b'{"MessageId": "m"}')) as stub:
        config = EumConfig(kind="eum", endpoint_url=stub.url, allow_private=True, **KEYS)
        async with Eum("p", config) as provider:
            with pytest.raises(Rejected):
                await provider.send(message, timeout=20.0)
    assert stub.requests == []


async def test_the_longest_text_is_sent():
    assert (await body_of(text(text="é" * 1600)))["MessageBody"] == "é" * 1600
