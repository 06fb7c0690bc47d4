"""The documents of the API: what a send may say, and what is said of a delivery."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sidecar.api import plain
from sidecar.api.plain import SMS_LIMIT, Send
from sidecar.api.problems import Problem
from sidecar.api.recipients import UNPRINTABLE, is_address, is_phone_number
from sidecar.api.strict_json import pointer_token, read_object
from sidecar.delivery.model import Attempt, Delivery, Message, Money, in_digits
from sidecar.delivery.policy import duplicate_possible, total_cost
from sidecar.delivery.recipient import holds_recipient

_LINE_ENDS = re.compile(r"[\r\n\t]")


_FORMS = {
    "channel": "must be a word such as `sms` or `email`, in lower case",
    "purpose": "must be a word of lower-case letters, digits, `_`, `.` and `-`",
    "id": "must be 1 to 128 letters, digits and `._:~-`, and begin with a letter or digit",
}


class SendRequest(BaseModel):
    """The body of `POST /v1/send`."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True, frozen=True)

    channel: str = Field(
        pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="The chain to use: `email` or `sms`."
    )
    to: str = Field(
        max_length=320, description="One recipient: E.164 (`+14155550123`) or an address."
    )
    text: str = Field(
        min_length=1,
        max_length=plain.TEXT_LIMIT,
        description="The whole text, the code included. At most 1600 characters on `sms`.",
    )
    subject: str | None = Field(
        default=None,
        min_length=1,
        max_length=plain.SUBJECT_LIMIT,
        description="E-mail only; else `Your code`.",
    )
    html: str | None = Field(
        default=None, min_length=1, max_length=49_152, description="E-mail only, beside `text`."
    )
    reply_to: str | None = Field(default=None, max_length=320, description="E-mail only.")
    purpose: str = Field(
        default=plain.PURPOSE_DEFAULT,
        pattern=f"^{plain.PURPOSE}$",
        description="For logs and metrics.",
    )
    expires_in: float | None = Field(
        default=None, ge=1, le=plain.LONGEST_LIFE, description="Seconds the code is good for."
    )
    deadline: float | None = Field(
        default=None,
        gt=0,
        le=plain.LONGEST_WAIT,
        description="Seconds the caller waits; can only shorten.",
    )
    id: str | None = Field(
        default=None,
        pattern=f"^{plain.ID}$",
        description="Names the message; also its idempotency key where the header is absent.",
    )
    extra: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Settings for one kind of provider, keyed by that kind."
    )

    @field_validator("to", "text", "subject", "html", "reply_to")
    @classmethod
    def _printable(cls, value: str | None) -> str | None:
        if value is not None and UNPRINTABLE.search(value):
            raise ValueError("must not contain control or bidirectional override characters")
        return value

    @field_validator("to", "subject", "reply_to")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        if value is not None and _LINE_ENDS.search(value):
            raise ValueError("must be one line")
        return value

    @field_validator("extra")
    @classmethod
    def _printable_throughout(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if value and _has_unprintable(value):
            raise ValueError("must not contain control or bidirectional override characters")
        return value

    @field_validator("subject")
    @classmethod
    def _no_encoded_word(cls, value: str | None) -> str | None:
        # Python 3.10 to 3.12 decode an RFC 2047 word in a header they fold, line ends included.
        if value is not None and "=?" in value:
            raise ValueError("must not contain `=?`, which begins an encoded word")
        return value

    @model_validator(mode="after")
    def _fits_the_channel(self) -> Self:
        if self.channel == "sms":
            _must_be_phone_number(self.to)
            if len(self.text) > SMS_LIMIT:
                raise ValueError(f"`text` is longer than {SMS_LIMIT} characters, too long for SMS")
        if self.channel == "email":
            _must_be_address(self.to, "to")
            if self.reply_to is not None:
                _must_be_address(self.reply_to, "reply_to")
        elif self.subject or self.html or self.reply_to:
            raise ValueError("`subject`, `html` and `reply_to` are for the channel `email` only")
        return self

    @model_validator(mode="after")
    def _names_nobody(self) -> Self:
        for field, value in (("id", self.id), ("purpose", self.purpose)):
            if value is not None and holds_recipient(value, self.to):
                raise ValueError(f"`{field}` must not hold the recipient's number: it is logged")
        return self

    def send(self) -> Send:
        message = Message(
            id=self.id or "",
            channel=self.channel,
            to=self.to,
            text=self.text,
            subject=(self.subject or plain.SUBJECT) if self.channel == "email" else None,
            html=self.html,
            reply_to=self.reply_to,
            purpose=self.purpose,
            expires_in=self.expires_in,
            extra=self.extra,
        )
        form = {**self.__dict__, "deadline": None}  # plain values: no model is within
        return Send(message, orjson.dumps(form, option=orjson.OPT_SORT_KEYS), self.deadline)


def parse_send(body: bytes) -> Send:
    """The send in `body`. Raises `Problem`: 400 for no JSON, 422 for what is no send."""
    document = read_object(body)
    return plain.read_plainly(document) or read_by_model(document)


def read_by_model(document: dict[str, Any]) -> Send:
    """The send that `document` is. Raises `Problem`, which says what is wrong with it."""
    try:
        return SendRequest.model_validate(document).send()
    except ValidationError as error:
        faults = [_fault(one) for one in error.errors(include_url=False, include_input=False)]
        detail = "; ".join(f"{f['pointer'] or 'the message'}: {f['detail']}" for f in faults[:3])
        raise Problem(422, "invalid", detail[:500], pointers=faults[:20]) from error


def _has_unprintable(value: Any) -> bool:
    if isinstance(value, str):
        return UNPRINTABLE.search(value) is not None
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    return isinstance(inner, list) and any(_has_unprintable(one) for one in inner)


def _fault(error: Any) -> dict[str, str]:
    pointer = "".join(f"/{pointer_token(part)}" for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = ", ".join(SendRequest.model_fields)
        return {"pointer": pointer, "detail": f"no such field; there are: {known}"}
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        message = _FORMS.get(str(error["loc"][0]), message)
    match = re.match(r"`(to|reply_to|text|id|purpose)` ", message)
    if not pointer and match:
        pointer, message = f"/{match[1]}", message[match.end() :]
    return {"pointer": pointer, "detail": message[:1].lower() + message[1:]}


def _must_be_phone_number(number: str) -> None:
    if not is_phone_number(number):
        # No example: where a caller looks for its own words in ours, it would find them.
        raise ValueError(
            "`to` must be a possible phone number in E.164 form: a plus sign, the country's code"
            " and the number, with nothing between"
        )


def _must_be_address(address: str, name: Literal["to", "reply_to"]) -> None:
    if not is_address(address):
        raise ValueError(f"`{name}` must be exactly one plain address, like ada@example.com")


def dump_delivery(delivery: Delivery) -> dict[str, Any]:
    """The one document of a delivery: in an answer, in `GET /v1/messages/{id}`, in a problem."""
    taken = delivery.receipt
    document: dict[str, Any] = {
        "id": delivery.id,
        "status": str(delivery.status),  # `value` is looked up by Python, at three times the price
        "channel": delivery.channel,
        "purpose": delivery.purpose,
        "recipient": delivery.recipient,
        "provider": taken.provider if taken else None,
        "provider_message_id": taken.provider_message_id if taken else None,
        "attempts": [dump_attempt(attempt) for attempt in delivery.attempts],
        "duplicate_possible": duplicate_possible(delivery.attempts),
        "simulated": taken.simulated if taken else False,
        "cost": _dump_money(total_cost(delivery.attempts)),
        "replayed": delivery.replayed,
    }
    if delivery.segments is not None:
        document["segments"] = delivery.segments
    if not delivery.logged:
        document["logged"] = False
    return document


def dump_attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "provider": attempt.provider,
        "kind": attempt.kind,
        "outcome": str(attempt.outcome),
        "reason": attempt.reason,
        "provider_code": attempt.provider_code,
        "started_at": attempt.started_at,
        "seconds": round(attempt.seconds, 6),
        "provider_message_id": attempt.provider_message_id,
        "circuit": attempt.circuit,
        "simulated": attempt.simulated,
        "cost": _dump_money(attempt.cost),
    }


def _dump_money(money: Money | None) -> dict[str, str] | None:
    return (
        None if money is None else {"amount": in_digits(money.amount), "currency": money.currency}
    )
