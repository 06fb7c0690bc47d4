"""Whose fault each of Twilio's errors is, and how long a throttle lasts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar import (
    DeliveryError,
    Message,
    Misconfigured,
    Refused,
    Rejected,
    Throttled,
    Unavailable,
    Unknown,
    transport,
)
from sidecar.testing import Answer, stub_server
from sidecar_twilio import FAULTS, Twilio, TwilioConfig

MESSAGE_SID = "SM" + "1" * 32
SETTINGS = {
    "kind": "twilio",
    "account_sid": "AC" + "0" * 32,
    "auth_token": "canary-token",
    "sender": "+15005550006",
    "allow_private": True,
}


def answer(status: int, headers: dict[str, str] | None = None, /, **body: Any) -> Answer:
    return Answer(status, headers or {}, json.dumps(body).encode())


async def error_of(given: Answer) -> DeliveryError:
    message = Message(id="m-1", channel="sms", to="+14155552671", text="Your code is 739184620517")
    async with stub_server(given) as stub:
        config = TwilioConfig.model_validate({**SETTINGS, "base_url": stub.url})
        async with Twilio("t", config) as provider:
            with pytest.raises(DeliveryError) as caught:
                await provider.send(message, timeout=5)
    assert "4155552671" not in repr(caught.value)
    return caught.value


# HTTP status, Twilio's code, and whose fault that is.
ROWS = [
    (429, 20429, Throttled),
    (400, 21611, Throttled),
    (400, 63038, Throttled),
    (400, 10001, Throttled),
    (500, 20500, Unavailable),
    (503, 20503, Unavailable),
    (400, 21730, Unavailable),
    (401, 20003, Misconfigured),
    (403, 20403, Misconfigured),
    (403, 20005, Misconfigured),
    (403, 70051, Misconfigured),
    (404, 20404, Misconfigured),
    (400, 21212, Misconfigured),
    (400, 21606, Misconfigured),
    (400, 21603, Misconfigured),
    (400, 21660, Misconfigured),
    (400, 21701, Misconfigured),
    (400, 21703, Misconfigured),
    (400, 21704, Misconfigured),
    (400, 21705, Misconfigured),
    (400, 21608, Misconfigured),
    (400, 14107, Refused),
    (400, 21408, Refused),
    (400, 21612, Refused),
    (400, 21659, Refused),
    (400, 21211, Rejected),
    (400, 21614, Rejected),
    (400, 21604, Rejected),
    (400, 21602, Rejected),
    (400, 21617, Rejected),
    (400, 21610, Rejected),
]
# A message may be created and fail at once: 201, and the code in `error_code`.
FAILED_AT_ONCE = [
    (30001, Throttled),
    (30002, Misconfigured),
    (30003, Refused),
    (30004, Rejected),
    (30005, Rejected),
    (30006, Rejected),
    (30007, Refused),
    (30008, Refused),
    (30010, Refused),
    (30034, Misconfigured),
    (39999, Refused),
    (None, Refused),
]


@pytest.mark.parametrize(("status", "code", "outcome"), ROWS)
async def test_the_code_decides(status: int, code: int, outcome: type[DeliveryError]) -> None:
    error = await error_of(answer(status, code=code, message="to +14155552671"))
    assert isinstance(error, outcome)
    assert error.code == str(code)


@pytest.mark.parametrize("code", [21211, "21211"])
async def test_the_code_wins_over_the_status(code: object) -> None:
    assert isinstance(await error_of(answer(500, code=code)), Rejected)


@pytest.mark.parametrize("status", ["failed", "undelivered", "canceled", "FAILED"])
@pytest.mark.parametrize(("code", "outcome"), FAILED_AT_ONCE)
async def test_a_message_that_failed_at_once_is_no_success(
    status: str, code: int | None, outcome: type[DeliveryError]
) -> None:
    given = answer(201, sid=MESSAGE_SID, status=status, error_code=code)
    assert isinstance(await error_of(given), outcome)


def test_every_code_of_the_table_is_tested() -> None:
    assert {c for _, c, _ in ROWS} | {c for c, _ in FAILED_AT_ONCE} >= set(FAULTS)


async def test_who_sent_stop_is_tried_nowhere_else() -> None:
    error = await error_of(answer(400, code=21610))
    assert isinstance(error, Rejected)
    assert error.final
    other = await error_of(answer(400, code=21211))
    assert isinstance(other, Rejected)
    assert not other.final


@pytest.mark.parametrize(
    ("code", "headers", "seconds"),
    [
        (20429, {}, None),
        (20429, {"Retry-After": "7"}, 7.0),
        (63038, {}, 300.0),
        (63038, {"Retry-After": "60"}, 60.0),
        (None, {"Retry-After": "9"}, 9.0),
    ],
)
async def test_how_long_to_leave_it_alone(
    code: int | None, headers: dict[str, str], seconds: float | None
) -> None:
    error = await error_of(answer(429, headers, code=code))
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds


async def test_the_newer_form_of_an_error_is_understood() -> None:
    problem = {"type": "https://t.example/21211", "title": "no", "status": 400, "code": 21211}
    assert isinstance(await error_of(answer(400, **problem)), Rejected)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Refused),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (429, Throttled),
        (500, Unavailable),
    ],
)
@pytest.mark.parametrize(
    "body", [b"<html>no</html>", b"", b"[1]", b'{"code": null}', b'{"code": "+14155552671"}']
)
async def test_without_a_code_the_status_decides(
    status: int, outcome: type[DeliveryError], body: bytes
) -> None:
    error = await error_of(Answer(status, {}, body))
    assert isinstance(error, outcome)
    assert error.code == str(status)


async def test_an_unknown_code_is_shown_and_the_status_decides() -> None:
    error = await error_of(answer(400, code=29999))
    assert (type(error), error.code) == (Refused, "29999")


@pytest.mark.parametrize("sid", [None, "", 5, ["SM1"], "SM\n1", "S" * 300])
async def test_an_unusable_sid_is_unknown(sid: object) -> None:
    assert isinstance(await error_of(answer(201, sid=sid, status="queued")), Unknown)


@pytest.mark.parametrize(
    "body",
    [
        {"status": ["failed"]},
        {"status": {"failed": True}},
        {"status": "queued", "error_code": 30006},
        {"status": 400, "code": 21211, "message": "no"},
    ],
)
async def test_a_sid_beside_an_error_is_unknown(body: dict[str, Any]) -> None:
    assert isinstance(await error_of(answer(201, sid=MESSAGE_SID, **body)), Unknown)


def test_the_readme_lists_the_codes() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    listed = {int(code) for code in re.findall(r"\b\d{5}\b", readme)}
    assert listed == set(FAULTS)


@pytest.fixture
def by_aiohttp() -> Iterator[None]:
    transport.use("aiohttp")
    yield
    transport.use("lean")


async def test_a_status_below_200_says_nothing_of_the_message(by_aiohttp: None) -> None:
    """aiohttp takes 101 for an answer, where the other client waits for the one behind it."""
    error = await error_of(answer(101, sid=MESSAGE_SID, status="queued"))
    assert isinstance(error, Unknown)
