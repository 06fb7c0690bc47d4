"""What AWS's errors mean: a table per service, and one way to read it.

The vendor's code decides first, the HTTP status where the code says nothing, and the text only
between the rows of one code. Codes are those on the wire: SES v2 names exceptions, SNS short codes.
Sources: botocore's service models, the SES and SNS developer guides ("Troubleshooting", "Errors
related to the sending quotas"), the common errors of the API references.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidecar import (
    DeliveryError,
    Misconfigured,
    Receipt,
    Refused,
    Rejected,
    Reply,
    Throttled,
    Unavailable,
    Unknown,
    error_for_status,
)


class BadSetting(Misconfigured):
    """A value is at fault that the settings chose, or the one message that named its own."""


@dataclass(frozen=True, slots=True)
class Row:
    """One meaning of a code: for answers whose text, in lower case, contains `text`.

    `pause` is how many seconds a throttle lasts, where that is known; `final` marks a rejection
    that no setting fails over.
    """

    error: type[DeliveryError]
    reason: str
    text: str = ""
    pause: float | None = None
    final: bool = False


Table = dict[str, tuple[Row, ...]]

QUOTA_PAUSE = 300.0
"""Seconds to leave a used-up daily quota alone; it rolls over 24 hours, so some comes back."""

_KEYS = (Row(Misconfigured, "AWS did not accept the access key or its signature"),)
_CLOCK = Row(Misconfigured, "the signature was out of date: check this machine's clock")
_SIGNATURE = (
    Row(_CLOCK.error, _CLOCK.reason, "expired"),
    Row(_CLOCK.error, _CLOCK.reason, "not yet current"),
    *_KEYS,
)
_EXPIRED = (Row(Misconfigured, "the session token has expired and no newer one was found"),)
_DENIED = (Row(Misconfigured, "the credentials lack the permission for this call"),)
_OPT_IN = (Row(Misconfigured, "the AWS account is not signed up for this service"),)
_WRONG_API = (Row(Misconfigured, "the endpoint does not know this call: check endpoint_url"),)
_FAILED = (Row(Unavailable, "the service failed"),)
_RATE = (
    Row(Throttled, "the daily sending quota is used up", "daily message quota", QUOTA_PAUSE),
    Row(Throttled, "the sending rate is used up"),
)
_INVALID = (Row(Rejected, "the message has a value that AWS does not take"),)

COMMON: Table = {
    "SignatureDoesNotMatch": _SIGNATURE,
    "InvalidSignatureException": _SIGNATURE,
    "IncompleteSignature": _SIGNATURE,
    "RequestExpired": (_CLOCK,),
    "RequestTimeTooSkewed": (_CLOCK,),
    "InvalidClientTokenId": _KEYS,
    "UnrecognizedClientException": _KEYS,
    "InvalidAccessKeyId": _KEYS,
    "AuthFailure": _KEYS,
    "MissingAuthenticationToken": _KEYS,
    "MissingAuthenticationTokenException": _KEYS,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "NotAuthorized": _DENIED,
    "OptInRequired": _OPT_IN,
    "SubscriptionRequiredException": _OPT_IN,
    "InvalidAction": _WRONG_API,
    "UnknownOperationException": _WRONG_API,
    "Throttling": _RATE,
    "ThrottlingException": _RATE,
    "ThrottledException": _RATE,
    "Throttled": _RATE,
    "TooManyRequestsException": _RATE,
    "RequestLimitExceeded": _RATE,
    "InternalFailure": _FAILED,
    "InternalError": _FAILED,
    "InternalServerError": _FAILED,
    "InternalServiceErrorException": _FAILED,
    "ServiceUnavailable": _FAILED,
    "ServiceUnavailableException": _FAILED,
    "ValidationException": _INVALID,
}

_PAUSED = (Row(Misconfigured, "sending is paused or suspended for this SES account"),)
_SET_PAUSED = (Row(BadSetting, "sending is paused for this configuration set"),)
_NO_SET = Row(BadSetting, "the configuration set does not exist", "configuration set")
_BAD_MAIL = (
    _NO_SET,
    Row(Rejected, "SES does not take the recipient's address", "address"),
    Row(Rejected, "SES does not take the message"),
)

SES: Table = COMMON | {
    "LimitExceededException": (
        _RATE[0],
        Row(Throttled, "a limit of the SES account is reached"),
    ),
    "AccountSendingPausedException": _PAUSED,
    "SendingPausedException": _PAUSED,
    "AccountSuspendedException": _PAUSED,
    "ConfigurationSetSendingPausedException": _SET_PAUSED,
    "MailFromDomainNotVerifiedException": (
        Row(Misconfigured, "the custom MAIL FROM domain is not verified in SES"),
    ),
    "MessageRejected": (
        Row(Misconfigured, "the sender is not verified in SES in this region", "not verified"),
        Row(Rejected, "SES rejected the content of the message"),
    ),
    "InvalidParameterValue": _BAD_MAIL,
    "BadRequestException": _BAD_MAIL,
    "ConfigurationSetDoesNotExist": (_NO_SET, Row(_NO_SET.error, _NO_SET.reason)),
    "ConfigurationSetDoesNotExistException": (_NO_SET, Row(_NO_SET.error, _NO_SET.reason)),
    "NotFoundException": (
        _NO_SET,
        Row(Misconfigured, "SES does not know something that the settings name"),
    ),
    "TemplateDoesNotExist": (Row(Misconfigured, "the template does not exist"),),
}

_NO_KMS = (Row(Misconfigured, "SNS could not use the KMS key of the request"),)
_NOT_SMS = (Row(Misconfigured, "SNS answered as if to something else than a phone number"),)
_OURS = "SNS does not take the sender, the SMS type or the highest price of the settings"
_BAD_TEXT = (
    Row(Rejected, "the text is too long for SNS", "too long"),
    Row(Rejected, "the text is empty", "empty"),
    # The account's fault, and felt by this recipient: a verified one would be served.
    Row(Refused, "the account is in the SMS sandbox: the number is not verified", "sandbox"),
    Row(Refused, "the account is in the SMS sandbox: the number is not verified", "not verif"),
    Row(Rejected, "SNS does not take the recipient's number", "phonenumber"),
    Row(Rejected, "SNS does not take the recipient's number", "phone number"),
    Row(BadSetting, _OURS, "messageattributes"),
    Row(BadSetting, _OURS, "aws.sns.sms."),
    Row(BadSetting, _OURS, "aws.mm.sms."),
    Row(Rejected, "SNS does not take the message"),
)

SNS: Table = COMMON | {
    "InvalidParameter": _BAD_TEXT,
    "InvalidParameterValue": _BAD_TEXT,
    "ParameterValueInvalid": _BAD_TEXT,
    "ValidationException": _BAD_TEXT,
    "ValidationError": _BAD_TEXT,
    "AuthorizationError": _DENIED,
    "InvalidSecurity": _KEYS,
    "KMSDisabled": _NO_KMS,
    "KMSInvalidState": _NO_KMS,
    "KMSNotFound": _NO_KMS,
    "KMSOptInRequired": _NO_KMS,
    "KMSAccessDenied": _NO_KMS,
    "KMSThrottling": _RATE,
    "EndpointDisabled": _NOT_SMS,
    "PlatformApplicationDisabled": _NOT_SMS,
    "NotFound": _NOT_SMS,
}


@dataclass(frozen=True, slots=True)
class AwsError:
    """What an answer says of itself. `text` is in lower case and for comparison only."""

    code: str | None
    text: str


_MESSAGE_ID = re.compile(r"[!-~]{1,256}")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9._]{0,63}")
# Two elements by expression, not a parser: no entities, no depth, no second reading of the body.
_XML_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9._]{1,64})\s*</Code>")
_XML_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")


def read_error(reply: Reply) -> AwsError:
    """Code and text of an error in JSON (SES v2) or XML (SNS, and what stands before both)."""
    fields, body = reply.json(), reply.body
    code = (
        _plain_code(reply.headers.get("x-amzn-errortype"))
        or _plain_code(fields.get("__type"))
        or _plain_code(fields.get("code"))
        or _plain_code(_found(_XML_CODE, body))
    )
    text = fields.get("message") or fields.get("Message") or _found(_XML_MESSAGE, body)
    return AwsError(code, text.lower() if isinstance(text, str) else "")


def receipt_of(reply: Reply, service: str) -> Receipt | None:
    """The receipt in an answer of JSON; None where it says that the message was not taken.

    Raises `Unknown` for one that says neither, or both. botocore gives an empty answer for a page
    of HTML; the id alone is an acceptance.
    """
    fields = reply.json()
    message_id = fields.get("MessageId")
    succeeded = 200 <= reply.status < 300
    if not (isinstance(message_id, str) and _MESSAGE_ID.fullmatch(message_id)):
        if succeeded:
            raise Unknown(f"{service} answered without a message id", code=reply.status)
        return None
    if not succeeded or "__type" in fields or "x-amzn-errortype" in reply.headers:
        raise Unknown(f"{service} gave a message id and an error", code=reply.status)
    return Receipt(message_id)


def classify(table: Table, reply: Reply, said: AwsError | None = None) -> DeliveryError:
    """The error that an answer without a receipt means; `said` is what `read_error` made of it."""
    said = said or read_error(reply)
    for row in table.get(said.code or "", ()):
        if row.text in said.text:
            return error_of(row, reply, said.code)
    return error_for_status(reply, code=said.code)


def error_of(row: Row, reply: Reply, code: str | None) -> DeliveryError:
    """What `row` says of `reply`."""
    if row.error is Throttled:
        # AWS names no time (a proxy before it may); only a quota is known to last.
        pause = row.pause if row.pause is not None else reply.retry_after()
        return Throttled(row.reason, code=code, retry_after=pause)
    if row.final:
        return Rejected(row.reason, code=code, final=True)
    return row.error(row.reason, code=code)


def _plain_code(value: object) -> str | None:
    """The name in `ns#Name`, `Name:http://...`; None for digits, which only repeat the status."""
    if not isinstance(value, str):
        return None
    name = value.partition(":")[0].rpartition("#")[2].strip()
    return name if _CODE.fullmatch(name) else None


def _found(pattern: re.Pattern[bytes], body: bytes) -> str | None:
    match = pattern.search(body)
    return match[1].decode("utf-8", errors="replace") if match else None
