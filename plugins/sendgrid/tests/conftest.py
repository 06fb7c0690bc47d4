"""A stand-in for SendGrid: the documented v3 API, as far as a send needs it."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

API_KEY = "SG.canary-key"
ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


@dataclass
class StandIn:
    """Takes mail for one account with one verified sender; `mails` are the bodies it took."""

    url: str = ""
    mails: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {API_KEY}":
            told = "The provided authorization grant is invalid, expired, or revoked"
            return _error(401, told, None)
        mail = await request.json()
        fault = _fault(mail)
        if fault is not None:
            return _error(*fault)
        if mail.get("mail_settings", {}).get("sandbox_mode", {}).get("enable"):
            return web.Response(status=200)
        self.mails.append(mail)
        return web.Response(status=202, headers={"X-Message-Id": f"id-{len(self.mails)}"})


def _fault(mail: dict[str, Any]) -> tuple[int, str, str] | None:
    """The first of SendGrid's documented complaints that fits."""
    for index, each in enumerate(mail.get("personalizations", [])):
        if not each.get("to"):
            return 400, "The to array is required", f"personalizations.{index}.to"
        if not all(ADDRESS.fullmatch(to["email"]) for to in each["to"]):
            return 400, "Does not contain a valid address.", f"personalizations.{index}.to"
    if not mail["from"]["email"].endswith("@example.com"):
        return 403, "The from address does not match a verified Sender Identity.", "from"
    if "template_id" not in mail and not mail.get("subject"):
        return 400, "The subject is required.", "subject"
    content = mail.get("content", [])
    if "template_id" not in mail and not (content and all(part["value"] for part in content)):
        return 400, "The content value must be a string at least one character.", "content.0.value"
    if not mail.get("template_id", "d-").startswith("d-"):
        return 400, "The template_id must be a valid GUID", "template_id"
    return None


def _error(status: int, message: str, field_: str | None) -> web.Response:
    errors = [{"message": message, "field": field_, "help": None}]
    return web.json_response({"errors": errors}, status=status)


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    sendgrid = StandIn()
    app = web.Application()
    app.router.add_post("/v3/mail/send", sendgrid.send)
    async with TestServer(app, host="127.0.0.1") as server:
        sendgrid.url = str(server.make_url("")).rstrip("/")
        yield sendgrid


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("SENDGRID_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
