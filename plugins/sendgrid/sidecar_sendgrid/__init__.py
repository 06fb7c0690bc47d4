"""Twilio SendGrid: e-mail through `POST /v3/mail/send`.

The wire is `HttpTransport`. The official SDK blocks a thread, opens a connection for every mail and
has no timeout of its own, so it sends nothing here: in the tests it is the oracle that proves our
requests to be the ones it would have made.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from email.utils import getaddresses
from hashlib import sha256
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from sidecar import (
    AccountReport,
    DeliveryError,
    HttpTransport,
    Message,
    Misconfigured,
    Provider,
    ProviderConfig,
    Receipt,
    Refused,
    Rejected,
    Reply,
    Secret,
    Tariff,
    Throttled,
    Unknown,
    __version__,
    error_for_status,
    hookimpl,
)
from sidecar_sendgrid.account import cannot_be_seen, report
from sidecar_sendgrid.waiting import wait_of

QUOTA_PAUSE = 300.0
"""Seconds to leave an exhausted quota alone: five, the default of a throttle, would not mend it."""


class Fault(NamedTuple):
    """A row of `FAULTS`: what a status, the field named, and words of the text mean together."""

    status: int
    field: str
    text: str
    outcome: type[DeliveryError]
    reason: str


# The first row that fits decides; a status that is not here means what it means anywhere. SendGrid
# has no error codes, so in four rows its text must tell; it is read, and never passed on.
# (Twilio SendGrid, "Mail Send errors", "Responses" and "Rate limits".)
FAULTS = (
    Fault(400, r"personalizations\.\d+\.to\b", "", Rejected, "the recipient is not valid"),
    Fault(400, r"from\b", "", Misconfigured, "the sender is not valid"),
    # Not a setting: a template is named by the message, and may not open the circuit for others.
    Fault(400, r"template_id", "", Refused, "the template that the message names is not usable"),
    Fault(400, r".", "", Rejected, "a field of the message is not valid"),
    Fault(401, r"", "credits exceeded", Throttled, "the account's credits are used up"),
    Fault(401, r"", "", Misconfigured, "the API key was not accepted"),
    Fault(403, r"", "too many", Throttled, "blocked for a while after too many bad requests"),
    Fault(403, r"", "temporar", Throttled, "blocked for a while after too many bad requests"),
    Fault(403, r"from\b", "", Misconfigured, "the sender is not a verified identity"),
    Fault(403, r"", "verified sender", Misconfigured, "the sender is not a verified identity"),
    Fault(403, r"", "", Misconfigured, "the API key lacks the permission to send"),
    Fault(413, r"", "", Rejected, "the message is too large"),
    Fault(429, r"", "", Throttled, "too many requests"),
    Fault(451, r"", "", Misconfigured, "the account's data lives at another SendGrid host"),
)
_UNTRACKED = json.dumps(
    {
        "click_tracking": {"enable": False, "enable_text": False},
        "open_tracking": {"enable": False},
        # Its link would let a person unsubscribe from their own codes, and SendGrid would then
        # answer 202 and drop every one.
        "subscription_tracking": {"enable": False},
    }
)
_AGENT = f"otp-sidecar/{__version__}"
_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,256}")
_ADDRESS = re.compile(r'[^\s@"<>()\[\]\\,;:]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)')
# A line break ends a header; an encoded word hides one until somebody decodes it.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|=\?[^?]*\?[bq]\?", re.IGNORECASE)


class SendGridConfig(ProviderConfig):
    """`sender` is `codes@example.com` or `Example <codes@example.com>`, verified with SendGrid."""

    api_key: Secret = Field(min_length=1)
    sender: str
    base_url: str = Field(default="https://api.sendgrid.com", pattern=r"^https?://[^\s?#@]+$")

    @field_validator("sender")
    @classmethod
    def _one_address(cls, value: str) -> str:
        if _mailbox(value) is None:
            raise ValueError("write codes@example.com or Example <codes@example.com>")
        return value


class _Template(BaseModel):
    """What one message may bring for SendGrid alone, in `extra: {"sendgrid": {...}}`."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)
    template_id: str | None = Field(default=None, min_length=1)
    dynamic_template_data: dict[str, JsonValue] | None = None


_NO_TEMPLATE = _Template()


class SendGrid(Provider[SendGridConfig]):
    kind = "sendgrid"
    channels = frozenset({"email"})
    Config = SendGridConfig
    tariff = Tariff.per_message("0.000399 USD", dated="2026-03-01", source="Essentials, 50,000")
    _http: HttpTransport

    def __init__(self, name: str, config: SendGridConfig) -> None:
        super().__init__(name, config)
        self._origin = _Origin(config.sender)
        self._url = f"{config.base_url.rstrip('/')}/v3/"

    async def __aenter__(self) -> Self:
        self._http = HttpTransport(allow_private=self.config.allow_private)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.close()

    async def send(self, message: Message, *, timeout: float) -> Receipt:
        body = _mail(message, self._origin).encode("ascii")
        reply = await self._request("POST", "mail/send", body, timeout)
        message_id = reply.headers.get("X-Message-Id", "")
        if reply.status == 202 and _MESSAGE_ID.fullmatch(message_id):
            if reply.body and "errors" in reply.json():  # the body of a success is empty
                raise Unknown("the answer was 202 with errors", code=202)
            return Receipt(message_id)
        if reply.status == 200:
            # SendGrid's word for sandbox mode, which we never ask for. Somebody else on the way
            # answered, or asked; whether a mail left cannot be told.
            raise Unknown("the answer was 200, as in sandbox mode, not 202", code=200)
        raise _error(reply)

    async def check(self, *, timeout: float) -> AccountReport:
        """Ask what the API key may do and what is left, each within half of `timeout` seconds.

        Raises a `DeliveryError` where the scopes cannot be asked for. A key that may only send does
        not see the credits.
        """
        # Not through the SDK: it blocks, and its bound is on each read, not on the call.
        reply = await self._request("GET", "scopes", b"", timeout / 2)
        scopes = reply.json().get("scopes")
        if reply.status != 200 or not isinstance(scopes, list):
            error = _error(reply)
            if reply.status == 403 and isinstance(error, Misconfigured):
                return cannot_be_seen()
            raise error
        balance = None
        with suppress(DeliveryError):  # the account was reached: this alone must not fail
            balance = await self._request("GET", "user/credits", b"", timeout / 2)
        return report(scopes, balance)

    async def _request(self, method: str, path: str, body: bytes, timeout: float) -> Reply:
        headers = {  # anew each time, so that no attribute of this object holds the key in clear
            "Authorization": f"Bearer {self.config.api_key.get_secret_value()}",
            "Accept": "application/json",
            "User-Agent": _AGENT,
        }
        if body:
            headers["Content-Type"] = "application/json"
        return await self._http.request(
            method, self._url + path, headers=headers, body=body, timeout=timeout
        )


class _Origin:
    """The sender, as every mail repeats it."""

    def __init__(self, sender: str) -> None:
        mailbox = _mailbox(sender)
        assert mailbox is not None, "the settings are checked"
        self.json = json.dumps(mailbox)
        self.domain = mailbox["email"].rpartition("@")[2]


def _mail(message: Message, origin: _Origin) -> str:
    """The body of `mail/send`, with the fields of the SDK's `Mail` helper: nothing that is empty.

    Written out because an encoder costs many times what its strings do.
    """
    template = _template_of(message)
    _admit(message, template)
    data = template.dynamic_template_data
    parts = f'{{"type": "text/plain", "value": {quoted(message.text)}}}' if message.text else ""
    if message.html:
        html = f'{{"type": "text/html", "value": {quoted(message.html)}}}'
        parts = f"{parts}, {html}" if parts else html
    fields = [f'"from": {origin.json}']
    if message.subject:
        fields.append(f'"subject": {quoted(message.subject)}')
    values = f', "dynamic_template_data": {json.dumps(data)}' if data else ""
    fields.append(f'"personalizations": [{{"to": [{{"email": {quoted(message.to)}}}]{values}}}]')
    if parts:
        fields.append(f'"content": [{parts}]')
    if template.template_id:
        fields.append(f'"template_id": {quoted(template.template_id)}')
    fields.append(f'"headers": {{"Message-ID": {quoted(_mail_id(message.id, origin.domain))}}}')
    if message.purpose == "otp":
        fields.append(f'"tracking_settings": {_UNTRACKED}')
    if message.reply_to:
        fields.append(f'"reply_to": {json.dumps(_mailbox(message.reply_to))}')
    return f"{{{', '.join(fields)}}}"


def _template_of(message: Message) -> _Template:
    chosen = message.extra_for(SendGrid.kind)
    if not chosen:
        return _NO_TEMPLATE
    try:
        return _Template.model_validate(dict(chosen))
    except ValidationError:
        raise Rejected(
            "extra.sendgrid takes `template_id`, a text, and `dynamic_template_data`, an object"
        ) from None


def _admit(message: Message, template: _Template) -> None:
    """Raise for what SendGrid must not see, or would not take."""
    if _UNSAFE.search(message.to) or _UNSAFE.search(message.subject or ""):
        raise Rejected("the recipient or the subject holds a line break or an encoded word")
    if message.reply_to and _mailbox(message.reply_to) is None:
        raise Rejected("the reply address is not one plain address")
    if not (message.subject or template.template_id):
        raise Refused("SendGrid takes no mail without a subject")


def _mailbox(text: str) -> dict[str, str] | None:
    """`Name <address>` or an address as SendGrid writes it; None for anything else."""
    (name, address), *others = getaddresses([text]) or [("", "")]
    if others or _UNSAFE.search(text) or not _ADDRESS.fullmatch(address):
        return None
    if address not in text:  # "a@b c" was read as a@bc
        return None
    return _without_empty({"name": name, "email": address})


def _mail_id(message_id: str, domain: str) -> str:
    """The same id at every provider of mail, so that two copies of one message can be told."""
    return f"<{sha256(message_id.encode()).hexdigest()[:32]}@{domain}>"


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _error(reply: Reply) -> DeliveryError:
    """What an answer other than a success means: the first row of `FAULTS` that fits."""
    told = [(_text(error, "field"), _text(error, "message").lower()) for error in _errors(reply)]
    for fault in FAULTS:
        if fault.status == reply.status and any(
            re.match(fault.field, field) and fault.text in text for field, text in told
        ):
            return _build(fault, reply)
    return error_for_status(reply)


def _build(fault: Fault, reply: Reply) -> DeliveryError:
    if fault.outcome is Throttled:
        pause = None if reply.status == 429 else QUOTA_PAUSE
        return Throttled(fault.reason, code=reply.status, retry_after=wait_of(reply) or pause)
    return fault.outcome(fault.reason, code=reply.status)


def _errors(reply: Reply) -> list[dict[str, Any]]:
    """What the body says is wrong; one nameless error where it says nothing."""
    errors = reply.json().get("errors")
    found = errors if isinstance(errors, list) else []
    return [error for error in found if isinstance(error, dict)] or [{}]


def _text(error: dict[str, Any], name: str) -> str:
    value = error.get(name)
    return value if isinstance(value, str) else ""


@hookimpl
def register_providers() -> list[type[SendGrid]]:
    return [SendGrid]
