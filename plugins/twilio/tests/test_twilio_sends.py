"""Twilio on the wire: the contract of every provider, the form it sends, and each error's class."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import traceback
from base64 import b64encode
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import (
    DeliveryError,
    Message,
    Misconfigured,
    Receipt,
    Refused,
    Rejected,
)
from sidecar.testing import Answer, HttpProviderContract, StubServer
from sidecar_twilio import Twilio, TwilioConfig, _form

SID = "AC" + "0" * 32
MESSAGE_SID = "SM" + "1" * 32
SERVICE = "MG" + "2" * 32


def answer(status: int, headers: dict[str, str] | None = None, /, **body: Any) -> Answer:
    return Answer(status, headers or {}, json.dumps(body).encode())


def form_of(stub: StubServer) -> dict[str, str]:
    (request,) = stub.requests
    return {name: value for name, (value,) in parse_qs(request.body.decode()).items()}


class TestTwilio(HttpProviderContract):
    provider_class = Twilio
    settings: ClassVar = {
        "account_sid": SID,
        "auth_token": "canary-token",
        "sender": "+15005550006",
    }
    secrets = ("canary-token",)
    accepted = answer(201, sid=MESSAGE_SID, status="queued")

    async def error(self, given: Answer, **changes: Any) -> DeliveryError:
        result, _ = await self.send_to(given, **changes)
        assert isinstance(result, DeliveryError), result
        return result

    async def test_the_sid_is_the_receipt(self) -> None:
        result, _ = await self.send_to(self.accepted)
        assert result == Receipt(MESSAGE_SID)

    @pytest.mark.parametrize("status", [None, "queued", "of next year"])
    async def test_the_sid_counts_whatever_the_status_is(self, status: object) -> None:
        result, _ = await self.send_to(answer(201, sid=MESSAGE_SID, status=status))
        assert result == Receipt(MESSAGE_SID)

    async def test_the_form_holds_what_twilio_documents(self) -> None:
        _, stub = await self.send_to(self.accepted)
        assert form_of(stub) == {
            "To": "+14155552671",
            "From": "+15005550006",
            "Body": "Your code is 739184620517",
            "ValidityPeriod": "300",
            "MessageIntent": "otp",
        }
        assert stub.requests[0].path == f"/2010-04-01/Accounts/{SID}/Messages.json"

    async def test_any_text_arrives_as_it_was(self) -> None:
        text = "Código & clé = 739184620517 + 1% 🔑\nbye"
        _, stub = await self.send_to(self.accepted, message=self.message(text=text))
        assert form_of(stub)["Body"] == text

    async def test_a_messaging_service_stands_for_a_sender(self) -> None:
        _, stub = await self.send_to(self.accepted, sender=None, messaging_service_sid=SERVICE)
        assert form_of(stub)["MessagingServiceSid"] == SERVICE
        assert "From" not in form_of(stub)

    async def test_an_api_key_logs_in_for_the_account(self) -> None:
        key = {"auth_token": None, "api_key": "SK1", "api_secret": "canary-secret"}
        _, stub = await self.send_to(self.accepted, **key)
        expected = b64encode(b"SK1:canary-secret").decode()
        assert stub.requests[0].headers["authorization"] == f"Basic {expected}"
        assert f"/Accounts/{SID}/" in stub.requests[0].path

    @pytest.mark.parametrize(
        ("expires_in", "validity"),
        [(300.9, "300"), (0.2, "1"), (1, "1"), (36_000, "36000"), (1e9, "36000"), (None, None)],
    )
    async def test_the_life_of_the_code_bounds_the_queue(
        self, expires_in: float | None, validity: str | None
    ) -> None:
        _, stub = await self.send_to(self.accepted, message=self.message(expires_in=expires_in))
        assert form_of(stub).get("ValidityPeriod") == validity

    async def test_only_a_code_is_declared_one(self) -> None:
        _, stub = await self.send_to(self.accepted, message=self.message(purpose="alert"))
        assert "MessageIntent" not in form_of(stub)

    async def test_a_message_may_choose_its_sender(self) -> None:
        chosen = self.message(extra={"twilio": {"messaging_service_sid": SERVICE}})
        _, stub = await self.send_to(self.accepted, message=chosen)
        assert form_of(stub)["MessagingServiceSid"] == SERVICE
        assert "From" not in form_of(stub), "a configured sender need not be of that service"

    @pytest.mark.parametrize(
        "extra", [{"sender": 1}, {"sender": ""}, {"messaging_service_sid": "AC1"}, {"form": "x"}]
    )
    async def test_a_wrong_choice_is_the_messages_fault(self, extra: dict[str, Any]) -> None:
        result, stub = await self.send_to(
            self.accepted, message=self.message(extra={"twilio": extra})
        )
        assert isinstance(result, Rejected)
        assert stub.requests == []

    async def test_a_wrong_choice_is_not_repeated(self) -> None:
        message = self.message(extra={"twilio": {"sender": ["canary"], "canary": "canary"}})
        result, _ = await self.send_to(self.accepted, message=message)
        assert isinstance(result, Rejected)
        assert "canary" not in "".join(traceback.format_exception(result))

    @pytest.mark.parametrize(
        "extra", [{"sns": {"sender": "+1"}}, {"twilio": {}}, {"twilio": {"sender": None}}]
    )
    async def test_who_names_no_sender_gets_the_configured_one(self, extra: Any) -> None:
        message = self.message(extra=extra)
        _, stub = await self.send_to(self.accepted, message=message)
        assert form_of(stub)["From"] == "+15005550006"

    async def test_a_sender_that_a_message_chose_opens_no_circuit(self) -> None:
        given = answer(400, code=21606)
        assert isinstance(await self.error(given), Misconfigured)
        chosen = self.message(extra={"twilio": {"sender": "+15005550007"}})
        error = await self.error(given, message=chosen)
        assert isinstance(error, Refused)
        assert error.code == "21606"

    async def test_a_bad_login_stays_one_whoever_chose_the_sender(self) -> None:
        chosen = self.message(extra={"twilio": {"sender": "+15005550007"}})
        error = await self.error(answer(401, code=20003), message=chosen)
        assert isinstance(error, Misconfigured)

    async def test_a_text_over_the_limit_is_not_sent(self) -> None:
        result, stub = await self.send_to(self.accepted, message=self.message(text="x" * 1601))
        assert isinstance(result, Rejected)
        assert stub.requests == []
        result, _ = await self.send_to(self.accepted, message=self.message(text="x" * 1600))
        assert isinstance(result, Receipt)

    async def test_nothing_secret_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        await self.send_to(self.accepted)
        await self.error(answer(400, code=21211, message="+14155552671 is not valid"))
        for canary in ("canary-token", "739184620517", "4155552671"):
            assert canary not in caplog.text


async def test_concurrent_sends_keep_their_recipients(stand_in: Any) -> None:
    config = TwilioConfig.model_validate(
        {"kind": "twilio", "base_url": stand_in.url, "allow_private": True, **TestTwilio.settings}
    )
    wanted = {f"+1415555{n:04d}": f"code {n}" for n in range(20)}
    async with Twilio("t", config) as provider:
        receipts = await asyncio.gather(
            *(
                provider.send(Message(id=to, channel="sms", to=to, text=text), timeout=10)
                for to, text in wanted.items()
            )
        )
    assert {m["To"]: m["Body"] for m in stand_in.messages} == wanted
    assert len({receipt.message_id for receipt in receipts}) == 20


def test_the_readme_names_every_setting() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert [name for name in TwilioConfig.model_fields if f"`{name}`" not in readme] == ["kind"]


def test_the_plugin_does_not_load_the_sdk() -> None:
    code = "import sidecar_twilio, sys; sys.exit('twilio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


words = st.text(st.characters(codec="utf-8"), min_size=1)


@settings(max_examples=200, deadline=None)
@given(
    to=words,
    text=words,
    sender=st.sampled_from(["+15005550006", "My Shop & Co é"]),
    life=st.none() | st.floats(1, 90_000),
)
def test_the_form_is_that_of_urlencode(to: str, text: str, sender: str, life: float | None) -> None:
    config = TwilioConfig(
        kind="twilio",
        account_sid=SID,
        auth_token="canary-token",
        sender=sender,
        messaging_service_sid=SERVICE,
    )
    fields = {
        "To": to,
        **({} if life is None else {"ValidityPeriod": int(min(life, 36_000))}),
        "MessageIntent": "otp",
        "From": sender,
        "MessagingServiceSid": SERVICE,
        "Body": text,
    }
    assert _form(Message("m", "sms", to, text, expires_in=life), config) == urlencode(fields)
