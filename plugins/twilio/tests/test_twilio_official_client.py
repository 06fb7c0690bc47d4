"""The official client as the oracle: it and the provider speak to one server, and must agree."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.rest import Client

from sidecar import (
    DeliveryError,
    Message,
    Misconfigured,
    Receipt,
    Refused,
    Rejected,
    Throttled,
    Unavailable,
)
from sidecar.testing import Answer, stub_server
from sidecar_twilio import Twilio, TwilioConfig

SID = "AC" + "0" * 32
SERVICE = "MG" + "2" * 32
MESSAGE = Message(
    id="m-1",
    channel="sms",
    to="+14155552671",
    text="Código & clé = 739184620517 + 1% ~/🔑\nbye",
    expires_in=300.0,
)
CREATED = json.dumps({"sid": "SM" + "1" * 32, "status": "queued"}).encode()


def provider(url: str, **changes: Any) -> Twilio:
    settings = {
        "kind": "twilio",
        "account_sid": SID,
        "auth_token": "canary-token",
        "sender": "+15005550006",
        "base_url": url,
        "allow_private": True,
        **changes,
    }
    return Twilio("t", TwilioConfig.model_validate(settings))


async def ours(url: str, message: Message = MESSAGE, **changes: Any) -> Receipt | DeliveryError:
    async with provider(url, **changes) as twilio:
        try:
            return await twilio.send(message, timeout=5)
        except DeliveryError as error:
            return error


async def theirs(url: str, *login: str, call: Callable[[Client], Any]) -> Any:
    """What `call` makes of the official client, run in a thread because it blocks."""

    def run() -> Any:
        client = Client(*(login or (SID, "canary-token")))
        client.api.base_url = url
        try:
            return call(client)
        except TwilioException as error:
            return error
        finally:
            client.http_client.session.close()  # or it lives on, with its sockets

    return await asyncio.to_thread(run)


def create(
    to: str = MESSAGE.to, from_: str | None = "+15005550006", **changes: Any
) -> Callable[[Client], Any]:
    fields = {"body": MESSAGE.text, "validity_period": 300, "message_intent": "otp", **changes}
    sender = {"from_": from_} if from_ else {}
    return lambda client: client.messages.create(to=to, **sender, **fields)


KEY = {"auth_token": None, "api_key": "SK1", "api_secret": "canary-secret"}
BOTH = {"messaging_service_sid": SERVICE}


@pytest.mark.parametrize(
    ("settings", "login", "fields"),
    [
        ({}, (), {}),
        (KEY, ("SK1", "canary-secret", SID), {}),
        ({**BOTH, "sender": None}, (), {**BOTH, "from_": None}),
        (BOTH, (), BOTH),
    ],
    ids=["token", "api key", "messaging service", "sender of a service"],
)
async def test_both_send_the_same_bytes(
    settings: Mapping[str, Any], login: tuple[str, ...], fields: Mapping[str, Any]
) -> None:
    async with stub_server(Answer(201, {}, CREATED)) as stub:
        receipt = await ours(stub.url, **settings)
        instance = await theirs(stub.url, *login, call=create(**fields))
    mine, official = stub.requests
    assert (mine.method, mine.path, mine.body) == (official.method, official.path, official.body)
    for name in ("authorization", "content-type", "accept"):
        assert mine.headers[name] == official.headers[name]
    assert receipt == Receipt(instance.sid)


@pytest.mark.parametrize(
    ("to", "sender", "code", "outcome"),
    [
        ("+15005550001", "+15005550006", 21211, Rejected),
        ("+15005550002", "+15005550006", 21612, Refused),
        ("+15005550003", "+15005550006", 21408, Refused),
        ("+15005550004", "+15005550006", 21610, Rejected),
        ("+15005550009", "+15005550006", 21614, Rejected),
        ("+14155552671", "+15005550001", 21212, Misconfigured),
        ("+14155552671", "+15005550007", 21606, Misconfigured),
        ("+14155552671", "+15005550008", 21611, Throttled),
    ],
)
async def test_the_magic_numbers_fail_as_twilio_documents(
    stand_in: Any, to: str, sender: str, code: int, outcome: type[DeliveryError]
) -> None:
    message = Message(id="m-1", channel="sms", to=to, text="Your code is 739184620517")
    error = await ours(stand_in.url, message, sender=sender)
    official = await theirs(stand_in.url, call=create(to, sender))
    assert isinstance(error, outcome)
    assert isinstance(official, TwilioRestException)
    assert error.code == str(official.code) == str(code)
    assert stand_in.messages == []


async def test_the_good_magic_number_is_taken_from_both(stand_in: Any) -> None:
    receipt = await ours(stand_in.url)
    instance = await theirs(stand_in.url, call=create())
    assert isinstance(receipt, Receipt)
    assert (instance.status, instance.to, instance.body) == ("queued", MESSAGE.to, MESSAGE.text)
    assert receipt.message_id != instance.sid
    assert stand_in.messages[0] == stand_in.messages[1]


async def test_a_wrong_token_is_told_to_both(stand_in: Any) -> None:
    error = await ours(stand_in.url, auth_token="another")
    official = await theirs(stand_in.url, SID, "another", call=create())
    assert isinstance(error, Misconfigured)
    assert (official.status, official.code, error.code) == (401, 20003, "20003")


def rest_error(status: int, code: int) -> bytes:
    return json.dumps({"code": code, "message": "m", "more_info": "u", "status": status}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "outcome"),
    [
        (429, rest_error(429, 20429), TwilioRestException, 20429, Throttled),
        (503, rest_error(503, 20503), TwilioRestException, 20503, Unavailable),
        (403, rest_error(403, 70051), TwilioRestException, 70051, Misconfigured),
        (400, rest_error(400, 29999), TwilioRestException, 29999, Refused),
        (
            400,
            b'{"type": "t", "title": "x", "status": 400, "code": 21211}',
            TwilioServiceException,
            21211,
            Rejected,
        ),
        (502, b"<html>bad gateway</html>", TwilioRestException, 502, Unavailable),
        (307, b"", TwilioRestException, 307, Unavailable),
    ],
)
async def test_both_read_the_same_code_from_an_error(
    status: int,
    body: bytes,
    kind: type[TwilioException],
    code: int,
    outcome: type[DeliveryError],
) -> None:
    async with stub_server(Answer(status, {}, body)) as stub:
        error = await ours(stub.url)
        official = await theirs(stub.url, call=create())
    assert isinstance(error, outcome)
    assert type(official) is kind
    assert error.code == str(official.code) == str(code)


async def test_the_official_client_takes_a_failed_message_for_a_success() -> None:
    failed = json.dumps({"sid": "SM1", "status": "failed", "error_code": 30006}).encode()
    async with stub_server(Answer(201, {}, failed)) as stub:
        official = await theirs(stub.url, call=create())
        error = await ours(stub.url)
    assert (official.status, official.error_code) == ("failed", 30006)
    assert isinstance(error, Rejected)


async def test_both_read_the_same_account_and_balance() -> None:
    account = Answer(200, {}, b'{"status": "active", "type": "Full"}')
    balance = Answer(200, {}, b'{"balance": "12.5", "currency": "USD"}')
    async with stub_server(account, balance, account, balance) as stub:
        async with provider(stub.url) as twilio:
            report = await twilio.check(timeout=5)
        official = await theirs(stub.url, call=lambda c: c.api.accounts(SID).fetch())
        money = await theirs(stub.url, call=lambda c: c.api.v2010.account.balance.fetch())
    assert dict(report.facts) == {
        "status": official.status,
        "type": official.type,
        "balance": money.balance,
        "currency": money.currency,
    }
    paths = [request.path for request in stub.requests]
    assert paths[:2] == paths[2:]
