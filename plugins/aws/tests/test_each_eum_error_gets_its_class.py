"""One row per error of End User Messaging, and none of botocore's own model without one."""

import json

import pytest
from botocore.loaders import Loader

from sidecar import Message, Misconfigured, Refused, Rejected, Throttled, Unavailable
from sidecar.testing import Answer, stub_server
from sidecar_aws.errors import QUOTA_PAUSE, BadSetting
from sidecar_aws.eum import LONGEST_LIFE, SEND, SHORTEST_LIFE, TEXT_LIMIT, Eum, EumConfig, EumExtra
from sidecar_aws.eum_account import ATTRIBUTES, LIMITS, TEXTS
from sidecar_aws.eum_errors import EUM, REASONS

MODEL = Loader().load_service_model(Eum.model, "service-2")
SHAPES = MODEL["shapes"]
OPERATION = MODEL["operations"]["SendTextMessage"]
KEYS = {"region": "us-east-1", "access_key_id": "AKIA", "secret_access_key": "secret"}
TEXT = Message("m-1", "sms", "+14155552671", "Your code is 739184620517")
CONFLICT, INVALID = "ConflictException", "ValidationException"
DENIED, QUOTA = "AccessDeniedException", "ServiceQuotaExceededException"

ERRORS = [
    (400, CONFLICT, "DESTINATION_PHONE_NUMBER_OPTED_OUT", Rejected),
    (400, CONFLICT, "DESTINATION_PHONE_NUMBER_NOT_VERIFIED", Refused),
    (400, CONFLICT, "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE", Rejected),
    (400, CONFLICT, "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION", Refused),
    (400, CONFLICT, "NO_ORIGINATION_IDENTITIES_FOUND", Refused),
    (400, CONFLICT, "MESSAGE_TYPE_MISMATCH", BadSetting),
    (400, CONFLICT, "NUMBER_CAPABILITIES_MISMATCH", BadSetting),
    (400, CONFLICT, "REGISTRATION_NOT_COMPLETE", BadSetting),
    (400, CONFLICT, "RESOURCE_NOT_ACTIVE", BadSetting),
    (400, CONFLICT, "RESOURCE_NOT_EMPTY", Refused),
    (400, CONFLICT, "NEVER_SEEN", Refused),
    (400, CONFLICT, None, Refused),
    (400, INVALID, "MAXIMUM_SIZE_EXCEEDED", Rejected),
    (400, INVALID, "PRICE_OVER_THRESHOLD", Refused),
    (400, INVALID, "COUNTRY_NOT_ENABLED", Refused),
    (400, INVALID, "DESTINATION_COUNTRY_BLOCKED", Refused),
    (400, INVALID, "COUNTRY_CODE_MISMATCH", Refused),
    (400, INVALID, "INTERNATIONAL_SENDING_NOT_SUPPORTED", Refused),
    (400, INVALID, "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY", Refused),
    (400, INVALID, "SENDER_ID_NOT_REGISTERED", Refused),
    (400, INVALID, "SENDER_ID_NOT_SUPPORTED", Refused),
    (400, INVALID, "SENDER_ID_REQUIRES_REGISTRATION", Refused),
    (400, INVALID, "CHANNEL_NOT_ENABLED", BadSetting),
    (400, INVALID, "INVALID_ARN", BadSetting),
    (400, INVALID, "RESOURCE_NOT_ACCESSIBLE", BadSetting),
    (400, INVALID, "UNKNOWN_OPERATION", Misconfigured),
    (400, INVALID, "INVALID_PARAMETER", Refused),
    (400, INVALID, "VERIFICATION_CODE_MISMATCH", Refused),
    (400, INVALID, "NEVER_SEEN", Refused),
    (400, INVALID, None, Refused),
    (400, QUOTA, "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT", Throttled),
    (400, QUOTA, "MONTHLY_SPEND_LIMIT_REACHED_FOR_RCS", Throttled),
    (400, QUOTA, "DAILY_DESTINATION_CALL_LIMIT", Refused),
    (400, QUOTA, "DAILY_NOTIFY_TIER_MESSAGE_LIMIT", Throttled),
    (400, QUOTA, "TAGS_PER_RESOURCE", Refused),
    (400, QUOTA, "NEVER_SEEN", Throttled),
    (400, QUOTA, None, Throttled),
    (400, DENIED, "ACCOUNT_DISABLED", Misconfigured),
    (400, DENIED, "INSUFFICIENT_ACCOUNT_REPUTATION", Misconfigured),
    (400, DENIED, None, BadSetting),
    (400, "ThrottlingException", None, Throttled),
    (400, "ResourceNotFoundException", None, BadSetting),
    (500, "InternalServerException", None, Unavailable),
    (400, "SignatureDoesNotMatch", None, Misconfigured),
    (400, "InvalidSignatureException", None, Misconfigured),
    (400, "UnrecognizedClientException", None, Misconfigured),
    (400, "ExpiredTokenException", None, Misconfigured),
    (400, "MissingAuthenticationTokenException", None, Misconfigured),
    (400, "UnknownOperationException", None, Misconfigured),
    (503, "ServiceUnavailable", None, Unavailable),
    (400, "NeverSeen", None, Refused),
    (403, "NeverSeen", None, Misconfigured),
    (503, "NeverSeen", None, Unavailable),
    (429, None, None, Throttled),
]
FIELDS = [
    ("DestinationPhoneNumber", Rejected, "number"),
    ("MessageBody", Rejected, "text"),
    ("OriginationIdentity", BadSetting, "origination identity"),
    ("ConfigurationSetName", BadSetting, "configuration set"),
    ("ProtectConfigurationId", BadSetting, "protect configuration"),
    ("MessageType", BadSetting, "message type"),
    ("MaxPrice", BadSetting, "highest price"),
    ("DestinationCountryParameters", BadSetting, "India"),
    ("TimeToLive", Refused, "request"),
]


def answer(status, code, reason=None, **more):
    told = {"__type": f"com.amazonaws.pinpointsmsvoicev2#{code}"} if code else {}
    told |= {"Reason": reason} if reason else {}
    return Answer(status, {}, json.dumps({**told, "Message": "a sentence", **more}).encode())


async def failure(reply, message=TEXT):
    async with stub_server(reply) as stub:
        config = EumConfig(kind="eum", endpoint_url=stub.url, allow_private=True, **KEYS)
        async with Eum("p", config) as provider:
            with pytest.raises(Exception) as raised:  # noqa: PT011  # which one is the question
                await provider.send(message, timeout=5.0)
            assert len(stub.requests) == 1
            return raised.value


# The model


def test_what_is_asked_is_what_the_model_says():
    metadata = MODEL["metadata"]
    assert (metadata["protocol"], metadata["jsonVersion"]) == ("json", "1.0")
    assert metadata["signingName"] == Eum.signing_name
    assert metadata["serviceId"].lower().replace(" ", "-") == Eum.model, "AWS_ENDPOINT_URL_..."
    asked = {f"{metadata['targetPrefix']}.{name}" for name in MODEL["operations"]}
    assert {SEND, LIMITS, ATTRIBUTES} <= asked
    assert TEXTS in SHAPES["SpendLimitName"]["enum"]
    assert "ACCOUNT_TIER" in SHAPES["AccountAttributeName"]["enum"]


def test_every_exception_of_the_model_has_a_row():
    modelled = {error["shape"] for error in OPERATION["errors"]}
    assert modelled - EUM.keys() == set(), "a new exception: say in eum_errors.EUM what it means"


@pytest.mark.parametrize("shape", [error["shape"] for error in OPERATION["errors"]])
def test_every_reason_of_the_model_has_a_row_and_no_other(shape):
    enum = SHAPES[shape]["members"].get("Reason", {}).get("shape")
    modelled = set(SHAPES[enum]["enum"]) if enum else set()
    rows = set(REASONS.get(shape, {}))
    assert modelled - rows == set(), f"a new reason: say in eum_errors.REASONS[{shape!r}] what"
    types = (
        set(SHAPES["ResourceType"]["enum"]) if "ResourceType" in SHAPES[shape]["members"] else set()
    )
    assert rows - modelled - types == set(), "no such reason: misspelt, or gone from the model"


def test_the_last_row_of_each_takes_any_text():
    tables = [EUM, *REASONS.values()]
    assert [code for table in tables for code, rows in table.items() if rows[-1].text] == []


def test_the_bounds_of_the_settings_are_the_models():
    members = SHAPES["SendTextMessageRequest"]["members"]

    def bounds(name):
        return SHAPES[members[name]["shape"]]

    assert (bounds("TimeToLive")["min"], bounds("TimeToLive")["max"]) == (
        SHORTEST_LIFE,
        LONGEST_LIFE,
    )
    assert bounds("MessageBody")["max"] == TEXT_LIMIT
    fields = {
        "OriginationIdentity": (EumConfig, "origination_identity"),
        "ConfigurationSetName": (EumConfig, "configuration_set"),
        "ProtectConfigurationId": (EumConfig, "protect_configuration_id"),
    }
    for name, (model, field) in fields.items():
        (rules,) = model.model_json_schema()["properties"][field]["anyOf"][:1]
        modelled = (f"^{bounds(name)['pattern']}$", bounds(name)["max"])
        assert (rules["pattern"], rules["maxLength"]) == modelled
    keys = SHAPES["DestinationCountryParameterKey"]["enum"]
    assert {key.lower() for key in keys} <= EumExtra.model_fields.keys()
    value = SHAPES["DestinationCountryParameterValue"]
    rules = EumExtra.model_json_schema()["properties"]["in_entity_id"]["anyOf"][0]
    assert (rules["pattern"], rules["maxLength"]) == (f"^{value['pattern']}$", value["max"])


# The answers


@pytest.mark.parametrize(("status", "code", "reason", "expected"), ERRORS)
async def test_an_error_is_of_its_class(status, code, reason, expected):
    error = await failure(answer(status, code, reason))
    assert type(error) is expected
    assert error.code == (reason or code or str(status))


async def test_consent_withdrawn_is_final_and_nothing_else_is():
    stop = await failure(answer(400, CONFLICT, "DESTINATION_PHONE_NUMBER_OPTED_OUT"))
    assert stop.final is True
    size = await failure(answer(400, INVALID, "MAXIMUM_SIZE_EXCEEDED"))
    assert size.final is False


async def test_a_used_up_spend_limit_is_left_alone_for_longer_than_a_rate():
    spent = await failure(answer(400, QUOTA, "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"))
    rate = await failure(answer(400, "ThrottlingException"))
    assert (spent.retry_after, rate.retry_after) == (QUOTA_PAUSE, None)


@pytest.mark.parametrize(("field", "expected", "word"), FIELDS)
@pytest.mark.parametrize("reason", ["INVALID_PARAMETER", "FIELD_VALIDATION_FAILED", None])
async def test_the_field_says_whose_fault_it_is(field, expected, word, reason):
    fields = [{"Name": field, "Message": "the MessageBody to +14155552671 is not valid"}]
    error = await failure(answer(400, INVALID, reason, Fields=fields))
    assert type(error) is expected
    assert word in error.reason


async def test_a_field_that_only_the_text_names_is_found_too():
    text = "1 validation error detected: Value at 'destinationPhoneNumber' failed to satisfy ..."
    error = await failure(answer(400, INVALID, Message=text))
    assert type(error) is Rejected


@pytest.mark.parametrize("fields", ["x", [1], [{}], [{"Name": 7}], {"Name": "MessageBody"}])
async def test_fields_of_another_shape_say_nothing(fields):
    error = await failure(answer(400, INVALID, "OTHER", Fields=fields))
    assert type(error) is Refused


async def test_a_sender_id_that_a_country_does_not_know_opens_no_circuit():
    sender = await failure(answer(400, "ResourceNotFoundException", ResourceType="sender-id"))
    pool = await failure(answer(400, "ResourceNotFoundException", ResourceType="pool"))
    assert (type(sender), type(pool)) == (Refused, BadSetting)


@pytest.mark.parametrize("reason", ["739184620517", "+14155552671", "a b", 7, ["X"], "X" * 65])
async def test_what_is_no_reason_is_not_passed_on_as_one(reason):
    error = await failure(answer(400, CONFLICT, reason))
    assert (type(error), error.code) == (Refused, CONFLICT)


async def test_a_bad_value_of_one_message_does_not_open_the_circuit():
    extra = {"eum": {"origination_identity": "pool-2"}}
    chosen = Message("m-1", "sms", TEXT.to, TEXT.text, extra=extra)
    error = await failure(answer(400, "ResourceNotFoundException"), chosen)
    assert (type(error), error.code) == (Refused, "ResourceNotFoundException")
