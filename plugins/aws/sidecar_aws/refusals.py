"""Why AWS refused a call of a command, in a sentence to act on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

import botocore.session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    InvalidRegionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)

from sidecar.commands import EX_CONFIG, EX_NEGATIVE, EX_UNAVAILABLE, CommandFailed

_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
_BAD_KEYS = {
    "InvalidClientTokenId": "AWS does not know these credentials: is the access key right, and on?",
    "UnrecognizedClientException": "AWS does not know these credentials: is the access key right?",
    "SignatureDoesNotMatch": "AWS does not accept the secret access key: copy it anew",
    "InvalidSignatureException": "AWS does not accept the secret access key: copy it anew",
    "IncompleteSignature": "AWS cannot read the signature: copy the access key anew",
    "MissingAuthenticationToken": "AWS was given no credentials",
    "ExpiredToken": "the AWS session has ended: log in again",
    "ExpiredTokenException": "the AWS session has ended: log in again",
    "RequestExpired": "this machine's clock is wrong: AWS takes five minutes of difference",
    "OptInRequired": "the account is not signed up for this service or region: enable it first",
    "SubscriptionRequiredException": "the account is not signed up for this service",
    "InvalidAccessException": "the account may not use this service",
}
_THROTTLED = re.compile(r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown")
# By operation and code: what AWS means by it there.
_MEANT = {
    ("CreateEmailIdentity", "LimitExceededException"): (
        "the account has as many identities as this region allows (10,000): delete some first"
    ),
    ("CreateEmailIdentity", "ConcurrentModificationException"): (
        "somebody changes this identity just now: run it again in a moment"
    ),
    ("PutAccountDetails", "ConflictException"): (
        "AWS already looks at such a request, or has answered it: see its case in the AWS Support "
        "Center and answer there; a second request is not taken"
    ),
    ("SetSMSAttributes", "InvalidParameter"): (
        "AWS does not take this limit: it is above the account's ceiling. Have the ceiling raised "
        "first - a service-quota case in the AWS Support Center, `SNS Text Messaging`, `Account "
        "spend quota` - then run this again"
    ),
    ("SetSMSAttributes", "InvalidParameterValue"): (
        "AWS does not take this limit: it is a whole number of USD, up to the account's ceiling"
    ),
}
_CHANGES = {"CreateEmailIdentity", "PutAccountDetails", "SetSMSAttributes"}
_LONGEST = 300
"""Characters of AWS's own words that are shown."""


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked: botocore's name of the service, the operation, and where."""

    service: str
    operation: str
    region: str

    @property
    def iam_action(self) -> str:
        """What a policy must allow; SES v2 has the prefix of SES."""
        return f"{self.service.removesuffix('v2')}:{self.operation}"


class Refused(CommandFailed):
    """AWS refused, with this error code."""

    def __init__(self, message: str, exit_code: int, code: str) -> None:
        super().__init__(message, exit_code)
        self.code = code


def failed(error: Exception, call: Call) -> CommandFailed:
    """`error`, botocore's, as the end of a command."""
    if isinstance(error, ClientError):
        return _refused(error, call)
    if isinstance(error, NoCredentialsError):
        told = (
            "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, "
            "or give the provider `access_key_id` and `secret_access_key`"
        )
        return CommandFailed(told, EX_CONFIG)
    if isinstance(error, PartialCredentialsError):
        return CommandFailed("the AWS credentials are incomplete: a key or secret lacks", EX_CONFIG)
    if isinstance(error, ProfileNotFound):
        return CommandFailed("AWS_PROFILE names a profile that does not exist", EX_CONFIG)
    if isinstance(error, SSOError | TokenRetrievalError):
        return CommandFailed("the AWS session has ended: run `aws sso login`", EX_CONFIG)
    if isinstance(error, CredentialRetrievalError):
        told = "the source of the AWS credentials failed: log in again, or see the profile"
        return CommandFailed(told, EX_UNAVAILABLE)
    if isinstance(error, InvalidRegionError):
        return CommandFailed("the AWS region is not written like eu-west-1", EX_CONFIG)
    if isinstance(error, HTTPClientError | EndpointConnectionError | ConnectionClosedError):
        return _not_reached(error, call)
    told = f"the AWS settings cannot be used ({type(error).__name__})"
    return CommandFailed(told, EX_CONFIG)


def _not_reached(error: BotoCoreError, call: Call) -> CommandFailed:
    if isinstance(error, EndpointConnectionError) and (told := _unknown_region(call)):
        return CommandFailed(told, EX_CONFIG)
    if isinstance(error, SSLError):
        return CommandFailed("the certificate of AWS's endpoint is not trusted here", 69)
    told = f"AWS was not reached ({type(error).__name__})"
    if isinstance(error, ReadTimeoutError | ConnectionClosedError) and call.operation in _CHANGES:
        told = (
            "AWS did not answer, and may have made the change or not: look before you run it again"
        )
    return CommandFailed(f"{call.operation}: {told}", EX_UNAVAILABLE)


def _unknown_region(call: Call) -> str | None:
    """What to say of a region that botocore does not know; None where it does."""
    session = botocore.session.get_session()
    known = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions(call.service, partition)
    ]
    if not call.region or call.region in known:
        return None
    near = get_close_matches(call.region, known, n=1)
    hint = f": did you mean `{near[0]}`?" if near else ""
    return f"AWS was not reached in `{call.region}`, which is no region that is known here{hint}"


def _refused(error: ClientError, call: Call) -> Refused:
    told = error.response.get("Error", {})
    code, words = str(told.get("Code", "")), " ".join(str(told.get("Message", "")).split())
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if error.operation_name != call.operation:
        return _not_logged_in(error.operation_name, code, status)
    message, exit_code = _meaning(code, words, status, call)
    return Refused(f"{call.operation}: {message}", exit_code, code)


def _not_logged_in(operation: str, code: str, status: int) -> Refused:
    """STS or SSO, asked by botocore on the way to the credentials, refused."""
    if _THROTTLED.search(code) or status == 429 or status >= 500:
        told = f"{operation}: the source of the AWS credentials failed ({code}): run it again"
        return Refused(told, EX_UNAVAILABLE, code)
    told = (
        f"{operation}: the AWS role or session was refused ({code}): see the profile, and its role"
    )
    return Refused(told, EX_CONFIG, code)


def _meaning(code: str, words: str, status: int, call: Call) -> tuple[str, int]:
    if code in _DENIED:
        if "explicit deny" in words:
            return f"a policy denies {call.iam_action} explicitly: an Allow will not do", EX_CONFIG
        return f"these credentials lack the IAM action {call.iam_action}: allow it", EX_CONFIG
    if code in _BAD_KEYS:
        return _BAD_KEYS[code], EX_CONFIG
    if (call.operation, code) in _MEANT:
        return _MEANT[call.operation, code], EX_NEGATIVE
    if _THROTTLED.search(code) or status == 429:
        return (
            "AWS takes this call about once a second: wait a moment, run it again",
            EX_UNAVAILABLE,
        )
    if status in (401, 403):
        return f"AWS did not accept the credentials ({code or status})", EX_CONFIG
    if code.isdigit() or (status >= 500 and not code):
        return f"the endpoint does not know this call ({status}): is it AWS's own?", EX_UNAVAILABLE
    if status >= 500 or code in ("InternalFailure", "InternalError", "ServiceUnavailable"):
        return f"AWS failed ({code or status}): run it again in a moment", EX_UNAVAILABLE
    if call.operation == "SetSMSAttributes" and "limit" in words.lower():
        return _MEANT["SetSMSAttributes", "InvalidParameter"], EX_NEGATIVE
    # No message went out, so these words can name no recipient; and they are all there is to say.
    return f"AWS refused it, {code}: {words[:_LONGEST]}", EX_NEGATIVE
