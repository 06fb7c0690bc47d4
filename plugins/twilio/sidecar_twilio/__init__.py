"""Twilio: SMS through the Messages resource of the 2010-04-01 API.

The wire is `HttpTransport`. The official SDK blocks a thread, and its asynchronous client ignores
its timeout (twilio-python #925), so it sends nothing here: in the tests it is the oracle that
proves our requests to be, byte for byte, the ones it would have made.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Self
from urllib.parse import quote_plus

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

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
    Unavailable,
    Unknown,
    __version__,
    error_for_status,
    hookimpl,
)
from sidecar_twilio.account import cannot_be_seen, is_trial, report, verified_numbers

TEXT_LIMIT = 1600
"""Characters of a text (Twilio, "Message resource", `Body`)."""
LONGEST_VALIDITY = 36_000
"""Seconds that Twilio keeps a message queued at most (the same page, `ValidityPeriod`)."""
QUOTA_PAUSE = 300.0
"""Seconds to leave an exhausted quota alone: five, the default of a throttle, would not mend it."""


class BadSender(Misconfigured):
    """The sender is at fault: ours by the settings, or the one that a message named."""


# What each code means (Twilio, "Error and Warning Dictionary"). The code decides, then the HTTP
# status; Twilio's own texts are never read or passed on, because they carry the number.
FAULTS: Mapping[int, tuple[type[DeliveryError], str]] = {
    # ours, for a while
    20429: (Throttled, "too many requests at once"),
    21611: (Throttled, "the sender's queue is full"),
    30001: (Throttled, "the sender's queue overflowed"),
    63038: (Throttled, "the account's daily limit is used up"),
    10001: (Throttled, "the account is not active: most often its balance is used up"),
    20500: (Unavailable, "Twilio failed"),
    20503: (Unavailable, "Twilio is not available"),
    21730: (Unavailable, "Twilio is under maintenance"),
    # the account's: nothing works until a person mends it
    20003: (Misconfigured, "the credentials were not accepted, or the account is suspended"),
    20005: (Misconfigured, "the account is not active"),
    20403: (Misconfigured, "the account may not do this: suspended, closed or not permitted"),
    20404: (Misconfigured, "the account SID is not known here"),
    30002: (Misconfigured, "the account is suspended"),
    70051: (Misconfigured, "the API key lacks a permission, or is not this account's"),
    21608: (Misconfigured, "a trial account sends to verified numbers only"),
    21212: (BadSender, "the sender is not valid"),
    21603: (BadSender, "the sender is missing"),
    21606: (BadSender, "the sender is not an SMS number of this account"),
    21660: (BadSender, "the sender belongs to another account"),
    21701: (BadSender, "the messaging service does not exist"),
    21703: (BadSender, "the messaging service has no sender"),
    21704: (BadSender, "the messaging service has no sender"),
    21705: (BadSender, "the messaging service SID is not valid"),
    30034: (BadSender, "the sender is not registered for 10DLC"),
    # this recipient's, at Twilio: another provider may reach them
    14107: (Refused, "too many messages between these two numbers"),
    21408: (Refused, "the recipient's region is not enabled"),
    21612: (Refused, "there is no route from this sender to the recipient"),
    # Mostly a foreign sender; but a short code is "not a Twilio number" abroad as well, and one
    # traveller must not open the circuit for everybody.
    21659: (Refused, "the sender is not Twilio's, or a short code of another country"),
    30003: (Refused, "the handset cannot be reached"),
    30007: (Refused, "the carrier filtered the message"),
    30008: (Refused, "the delivery failed, for a reason that is not known"),
    30010: (Refused, "the price is above the account's limit"),
    # the recipient's or the text's, everywhere
    21211: (Rejected, "the recipient's number is not valid"),
    21604: (Rejected, "the recipient is missing"),
    21614: (Rejected, "the recipient's number is not a mobile number"),
    30004: (Rejected, "the recipient blocks messages"),
    30005: (Rejected, "the recipient's number is not in service"),
    30006: (Rejected, "the recipient's number is a landline"),
    21602: (Rejected, "the text is missing"),
    21617: (Rejected, "the text is too long"),
    21610: (Rejected, "the recipient sent STOP and withdrew consent"),
}
_OPTED_OUT = 21610
_QUOTA = frozenset({10001, 63038})
_NOT_TAKEN = ("failed", "undelivered", "canceled")
_CODE = re.compile(r"[0-9]{1,6}")
_SID = re.compile(r"[0-9A-Za-z]{2,64}")
_NUMBER = re.compile(r"\+[0-9]+")
_quoted = lru_cache(maxsize=64)(quote_plus)  # for senders: there are few, unlike recipients
_AGENT = f"otp-sidecar/{__version__}"

_Sender = Annotated[str | None, Field(default=None, min_length=1)]
_ServiceSid = Annotated[str | None, Field(default=None, pattern=r"^MG[0-9A-Za-z]+$")]


class TwilioConfig(ProviderConfig):
    """Log in by `auth_token`, or by `api_key` with `api_secret`.

    Send from `sender`, from a `messaging_service_sid`, or from a `sender` of that service.
    """

    account_sid: str = Field(pattern=r"^AC[0-9A-Za-z]+$")
    auth_token: Secret | None = None
    api_key: str | None = Field(default=None, pattern=r"^SK[0-9A-Za-z]+$")
    api_secret: Secret | None = None
    sender: _Sender
    messaging_service_sid: _ServiceSid
    base_url: str = Field(default="https://api.twilio.com", pattern=r"^https?://[^\s?#@]+$")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        key, secret = bool(self.api_key), bool(self.api_secret)
        if key != secret or key == bool(self.auth_token):
            raise ValueError("give either `auth_token`, or `api_key` with `api_secret`")
        if not (self.sender or self.messaging_service_sid):
            raise ValueError("give `sender` or `messaging_service_sid`")
        return self


class _Choice(BaseModel):
    """What one message may choose for itself, in `extra: {"twilio": {...}}`."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)
    sender: _Sender
    messaging_service_sid: _ServiceSid


class Twilio(Provider[TwilioConfig]):
    kind = "twilio"
    channels = frozenset({"sms"})
    Config = TwilioConfig
    tariff = Tariff.per_segment("0.0083 USD", dated="2026-07-01", source="twilio.com, to the US")
    _http: HttpTransport

    def __init__(self, name: str, config: TwilioConfig) -> None:
        super().__init__(name, config)
        base = config.base_url.rstrip("/")
        self._account = f"{base}/2010-04-01/Accounts/{config.account_sid}"

    async def __aenter__(self) -> Self:
        self._http = HttpTransport(allow_private=self.config.allow_private)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.close()

    async def send(self, message: Message, *, timeout: float) -> Receipt:
        if len(message.text) > TEXT_LIMIT:
            raise Rejected(f"the text is longer than {TEXT_LIMIT} characters")
        choice = _choice_of(message)
        reply = await self._http.request(
            "POST",
            self._url("/Messages"),
            headers={**self._headers(), "Content-Type": "application/x-www-form-urlencoded"},
            body=_form(message, choice or self.config).encode("ascii"),
            timeout=timeout,
        )
        try:
            return _receipt(reply)
        except BadSender as error:
            if choice is None:
                raise
            # A bad sender in one message must not open the circuit for everybody.
            raise Refused(error.reason, code=error.code) from error

    async def check(self, *, timeout: float) -> AccountReport:
        """Read the account, its balance, and of a trial its verified numbers, in `timeout` seconds.

        Either of the first two may be closed to a sound account: a standard API key cannot read the
        account, a subaccount has no balance. Raises a `DeliveryError` where neither can be read.
        """
        now = asyncio.get_running_loop().time
        until = now() + timeout
        account = await self._get("", timeout / 2)
        balance = await self._get("/Balance", (until - now()) / 2)
        verified = None
        if is_trial(account):
            with suppress(DeliveryError):  # the account was reached: this alone must not fail
                verified = verified_numbers(await self._get("/OutgoingCallerIds", until - now()))
        if 200 in (account.status, balance.status):
            return report(account, balance, verified)
        error = _error(account, account.json().get("code"))
        if self.config.api_key and isinstance(error, Misconfigured):
            return cannot_be_seen()
        raise error

    async def _get(self, path: str, timeout: float) -> Reply:
        # Not through the SDK: its bound is on each read, not on the call, and takes a thread.
        return await self._http.request(
            "GET", self._url(path), headers=self._headers(), timeout=timeout
        )

    def _url(self, path: str) -> str:
        return f"{self._account}{path}.json"

    def _headers(self) -> dict[str, str]:
        secret = self.config.api_secret or self.config.auth_token
        assert secret is not None, "the settings are complete"
        user = self.config.api_key or self.config.account_sid
        token = b64encode(f"{user}:{secret.get_secret_value()}".encode()).decode()
        return {
            "Authorization": f"Basic {token}",
            "Accept": "application/json",
            "User-Agent": _AGENT,
        }


def _choice_of(message: Message) -> _Choice | None:
    """The sender that the message names; it replaces both settings. None where it names none."""
    given = message.extra_for(Twilio.kind)
    if not given:  # as nearly always
        return None
    named = {k: v for k, v in given.items() if v is not None}
    try:
        return _Choice.model_validate(named) if named else None
    except ValidationError:
        raise Rejected("extra.twilio takes the texts `sender`, `messaging_service_sid`") from None


def _form(message: Message, origin: TwilioConfig | _Choice) -> str:
    """The fields of `Messages.create`, in the order in which the SDK writes them."""
    validity = _validity(message.expires_in)
    to = message.to
    form = f"To=%2B{to[1:]}" if _NUMBER.fullmatch(to) else f"To={quote_plus(to)}"
    if validity is not None:
        form += f"&ValidityPeriod={validity}"
    if message.purpose == "otp":
        form += "&MessageIntent=otp"
    if origin.sender is not None:
        form += f"&From={_quoted(origin.sender)}"
    if origin.messaging_service_sid is not None:
        form += f"&MessagingServiceSid={quote_plus(origin.messaging_service_sid)}"
    return f"{form}&Body={quote_plus(message.text)}"


def _validity(expires_in: float | None) -> str | None:
    """Whole seconds, rounded down, so that Twilio drops the text rather than send a dead code."""
    if expires_in is None:
        return None
    return str(int(min(max(1.0, expires_in), LONGEST_VALIDITY)))


def _receipt(reply: Reply) -> Receipt:
    body = reply.json()
    if not 200 <= reply.status < 300:
        raise _error(reply, body.get("code"))
    sid, status, fault = body.get("sid"), body.get("status") or "", body.get("error_code")
    if isinstance(status, str) and status.lower() in _NOT_TAKEN:  # a 201 may say so
        raise _error(reply, fault)
    if not (isinstance(sid, str) and _SID.fullmatch(sid)):
        raise Unknown("the answer carries no message SID", code=reply.status)
    if fault or not isinstance(status, str):  # a problem's `status` is a number
        raise Unknown("the answer carries a message SID and an error", code=reply.status)
    return Receipt(sid)


def _error(reply: Reply, code: object) -> DeliveryError:
    """What Twilio's `code` means by `FAULTS`; the status speaks where it names none of them."""
    number = int(str(code)) if _CODE.fullmatch(str(code)) else 0
    if number not in FAULTS:
        if 200 <= reply.status < 300:
            return Refused("Twilio created the message and failed it at once", code=number or None)
        return error_for_status(reply, code=number or None)
    outcome, reason = FAULTS[number]
    if outcome is Throttled:
        pause = QUOTA_PAUSE if number in _QUOTA else None
        return Throttled(reason, code=number, retry_after=reply.retry_after() or pause)
    if number == _OPTED_OUT:
        return Rejected(reason, code=number, final=True)
    return outcome(reason, code=number)


@hookimpl
def register_providers() -> list[type[Twilio]]:
    return [Twilio]
