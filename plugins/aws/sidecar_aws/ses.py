"""Amazon SES: e-mail through SES v2 `SendEmail`, content `Simple`, never raw MIME."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from email.utils import formataddr
from typing import Any

from pydantic import Field, field_validator

from sidecar import (
    AccountReport,
    DeliveryError,
    Message,
    Provider,
    Receipt,
    Refused,
    Rejected,
    Reply,
    Unknown,
    hookimpl,
)
from sidecar_aws.errors import SES, classify, read_error
from sidecar_aws.provider import AwsProvider
from sidecar_aws.ses_account import report
from sidecar_aws.settings import AwsConfig, Extra

SEND = "/v2/email/outbound-emails"
TAG = "otp-sidecar-id"
_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}"
_SENDER = re.compile(rf"(?P<name>[^<>]*)<(?P<boxed>{_ADDRESS})>|(?P<bare>{_ADDRESS})")
_SET_NAME = r"^[A-Za-z0-9_-]{1,64}$"


class SesConfig(AwsConfig):
    """`sender` is an address, or `Name <address>`; SES must know it or its domain as verified."""

    sender: str
    configuration_set: str | None = Field(default=None, pattern=_SET_NAME)

    @field_validator("sender")
    @classmethod
    def _an_address(cls, sender: str) -> str:
        match = _SENDER.fullmatch(sender.strip())
        name = (match["name"] or "").strip().strip('"') if match else ""
        if match is None or "=?" in name:
            raise ValueError("must be one address, or a name with one address in <>")
        # A name beyond ASCII becomes an encoded word.
        return formataddr((name, match["boxed"] or match["bare"]))

    @property
    def sender_address(self) -> str:
        """The bare address of `sender`."""
        return self.sender.rpartition("<")[2].rstrip(">")


class SesExtra(Extra):
    """What a message's `extra.ses` may hold."""

    configuration_set: str | None = Field(default=None, pattern=_SET_NAME)


class Ses(AwsProvider[SesConfig]):
    """One SES account and region."""

    kind = "ses"
    channels = frozenset({"email"})
    Config = SesConfig
    model = "sesv2"
    signing_name = "ses"

    async def send(self, message: Message, *, timeout: float) -> Receipt:
        body = json.dumps(self._request(message)).encode()
        reply = await self.wire.call(
            "POST", SEND, content_type="application/json", body=body, timeout=timeout
        )
        return self._receipt(reply, message)

    async def check(self, *, timeout: float) -> AccountReport:
        return await report(self.wire, self.config.sender_address, timeout=timeout)

    def _request(self, message: Message) -> dict[str, Any]:
        chosen = SesExtra.of(message, self.kind).configuration_set or self.config.configuration_set
        request: dict[str, Any] = {
            "FromEmailAddress": self.config.sender,
            "Destination": {"ToAddresses": [message.to]},
            "Content": {"Simple": _content(message)},
            # SES writes a Message-ID of its own over any other, so our id travels as a tag: the
            # events of a configuration set carry it, and the mail itself does not.
            "EmailTags": [{"Name": TAG, "Value": _tag_value(message.id)}],
        }
        if message.reply_to:
            request["ReplyToAddresses"] = [_one_line(message.reply_to)]
        if chosen:
            request["ConfigurationSetName"] = chosen
        return request

    def _receipt(self, reply: Reply, message: Message) -> Receipt:
        if not 200 <= reply.status < 300:
            raise self.blame(self._error(reply, message), message)
        # botocore gives an empty answer for a page of HTML; the id alone is an acceptance.
        message_id = reply.json().get("MessageId")
        if not isinstance(message_id, str) or not 0 < len(message_id) <= 256:
            raise Unknown("SES answered without a message id", code=reply.status)
        return Receipt(message_id)

    def _error(self, reply: Reply, message: Message) -> DeliveryError:
        said = read_error(reply)
        if said.code == "MessageRejected" and "not verified" in said.text:
            # Names every identity that failed; in the sandbox the recipient may be one of them.
            sender = self.config.sender_address.lower()
            if message.to.lower() in said.text and sender not in said.text:
                return Refused(
                    "the SES account is in the sandbox: the recipient is not verified",
                    code=said.code,
                )
        return classify(SES, reply)


def _content(message: Message) -> dict[str, Any]:
    # Without a charset SES takes 7-bit ASCII only.
    def part(text: str) -> dict[str, str]:
        return {"Data": text, "Charset": "UTF-8"}

    body = {"Text": part(message.text)}
    if message.html is not None:
        body["Html"] = part(message.html)
    return {"Subject": part(_one_line(message.subject or "")), "Body": body}


def _one_line(header: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 or c in "\x85\u2028\u2029" for c in header):
        raise Rejected("subject and reply-to must not contain line breaks")
    return header


def _tag_value(message_id: str) -> str:
    """`message_id` in what SES allows in a tag: 256 ASCII letters, digits, `_`, `-` at most."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", message_id)[:256]


@hookimpl
def register_providers() -> Sequence[type[Provider[Any]]]:
    return [Ses]
