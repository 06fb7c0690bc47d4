"""SendGrid on the wire: the contract of every provider, the mail it sends, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import traceback
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sidecar import DeliveryError, Message, Misconfigured, Receipt, Refused, Rejected, Unknown
from sidecar.testing import Answer, HttpProviderContract, StubServer
from sidecar_sendgrid import SendGrid, SendGridConfig

LINE_BREAKS = ["\r", "\n", "\0", "\x0b", "\x85", "\u2028", "\u2029", "\x1b", "\x7f"]


def mail_of(stub: StubServer) -> dict[str, Any]:
    (request,) = stub.requests
    mail = json.loads(request.body)
    assert isinstance(mail, dict)
    return mail


class TestSendGrid(HttpProviderContract):
    provider_class = SendGrid
    settings: ClassVar = {"api_key": "SG.canary-key", "sender": "Example <codes@example.com>"}
    secrets = ("SG.canary-key",)
    accepted = Answer(202, {"X-Message-Id": "14c5d75ce93.dfd.64b469"})

    async def test_the_id_in_the_header_is_the_receipt(self) -> None:
        result, _ = await self.send_to(self.accepted)
        assert result == Receipt("14c5d75ce93.dfd.64b469")

    async def test_the_mail_holds_what_sendgrid_documents(self) -> None:
        _, stub = await self.send_to(self.accepted)
        digest = sha256(b"m-1").hexdigest()[:32]
        assert mail_of(stub) == {
            "from": {"name": "Example", "email": "codes@example.com"},
            "subject": "Your code",
            "personalizations": [{"to": [{"email": "ada@example.com"}]}],
            "content": [{"type": "text/plain", "value": "Your code is 739184620517"}],
            "headers": {"Message-ID": f"<{digest}@example.com>"},
            "tracking_settings": {
                "click_tracking": {"enable": False, "enable_text": False},
                "open_tracking": {"enable": False},
                "subscription_tracking": {"enable": False},
            },
        }
        (request,) = stub.requests
        assert (request.method, request.path) == ("POST", "/v3/mail/send")
        assert request.headers["authorization"] == "Bearer SG.canary-key"
        assert request.headers["content-type"] == "application/json"

    async def test_the_plain_text_comes_before_the_html(self) -> None:
        _, stub = await self.send_to(
            self.accepted, message=self.message(html="<b>739184620517</b>")
        )
        assert [part["type"] for part in mail_of(stub)["content"]] == ["text/plain", "text/html"]

    async def test_any_text_arrives_as_it_was(self) -> None:
        message = self.message(text="Clé \u2028 🔑\r\n.\r\n", subject="Votre clé 🔑")
        _, stub = await self.send_to(self.accepted, message=message)
        assert mail_of(stub)["content"][0]["value"] == message.text
        assert mail_of(stub)["subject"] == message.subject

    async def test_a_bare_sender_has_no_name(self) -> None:
        _, stub = await self.send_to(self.accepted, sender="codes@example.com")
        assert mail_of(stub)["from"] == {"email": "codes@example.com"}

    async def test_one_message_has_one_id_and_another_has_another(self) -> None:
        ids = []
        for name in ("m-1", "m-1", "m-2"):
            _, stub = await self.send_to(self.accepted, message=self.message(id=name))
            ids.append(mail_of(stub)["headers"]["Message-ID"])
        assert ids[0] == ids[1] != ids[2]

    async def test_nothing_but_the_address_tells_who_it_is_for(self) -> None:
        _, stub = await self.send_to(self.accepted)
        mail = mail_of(stub)
        assert "custom_args" not in mail
        assert "categories" not in mail
        del mail["personalizations"]
        assert "ada@" not in json.dumps(mail)

    async def test_only_a_code_goes_untracked(self) -> None:
        _, stub = await self.send_to(self.accepted, message=self.message(purpose="alert"))
        assert "tracking_settings" not in mail_of(stub)

    async def test_a_reply_address_may_have_a_name(self) -> None:
        message = self.message(reply_to="Help <help@example.com>")
        _, stub = await self.send_to(self.accepted, message=message)
        assert mail_of(stub)["reply_to"] == {"name": "Help", "email": "help@example.com"}

    async def test_a_message_may_bring_a_template(self) -> None:
        extra = {"template_id": "d-1", "dynamic_template_data": {"code": "739184620517", "n": [1]}}
        message = self.message(subject=None, extra={"sendgrid": extra})
        _, stub = await self.send_to(self.accepted, message=message)
        mail = mail_of(stub)
        assert mail["template_id"] == "d-1"
        assert mail["personalizations"][0]["dynamic_template_data"] == {
            "code": "739184620517",
            "n": [1],
        }
        assert "subject" not in mail

    @pytest.mark.parametrize(
        "extra",
        [{"template_id": 1}, {"template_id": ""}, {"dynamic_template_data": "x"}, {"bcc": "x@y.z"}],
    )
    async def test_a_wrong_extra_is_the_messages_fault(self, extra: dict[str, Any]) -> None:
        await self.refused_here(Rejected, extra={"sendgrid": extra})

    async def test_a_wrong_extra_is_not_repeated(self) -> None:
        message = self.message(extra={"sendgrid": {"template_id": ["canary"], "canary": 1}})
        result, _ = await self.send_to(self.accepted, message=message)
        assert isinstance(result, Rejected)
        assert "canary" not in "".join(traceback.format_exception(result))

    async def refused_here(self, outcome: type[DeliveryError], **changes: Any) -> None:
        result, stub = await self.send_to(self.accepted, message=self.message(**changes))
        assert isinstance(result, outcome)
        assert stub.requests == []

    @pytest.mark.parametrize("name", ["subject", "reply_to", "to"])
    @pytest.mark.parametrize("bad", LINE_BREAKS)
    async def test_no_line_break_reaches_a_header(self, name: str, bad: str) -> None:
        await self.refused_here(Rejected, **{name: f"a@b.example{bad}Bcc: z@x.example"})

    @pytest.mark.parametrize("name", ["subject", "reply_to"])
    async def test_no_encoded_word_reaches_a_header(self, name: str) -> None:
        hidden = "=?utf-8?q?a=0D=0ABcc=3A_z=40x.example?= <a@b.example>"
        await self.refused_here(Rejected, **{name: hidden})

    @pytest.mark.parametrize(
        "reply_to", ["nobody", "a@b.example, c@d.example", "a@b@c", "@example.com", "<>", "a@b c"]
    )
    async def test_a_reply_address_is_one_address(self, reply_to: str) -> None:
        await self.refused_here(Rejected, reply_to=reply_to)

    @pytest.mark.parametrize("subject", [None, ""])
    async def test_without_a_subject_another_provider_may(self, subject: str | None) -> None:
        await self.refused_here(Refused, subject=subject)

    @pytest.mark.parametrize("sender", ["", "nobody", "a@b, c@d", "a@b\u2028c", "a@exämple.com"])
    def test_the_sender_is_one_ascii_address(self, sender: str) -> None:
        with pytest.raises(ValueError, match="sender") as caught:
            self.make(sender=sender)
        assert "canary" not in str(caught.value)

    @pytest.mark.parametrize("changes", [{"api_key": ""}, {"base_url": "sendgrid.example"}])
    def test_empty_settings_are_refused(self, changes: dict[str, str]) -> None:
        with pytest.raises(ValueError, match=next(iter(changes))):
            self.make(**changes)

    async def test_sandbox_mode_is_no_acceptance(self) -> None:
        result, _ = await self.send_to(Answer(200, self.accepted.headers))
        assert isinstance(result, Unknown)
        assert result.code == "200"

    @pytest.mark.parametrize("message_id", ["", " ", "x" * 257, "a b", "é"])
    async def test_an_unusable_id_is_unknown(self, message_id: str) -> None:
        result, _ = await self.send_to(Answer(202, {"X-Message-Id": message_id}))
        assert isinstance(result, Unknown)

    async def test_an_id_beside_errors_is_unknown(self) -> None:
        body = b'{"errors": [{"message": "no", "field": null}]}'
        result, _ = await self.send_to(Answer(202, self.accepted.headers, body))
        assert isinstance(result, Unknown)

    async def test_nothing_secret_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        await self.send_to(self.accepted)
        result, _ = await self.send_to(Answer(401, {}, b'{"errors": [{"message": "ada@"}]}'))
        assert isinstance(result, Misconfigured)
        for canary in ("canary-key", "739184620517", "ada@"):
            assert canary not in caplog.text


async def test_concurrent_sends_keep_their_recipients(stand_in: Any) -> None:
    config = SendGridConfig.model_validate(
        {
            "kind": "sendgrid",
            "base_url": stand_in.url,
            "allow_private": True,
            **TestSendGrid.settings,
        }
    )
    wanted = {f"user{n}@example.net": f"code {n}" for n in range(20)}
    async with SendGrid("s", config) as provider:
        receipts = await asyncio.gather(
            *(
                provider.send(
                    Message(id=to, channel="email", to=to, text=text, subject="Your code"),
                    timeout=10,
                )
                for to, text in wanted.items()
            )
        )
    sent = {
        mail["personalizations"][0]["to"][0]["email"]: mail["content"][0]["value"]
        for mail in stand_in.mails
    }
    assert sent == wanted
    assert len({receipt.message_id for receipt in receipts}) == 20


def test_the_readme_names_every_setting() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert [name for name in SendGridConfig.model_fields if f"`{name}`" not in readme] == ["kind"]


def test_the_plugin_does_not_load_the_sdk() -> None:
    code = (
        "import sidecar_sendgrid, sys;"
        "sys.exit(bool({'sendgrid', 'python_http_client'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
