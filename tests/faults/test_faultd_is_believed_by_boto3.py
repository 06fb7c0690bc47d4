"""The official client takes the stand-in of End User Messaging for AWS; moto has none of it."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from faultd.client import AWS
from harness.process import PHONE, TEXT


@pytest.fixture
def client(faultd):
    made = boto3.session.Session().client(
        "pinpoint-sms-voice-v2",
        region_name=AWS["region"],
        endpoint_url=faultd.url("eum"),
        aws_access_key_id=AWS["access_key_id"],
        aws_secret_access_key=AWS["secret_access_key"],
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )
    yield made
    made.close()


def send(client):
    return client.send_text_message(DestinationPhoneNumber=PHONE, MessageBody=TEXT)


def test_an_accepted_text_has_the_ledgers_id(faultd, client):
    before = len(faultd.ledger())
    answer = send(client)
    (record,) = faultd.ledger(since=before)
    assert (record["id"], record["recipient"]) == (answer["MessageId"], PHONE)


@pytest.mark.parametrize(
    ("fault", "options", "exception", "reason"),
    [
        ("reject", {}, "ValidationException", "INVALID_PARAMETER"),
        (
            "reject",
            {"why": "opted_out"},
            "ConflictException",
            "DESTINATION_PHONE_NUMBER_OPTED_OUT",
        ),
        (
            "reject",
            {"why": "unverified"},
            "ConflictException",
            "DESTINATION_PHONE_NUMBER_NOT_VERIFIED",
        ),
        (
            "reject",
            {"why": "spend_limit"},
            "ServiceQuotaExceededException",
            "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT",
        ),
        ("throttle", {}, "ThrottlingException", None),
        ("auth", {"code": 403}, "AccessDeniedException", None),
        ("status", {"code": 500}, "InternalServerException", None),
    ],
)
def test_what_it_says_no_by_is_modelled(faultd, client, fault, options, exception, reason):
    faultd.set("eum", fault, **options)
    with pytest.raises(getattr(client.exceptions, exception)) as raised:
        send(client)
    assert raised.value.response.get("Reason") == reason
    modelled = client.meta.service_model.shape_for(exception).members
    if reason:
        assert reason in modelled["Reason"].enum
    fields = raised.value.response.get("Fields", [])
    members = client.meta.service_model.operation_model("SendTextMessage").input_shape.members
    assert {field["Name"] for field in fields} <= members.keys()


def test_bad_keys_are_an_error_that_every_service_has(faultd, client):
    faultd.set("eum", "auth", code=401)
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        send(client)
