"""Whose fault each of SendGrid's answers is, how long to wait, and what its account check tells."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from sidecar import (
    AccountReport,
    AccountState,
    DeliveryError,
    Message,
    Misconfigured,
    Refused,
    Rejected,
    Throttled,
    Unavailable,
    Unknown,
)
from sidecar.testing import Answer, stub_server
from sidecar_sendgrid import FAULTS, SendGrid, SendGridConfig

MESSAGE = Message(
    id="m-1",
    channel="email",
    to="ada@example.com",
    text="Your code is 739184620517",
    subject="Your code",
)


def provider(url: str) -> SendGrid:
    settings = {
        "kind": "sendgrid",
        "api_key": "SG.canary-key",
        "sender": "codes@example.com",
        "base_url": url + "/",
        "allow_private": True,
    }
    return SendGrid("s", SendGridConfig.model_validate(settings))


async def error_of(answer: Answer) -> DeliveryError:
    async with stub_server(answer) as stub, provider(stub.url) as sendgrid:
        with pytest.raises(DeliveryError) as caught:
            await sendgrid.send(MESSAGE, timeout=5)
    assert MESSAGE.to not in f"{caught.value!r}"
    return caught.value


def told(status: int, message: str = "", field: str | None = None, **headers: str) -> Answer:
    errors = [{"message": message, "field": field, "help": None}]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, json.dumps({"errors": errors}).encode())


# status, message, field -> whose fault that is
ROWS = [
    (400, "Does not contain a valid address.", "personalizations.0.to.0.email", Rejected),
    (400, "The to array is required", "personalizations.0.to", Rejected),
    (400, "The from email does not contain a valid address.", "from.email", Misconfigured),
    (400, "The from object must be provided", "from", Misconfigured),
    (400, "The template_id must be a valid GUID", "template_id", Refused),
    (400, "The subject is required.", "subject", Rejected),
    (400, "The content value must be a string", "content.0.value", Rejected),
    (400, "Does not contain a valid address.", "reply_to.email", Rejected),
    (400, "The header from is reserved", "headers.from", Rejected),
    (400, "Bad Request", None, Refused),
    (401, "Maximum credits exceeded", None, Throttled),
    (401, "The provided authorization grant is invalid, expired, or revoked", None, Misconfigured),
    (403, "The from address does not match a verified Sender Identity.", "from", Misconfigured),
    (403, "The from address does not match a verified Sender Identity.", None, Misconfigured),
    (403, "access forbidden", None, Misconfigured),
    (403, "Too many bad requests: temporary block", None, Throttled),
    (403, "You are temporarily blocked", None, Throttled),
    (404, "not found", None, Misconfigured),
    (405, "method not allowed", None, Misconfigured),
    (406, "", None, Misconfigured),
    (413, "The message is too large", None, Rejected),
    (415, "", None, Misconfigured),
    (429, "too many requests", None, Throttled),
    (451, "data residency", None, Misconfigured),
    (500, "", None, Unavailable),
    (502, "", None, Unavailable),
    (503, "", None, Unavailable),
    (504, "", None, Unavailable),
]


@pytest.mark.parametrize(("status", "message", "field", "outcome"), ROWS)
async def test_each_answer_has_its_class(
    status: int, message: str, field: str | None, outcome: type[DeliveryError]
) -> None:
    error = await error_of(told(status, f"{message} ada@example.com", field))
    assert isinstance(error, outcome)
    assert error.code == str(status)


def test_every_row_of_the_table_can_be_reached() -> None:
    reached = {(status, outcome) for status, _, _, outcome in ROWS}
    assert {(fault.status, fault.outcome) for fault in FAULTS} <= reached


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Refused),
        (401, Misconfigured),
        (403, Misconfigured),
        (413, Rejected),
        (418, Refused),
        (429, Throttled),
        (451, Misconfigured),
        (502, Unavailable),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>no</html>",
        b'{"errors": null}',
        b'{"errors": [1, null]}',
        b'{"errors": [{"field": 5, "message": ["ada@example.com"]}]}',
    ],
)
async def test_without_words_the_status_decides(
    status: int, outcome: type[DeliveryError], body: bytes
) -> None:
    assert isinstance(await error_of(Answer(status, {}, body)), outcome)


async def test_the_worse_of_two_faults_is_the_first_row() -> None:
    errors = [{"message": "x", "field": "subject"}, {"message": "x", "field": "from.email"}]
    error = await error_of(Answer(400, {}, json.dumps({"errors": errors}).encode()))
    assert isinstance(error, Misconfigured)


NOON = 1_795_000_000
AT_NOON = {"Date": formatdate(NOON, usegmt=True)}


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (told(429, X_RateLimit_Reset=str(NOON + 30), **AT_NOON), 30.0),
        (told(429, X_RateLimit_Reset=str(NOON + 30), Retry_After="7", **AT_NOON), 30.0),
        (told(429, X_RateLimit_Reset=str(NOON - 5), Retry_After="7", **AT_NOON), 7.0),
        (told(429, X_RateLimit_Reset="soon", Retry_After="7"), 7.0),
        (told(429, X_RateLimit_Reset="9" * 400), None),
        (told(429), None),
        (told(401, "Maximum credits exceeded"), 300.0),
        (told(403, "temporary block"), 300.0),
        (told(403, "temporary block", Retry_After="60"), 60.0),
    ],
)
async def test_how_long_to_leave_it_alone(answer: Answer, seconds: float | None) -> None:
    error = await error_of(answer)
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds


@pytest.mark.parametrize("date", [{}, {"Date": "yesterday"}])
async def test_a_reply_without_a_date_is_measured_by_our_clock(date: dict[str, str]) -> None:
    reset = int(time.time()) + 1000
    error = await error_of(told(429, X_RateLimit_Reset=str(reset), **date))
    assert isinstance(error, Throttled)
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 1000


async def check(*answers: Answer) -> Any:
    async with stub_server(*answers) as stub, provider(stub.url) as sendgrid:
        try:
            return await sendgrid.check(timeout=5)
        except DeliveryError as error:
            return error
        finally:
            asked = list(dict.fromkeys((r.method, r.path) for r in stub.requests))
            assert asked == [("GET", "/v3/scopes"), ("GET", "/v3/user/credits")][: len(asked)]


@pytest.mark.parametrize(
    ("scopes", "state"),
    [
        (["alerts.read", "mail.send"], AccountState.READY),
        (["mail.batch.read"], AccountState.BLOCKED),
        ([], AccountState.BLOCKED),
    ],
)
async def test_the_key_is_reported(scopes: list[str], state: AccountState) -> None:
    report = await check(Answer(200, {}, json.dumps({"scopes": scopes}).encode()))
    assert isinstance(report, AccountReport)
    assert (report.state, report.facts) == (state, {"scopes": len(scopes)})


MAY_SEND = Answer(200, {}, b'{"scopes": ["mail.send"]}')


def credits_of(remain: Any, frequency: str = "monthly") -> Answer:
    told = {"remain": remain, "total": 1000, "overage": 0, "used": 0, "last_reset": "2026-11-01"}
    told |= {"next_reset": "2026-12-01", "reset_frequency": frequency}
    return Answer(200, {}, json.dumps(told).encode())


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (credits_of(900), AccountState.READY, "900 of 1000 credits are left"),
        (credits_of(99), AccountState.DEGRADED, "99 of 1000 credits are left until 2026-12-01"),
        (credits_of(0), AccountState.DEGRADED, "cost extra or are refused"),
        (credits_of(0, "daily"), AccountState.BLOCKED, "the day's 1000 credits are used up"),
        (credits_of(None), AccountState.READY, "the API key may send mail"),
        (credits_of("many"), AccountState.READY, "the API key may send mail"),
        (told(403, "access forbidden"), AccountState.READY, "the API key may send mail"),
        (Answer(200, {}, b"<html>"), AccountState.READY, "the API key may send mail"),
        (Answer(fault="eof"), AccountState.READY, "the API key may send mail"),
    ],
)
async def test_the_credits_are_reported(answer: Answer, state: AccountState, words: str) -> None:
    report = await check(MAY_SEND, answer)
    assert isinstance(report, AccountReport)
    assert report.state is state
    assert words in report.summary


async def test_a_key_that_may_not_ask_is_not_called_useless() -> None:
    report = await check(told(403, "access forbidden"))
    assert isinstance(report, AccountReport)
    assert report.state is AccountState.DEGRADED


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (told(401), Misconfigured),
        (told(404), Misconfigured),
        (told(429), Throttled),
        (Answer(503), Unavailable),
        (Answer(200, {}, b"<html>"), Unknown),
        (Answer(200, {}, b'{"scopes": "mail.send"}'), Unknown),
        (Answer(204), Unknown),
    ],
)
async def test_a_key_that_cannot_be_asked_is_an_error(
    answer: Answer, outcome: type[DeliveryError]
) -> None:
    assert isinstance(await check(answer), outcome)
