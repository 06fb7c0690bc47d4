"""Amazon SES: e-mail through SES v2 `SendEmail`, content `Simple`, never raw MIME."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from email.utils import formataddr
from json.encoder import encode_basestring_ascii as quoted
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
    Tariff,
    hookimpl,
)
from sidecar_aws.errors import SES, classify, read_error, receipt_of
from sidecar_aws.provider import AwsProvider
from sidecar_aws.ses_account import refusal, report
from sidecar_aws.settings import AwsConfig, Extra

SEND = "/v2/email/outbound-emails"
TAG = "otp-sidecar-id"
_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}"
_SENDER = re.compile(rf"(?P<name>[^<>]*)<(?P<boxed>{_ADDRESS})>|(?P<bare>{_ADDRESS})")
_BREAK = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_NO_TAG = re.compile(r"[^A-Za-z0-9_-]")
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
    tariff = Tariff.per_message(
        "0.0001 USD", dated="2026-11-29", source="0.10 USD for 1,000: aws.amazon.com/ses/pricing"
    )
    model = "sesv2"
    signing_name = "ses"

    def __init__(
        self, name: str, config: SesConfig, *, now: Callable[[], float] = time.time
    ) -> None:
        super().__init__(name, config, now=now)
        self._from = quoted(config.sender)

    async def send(self, message: Message, *, timeout: float) -> Receipt:
        body = self._request(message).encode("ascii")
        reply = await self.wire.call(
            "POST", SEND, content_type="application/json", body=body, timeout=timeout
        )
        return self._receipt(reply, message)

    async def check(self, *, timeout: float) -> AccountReport:
        return await report(self.wire, self.config.sender_address, timeout=timeout)

    def would_refuse(self, message: Message, report: AccountReport) -> str | None:
        return refusal(message.to, report)

    def _request(self, message: Message) -> str:
        """The JSON of `SendEmail`, byte for byte what `json.dumps` and so boto3 would make of it.

        Written out because an encoder costs twenty times as much as its strings do.
        """
        chosen = self.config.configuration_set
        if message.extra:
            chosen = SesExtra.of(message, self.kind).configuration_set or chosen
        html = message.html
        body = f'"Text": {_part(message.text)}'
        if html is not None:
            body += f', "Html": {_part(html)}'
        more = ""
        if message.reply_to:
            more += f', "ReplyToAddresses": [{quoted(_one_line(message.reply_to))}]'
        if chosen:
            more += f', "ConfigurationSetName": {quoted(chosen)}'
        # SES writes a Message-ID of its own over any other, so our id travels as a tag: the
        # events of a configuration set carry it, and the mail itself does not.
        return (
            f'{{"FromEmailAddress": {self._from}, '
            f'"Destination": {{"ToAddresses": [{quoted(message.to)}]}}, '
            f'"Content": {{"Simple": {{"Subject": {_part(_one_line(message.subject or ""))}, '
            f'"Body": {{{body}}}}}}}, '
            f'"EmailTags": [{{"Name": "{TAG}", "Value": "{_tag_value(message.id)}"}}]{more}}}'
        )

    def _receipt(self, reply: Reply, message: Message) -> Receipt:
        receipt = receipt_of(reply, "SES")
        if receipt is None:
            raise self.blame(self._error(reply, message), message)
        return receipt

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
        return classify(SES, reply, said)


def _part(text: str) -> str:
    # Without a charset SES takes 7-bit ASCII only.
    return f'{{"Data": {quoted(text)}, "Charset": "UTF-8"}}'


def _one_line(header: str) -> str:
    if _BREAK.search(header):
        raise Rejected("subject and reply-to must not contain line breaks")
    return header


def _tag_value(message_id: str) -> str:
    """`message_id` in what SES allows in a tag: 256 ASCII letters, digits, `_`, `-` at most."""
    return _NO_TAG.sub("_", message_id)[:256]


@hookimpl
def register_providers() -> Sequence[type[Provider[Any]]]:
    return [Ses]
