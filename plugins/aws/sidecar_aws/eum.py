"""AWS End User Messaging: SMS through `SendTextMessage` of `pinpoint-sms-voice-v2`.

SNS sends through the same service, and says yes to everything; here opt-outs, the spend limit and
the price are in the answer.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from json.encoder import encode_basestring_ascii as quoted
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from sidecar import AccountReport, Message, Provider, Receipt, Rejected, Tariff, hookimpl
from sidecar_aws.errors import receipt_of
from sidecar_aws.eum_account import report
from sidecar_aws.eum_errors import classify_eum
from sidecar_aws.provider import AwsProvider
from sidecar_aws.settings import AwsConfig, Extra

SEND = "PinpointSMSVoiceV2.SendTextMessage"
ID = "otp-sidecar-id"
"""The key of `Context` under which the message's id stands in the events of a configuration set."""
# Lengths, patterns and bounds are those of the service model; a test compares them.
TEXT_LIMIT = 1600
SHORTEST_LIFE = 5
LONGEST_LIFE = 259_200
"""Seconds of `TimeToLive`."""
_BLANK = re.compile(r"\s")

Identity = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_:/\+-]+$", max_length=256)]
Name = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_:/-]+$", max_length=256)]
IndiaId = Annotated[str, StringConstraints(pattern=r"^\S+$", max_length=64)]
MessageType = Literal["TRANSACTIONAL", "PROMOTIONAL"]


class EumConfig(AwsConfig):
    """`origination_identity` is a number, a pool, a sender ID or the ARN of one; AWS chooses else.

    `max_price` is in USD for one text; a dearer one is refused.
    """

    origination_identity: Identity | None = None
    configuration_set: Name | None = None
    protect_configuration_id: Name | None = None
    message_type: MessageType = "TRANSACTIONAL"
    max_price: Decimal | None = Field(
        default=None, gt=0, lt=100, decimal_places=5, allow_inf_nan=False
    )


class EumExtra(Extra):
    """What a message's `extra.eum` may hold."""

    origination_identity: Identity | None = None
    configuration_set: Name | None = None
    message_type: MessageType | None = None
    in_entity_id: IndiaId | None = None
    in_template_id: IndiaId | None = None


class Eum(AwsProvider[EumConfig]):
    """One account and region of End User Messaging."""

    kind = "eum"
    channels = frozenset({"sms"})
    Config = EumConfig
    tariff = Tariff.per_segment(  # to the United States, the carrier's fee not included
        "0.00645 USD", dated="2026-11-29", source="aws.amazon.com/end-user-messaging/pricing"
    )
    model = "pinpoint-sms-voice-v2"
    signing_name = "sms-voice"

    def __init__(
        self, name: str, config: EumConfig, *, now: Callable[[], float] = time.time
    ) -> None:
        super().__init__(name, config, now=now)
        self._usual = self._choices(EumExtra())

    async def send(self, message: Message, *, timeout: float) -> Receipt:
        body = self._request(message).encode("ascii")
        reply = await self.wire.post_json(SEND, body, timeout=timeout)
        receipt = receipt_of(reply, "AWS")
        if receipt is None:
            raise self.blame(classify_eum(reply), message)
        return receipt

    async def check(self, *, timeout: float) -> AccountReport:
        return await report(self.wire, timeout=timeout)

    def _request(self, message: Message) -> str:
        """The JSON of `SendTextMessage`, byte for byte what `json.dumps` and so boto3 makes."""
        text = message.text
        if len(text) > TEXT_LIMIT or not text.strip():
            raise Rejected(
                f"the text must have 1 to {TEXT_LIMIT} characters, not all of them blank"
            )
        extra = EumExtra.of(message, self.kind)
        choices = self._choices(extra) if extra.model_fields_set else self._usual
        return (
            f'{{"DestinationPhoneNumber": {quoted(message.to)}, "MessageBody": {quoted(text)}'
            f"{choices}{_life(message.expires_in)}"
            f', "Context": {{"{ID}": {quoted(_BLANK.sub("_", message.id))}}}}}'
        )

    def _choices(self, extra: EumExtra) -> str:
        """The middle of the JSON, where the settings stand: the same for most messages."""
        config = self.config
        india = {"IN_ENTITY_ID": extra.in_entity_id, "IN_TEMPLATE_ID": extra.in_template_id}
        named = {
            "OriginationIdentity": extra.origination_identity or config.origination_identity,
            "MessageType": extra.message_type or config.message_type,
            "ConfigurationSetName": extra.configuration_set or config.configuration_set,
            "MaxPrice": None if config.max_price is None else f"{config.max_price:.5f}",
            "DestinationCountryParameters": {k: v for k, v in india.items() if v is not None},
            "ProtectConfigurationId": config.protect_configuration_id,
        }
        return f", {json.dumps({name: value for name, value in named.items() if value})[1:-1]}"


def _life(expires_in: float | None) -> str:
    """Whole seconds, rounded down, so that AWS drops the text rather than send a dead code."""
    if expires_in is None:
        return ""
    return f', "TimeToLive": {int(min(max(SHORTEST_LIFE, expires_in), LONGEST_LIFE))}'


@hookimpl
def register_providers() -> Sequence[type[Provider[Any]]]:
    return [Eum]
