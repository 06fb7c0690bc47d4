"""Amazon SNS: SMS through `Publish` to a phone number."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import quote_plus, urlencode

from pydantic import Field, StringConstraints

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
    Unknown,
    hookimpl,
)
from sidecar_aws.errors import SNS, classify, read_error
from sidecar_aws.provider import AwsProvider
from sidecar_aws.settings import AwsConfig, Extra
from sidecar_aws.sns_account import report

VERSION = "2010-03-31"
TEXT_LIMIT = 1600
"""Characters of one `Publish` (SNS API reference, `Publish`, parameter `Message`)."""
DOUBTFUL = 5
"""Numbers refused one after the other, from which on the region is doubted and not the numbers."""
# An error that repeats an answer, or a comment around one.
_NO_RECEIPT = re.compile(rb"<Error|<!")
_MESSAGE_ID = re.compile(rb"<PublishResult>\s*<MessageId>([!-~]{1,256}?)</MessageId>")

SmsType = Literal["Transactional", "Promotional"]
SenderId = Annotated[
    str, StringConstraints(pattern="^[0-9-]*[A-Za-z][A-Za-z0-9-]*$", max_length=11)
]
"""1 to 11 letters, digits and hyphens, at least one letter (End User Messaging SMS guide)."""


class SnsConfig(AwsConfig):
    """`max_price` is in USD for one text; a dearer one is taken by SNS and then not sent."""

    sender_id: SenderId | None = None
    origination_number: str | None = Field(default=None, pattern=r"^\+?[0-9]{3,15}$")
    sms_type: SmsType = "Transactional"
    max_price: Decimal | None = Field(default=None, gt=0, allow_inf_nan=False)


class SnsExtra(Extra):
    """What a message's `extra.sns` may hold."""

    sender_id: SenderId | None = None
    sms_type: SmsType | None = None


class Sns(AwsProvider[SnsConfig]):
    """One SNS account and region."""

    kind = "sns"
    channels = frozenset({"sms"})
    Config = SnsConfig
    tariff = Tariff.per_segment(  # to the United States, the carrier's fee not included
        "0.00645 USD", dated="2026-11-29", source="aws.amazon.com/sns/sms-pricing"
    )
    model = "sns"
    signing_name = "sns"

    def __init__(
        self, name: str, config: SnsConfig, *, now: Callable[[], float] = time.time
    ) -> None:
        super().__init__(name, config, now=now)
        self._usual = self._attributes(SnsExtra())
        self._numbers_refused = 0

    async def send(self, message: Message, *, timeout: float) -> Receipt:
        reply = await self.wire.post_form(self._form(message), timeout=timeout)
        match = _MESSAGE_ID.search(reply.body)
        succeeded = 200 <= reply.status < 300
        if not succeeded and match is None:
            raise self.blame(self._error(reply), message)
        if not succeeded or match is None or _NO_RECEIPT.search(reply.body):
            raise Unknown("SNS answered without a sound message id", code=reply.status)
        self._numbers_refused = 0
        return Receipt(match[1].decode("ascii"))

    async def check(self, *, timeout: float) -> AccountReport:
        return await report(self.wire, timeout=timeout)

    def _form(self, message: Message) -> str:
        if not message.text or len(message.text) > TEXT_LIMIT:
            raise Rejected(f"the text must have 1 to {TEXT_LIMIT} characters")
        extra = SnsExtra.of(message, self.kind)
        attributes = self._attributes(extra) if extra.model_fields_set else self._usual
        return (
            f"Action=Publish&Version={VERSION}&PhoneNumber={quote_plus(message.to)}"
            f"&Message={quote_plus(message.text)}{attributes}"
        )

    def _attributes(self, extra: SnsExtra) -> str:
        """The end of the form, where the settings stand: the same for most messages."""
        config = self.config
        price = None if config.max_price is None else format(config.max_price, "f")
        named = [
            ("AWS.SNS.SMS.SMSType", "String", extra.sms_type or config.sms_type),
            ("AWS.SNS.SMS.SenderID", "String", extra.sender_id or config.sender_id),
            ("AWS.SNS.SMS.MaxPrice", "Number", price),
            ("AWS.MM.SMS.OriginationNumber", "String", config.origination_number),
        ]
        present = [(name, kind, value) for name, kind, value in named if value is not None]
        fields: dict[str, str] = {}
        for number, (name, kind, value) in enumerate(present, start=1):
            entry = f"MessageAttributes.entry.{number}"
            fields[f"{entry}.Name"] = name
            fields[f"{entry}.Value.DataType"] = kind
            fields[f"{entry}.Value.StringValue"] = value
        return f"&{urlencode(fields)}"

    def _error(self, reply: Reply) -> DeliveryError:
        if "not valid to publish to" not in read_error(reply).text:
            return classify(SNS, reply)
        # The same words come for a bad number and for a region without SMS (aws-sdk-js#1217). Many
        # in a row, none accepted between: then it is not the recipients, and another may send.
        self._numbers_refused += 1
        if self._numbers_refused < DOUBTFUL:
            return classify(SNS, reply)
        return Refused(
            "SNS refuses every number: does this region offer SMS?", code=read_error(reply).code
        )


@hookimpl
def register_providers() -> Sequence[type[Provider[Any]]]:
    return [Sns]
