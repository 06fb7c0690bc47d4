"""A stand-in for Twilio: the documented API, as far as a send and an account check use it."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

SID = "AC" + "0" * 32
TOKEN = "canary-token"

# Twilio, "Test credentials": numbers that fail in a known way, and all others that do not.
MAGIC_TO = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
MAGIC_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}


@dataclass
class StandIn:
    """Takes messages for one account; `messages` are the forms it took, in order."""

    url: str = ""
    messages: list[Mapping[str, str]] = field(default_factory=list)

    async def create(self, request: web.Request) -> web.Response:
        expected = b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            return _error(401, 20003)
        form = {k: str(v) for k, v in (await request.post()).items()}
        code = MAGIC_TO.get(form["To"]) or MAGIC_FROM.get(form.get("From", ""))
        if code is not None:
            return _error(400, code)
        self.messages.append(form)
        return web.json_response(_resource(form, len(self.messages)), status=201)


def _error(status: int, code: int) -> web.Response:
    document = {
        "code": code,
        "message": "a text of the vendor, with a number in it: +14155552671",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return web.json_response(document, status=status)


def _resource(form: Mapping[str, str], number: int) -> dict[str, object]:
    return {
        "account_sid": SID,
        "body": form["Body"],
        "date_created": "Mon, 23 Nov 2026 09:00:00 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "from": form.get("From"),
        "messaging_service_sid": form.get("MessagingServiceSid"),
        "num_segments": "1",
        "price": None,
        "sid": f"SM{number:032x}",
        "status": "queued",
        "to": form["To"],
    }


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    twilio = StandIn()
    app = web.Application()
    app.router.add_post(f"/2010-04-01/Accounts/{SID}/Messages.json", twilio.create)
    async with TestServer(app, host="127.0.0.1") as server:
        twilio.url = str(server.make_url("")).rstrip("/")
        yield twilio


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("TWILIO_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
