"""The settings that Twilio needs, and what its account check makes of the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from sidecar import (
    AccountReport,
    AccountState,
    DeliveryError,
    Message,
    Misconfigured,
    Unavailable,
    Unknown,
)
from sidecar.testing import Answer, StubServer, stub_server
from sidecar_twilio import Twilio, TwilioConfig

SID = "AC" + "0" * 32
BY_TOKEN = {"account_sid": SID, "auth_token": "canary-token", "sender": "+15005550006"}
KEY = {"api_key": "SK1", "api_secret": "canary-secret"}


def config(**settings: Any) -> TwilioConfig:
    return TwilioConfig.model_validate({"kind": "twilio", **settings})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"auth_token": None}, "give either `auth_token`"),
        (KEY, "give either `auth_token`"),
        ({"api_key": "SK1"}, "give either `auth_token`"),
        ({"auth_token": None, "api_key": "SK1"}, "give either `auth_token`"),
        ({"auth_token": None, "api_secret": "canary-secret"}, "give either `auth_token`"),
        ({"auth_token": ""}, "give either `auth_token`"),
        ({"sender": None}, "give `sender` or `messaging_service_sid`"),
        ({"sender": ""}, "sender"),
        ({"account_sid": "SK" + "0" * 32}, "account_sid"),
        ({"account_sid": "AC1/../AC2"}, "account_sid"),
        ({"messaging_service_sid": "AC1"}, "messaging_service_sid"),
        ({"base_url": "ftp://twilio.example"}, "base_url"),
        ({"base_url": "https://user@twilio.example"}, "base_url"),
        ({"sender": 15005550006}, "sender"),
    ],
)
def test_incomplete_settings_are_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**{**BY_TOKEN, **changes})
    assert told in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        BY_TOKEN,
        {"account_sid": SID, "sender": "+15005550006", **KEY},
        {**BY_TOKEN, "sender": None, "messaging_service_sid": "MG1"},
        {**BY_TOKEN, "messaging_service_sid": "MG1"},
    ],
)
def test_complete_settings_are_taken(settings: dict[str, Any]) -> None:
    assert config(**settings).base_url == "https://api.twilio.com"


async def check(*answers: Answer, **changes: Any) -> AccountReport | DeliveryError:
    async with stub_server(*answers) as stub:
        return await check_at(stub, **changes)


async def check_at(stub: StubServer, **changes: Any) -> AccountReport | DeliveryError:
    settings = {**BY_TOKEN, "base_url": stub.url + "/", "allow_private": True, **changes}
    async with Twilio("t", config(**settings)) as provider:
        try:
            return await provider.check(timeout=5)
        except DeliveryError as error:
            return error


def account(status: str = "active", kind: str = "Full") -> Answer:
    document = {"status": status, "type": kind, "auth_token": "canary", "friendly_name": "a@b.c"}
    return Answer(200, {}, json.dumps(document).encode())


def balance(amount: str | None = "12.50") -> Answer:
    document = {"balance": amount, "currency": "USD", "account_sid": SID}
    return Answer(200, {}, json.dumps(document).encode())


def refusal(status: int = 401, code: int = 20003) -> Answer:
    return Answer(
        status, {}, json.dumps({"code": code, "status": status, "message": "no"}).encode()
    )


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ((account(), balance()), AccountState.READY),
        ((account(), balance("-0.01")), AccountState.DEGRADED),
        ((account(), balance("0.00")), AccountState.DEGRADED),
        ((account(kind="Trial"), balance()), AccountState.DEGRADED),
        ((account("suspended"), balance()), AccountState.BLOCKED),
        ((account("closed", "Trial"), balance()), AccountState.BLOCKED),
        ((account(), balance(None)), AccountState.READY),
        ((account(), refusal(404, 20404)), AccountState.READY),
        ((refusal(), balance()), AccountState.READY),
        ((refusal(), balance("0")), AccountState.DEGRADED),
    ],
)
async def test_the_account_is_reported(answers: tuple[Answer, ...], state: AccountState) -> None:
    report = await check(*answers)
    assert isinstance(report, AccountReport)
    assert report.state is state


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((account("suspended"), balance()), "the account is suspended: see why"),
        ((account(), balance("-0.01")), "used up (-0.01 USD): top it up"),
        ((account(), balance("0.42")), "nearly used up (0.42 USD): top it up"),
        ((account(kind="Trial"), balance("0"), refusal()), "nobody else: upgrade it"),
        ((account(kind="Trial"), balance("0"), refusal()), "; the balance is used up"),
    ],
)
async def test_a_finding_says_what_to_do(answers: tuple[Answer, ...], words: str) -> None:
    report = await check(*answers)
    assert isinstance(report, AccountReport)
    assert words in report.summary


async def test_an_api_key_that_may_see_nothing_may_send_all_the_same() -> None:
    for code in (20003, 70051):
        report = await check(refusal(403, code), refusal(403, code), auth_token=None, **KEY)
        assert isinstance(report, AccountReport)
        assert report.state is AccountState.DEGRADED
    assert isinstance(await check(refusal(), refusal()), Misconfigured)


def caller_ids(*numbers: object, more: str | None = None) -> Answer:
    listed = [{"phone_number": number, "friendly_name": "canary"} for number in numbers]
    document = {"outgoing_caller_ids": listed, "next_page_uri": more}
    return Answer(200, {}, json.dumps(document).encode())


@pytest.mark.parametrize(
    ("listed", "refused"),
    [
        (caller_ids("+14155550001", "+14155550002"), True),
        (caller_ids(), False),
        (caller_ids("+14155550001", None), False),
        (caller_ids("+14155550001", more="/next"), False),
        (refusal(), False),
        (Answer(fault="eof"), False),
        (Answer(200, {}, b"<html>"), False),
    ],
)
async def test_a_trial_refuses_whoever_is_surely_not_verified(
    listed: Answer, refused: bool
) -> None:
    report = await check(account(kind="Trial"), balance(), listed)
    assert isinstance(report, AccountReport)
    assert report.state is AccountState.DEGRADED
    provider = Twilio("t", config(**BY_TOKEN))
    known, other = (Message("m", "sms", f"+1415555000{n}", "text") for n in (1, 3))
    assert provider.would_refuse(known, report) is None
    assert (provider.would_refuse(other, report) is not None) == refused
    assert "4155550001" not in repr(report)
    assert report.facts.get("verified_recipients") == (2 if refused else None)


async def test_the_facts_are_named_and_nothing_else_is_passed_on() -> None:
    report = await check(account(), balance())
    assert isinstance(report, AccountReport)
    assert report.facts == {
        "status": "active",
        "type": "Full",
        "balance": "12.50",
        "currency": "USD",
    }


async def test_an_error_brings_no_facts() -> None:
    report = await check(refusal(), balance())
    assert isinstance(report, AccountReport)
    assert report.facts == {"balance": "12.50", "currency": "USD"}


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ((refusal(), refusal()), Misconfigured),
        ((refusal(404, 20404), refusal(404, 20404)), Misconfigured),
        ((Answer(503), Answer(503)), Unavailable),
        ((Answer(200, {}, b"<html>"), Answer(200, {}, b"null")), Unknown),
        ((Answer(fault="truncate"), balance()), Unknown),
    ],
)
async def test_an_account_that_cannot_be_read_is_an_error(
    answers: tuple[Answer, ...], outcome: type[DeliveryError]
) -> None:
    assert isinstance(await check(*answers), outcome)


async def test_a_check_only_reads() -> None:
    async with stub_server(account(), balance()) as stub:
        await check_at(stub)
    assert [(request.method, request.path) for request in stub.requests] == [
        ("GET", f"/2010-04-01/Accounts/{SID}.json"),
        ("GET", f"/2010-04-01/Accounts/{SID}/Balance.json"),
    ]
    assert {request.body for request in stub.requests} == {b""}
