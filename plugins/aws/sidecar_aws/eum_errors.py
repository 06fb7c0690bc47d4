"""What the errors of End User Messaging mean: by the exception, then by the reason it gives.

Each exception of `SendTextMessage` and each reason of botocore's service model has its row, and a
test fails when one is new. A reason that depends on the recipient or on their country is `refused`
and never `misconfigured`: one traveller must not open the circuit for everybody. Sources: the
service model, the API reference of `SendTextMessage`, the SMS user guide ("Sandbox", "Opt-out
lists", "Protect configurations").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sidecar import (
    DeliveryError,
    Misconfigured,
    Refused,
    Rejected,
    Reply,
    Throttled,
    Unavailable,
    error_for_status,
)
from sidecar_aws.errors import COMMON, QUOTA_PAUSE, BadSetting, Row, Table, error_of, read_error

_NO_ROUTE = (Row(Refused, "no origination identity can send to the recipient's country"),)
_BLOCKED = (Row(Refused, "the recipient's country is blocked or not enabled for the account"),)
_SENDER = (Row(Refused, "the recipient's country does not take this sender ID as it is"),)
_SPENT = (Row(Throttled, "the monthly spend limit is used up", pause=QUOTA_PAUSE),)
_QUOTA = (Row(Throttled, "a quota of the account is used up", pause=QUOTA_PAUSE),)
_NOT_READY = (Row(BadSetting, "the origination identity is not active, or not registered"),)
_NOT_OURS = (Row(Refused, "AWS gave a reason that belongs to another call"),)
# By the name of the field at fault; the last one where none is named, and another may take it.
_BY_FIELD = (
    Row(Rejected, "AWS does not take the recipient's number", "destinationphonenumber"),
    Row(Rejected, "AWS does not take the text", "messagebody"),
    Row(BadSetting, "AWS does not take the origination identity", "originationidentity"),
    Row(BadSetting, "AWS does not take the name of the configuration set", "configurationsetname"),
    Row(BadSetting, "AWS does not take the protect configuration", "protectconfigurationid"),
    Row(BadSetting, "AWS does not take the message type", "messagetype"),
    Row(BadSetting, "AWS does not take the highest price", "maxprice"),
    Row(BadSetting, "AWS does not take the ids for India", "destinationcountryparameters"),
    Row(Refused, "AWS does not take the request"),
)

EUM: Table = COMMON | {
    "AccessDeniedException": (
        # The permission may be for some identities only, and the message may have named another.
        Row(BadSetting, "the credentials lack the permission to send with these settings"),
    ),
    "ConflictException": (Row(Refused, "the request conflicts with the state of the account"),),
    "InternalServerException": (Row(Unavailable, "the service failed"),),
    "ResourceNotFoundException": (
        Row(BadSetting, "AWS does not know something that the settings name, in this region"),
    ),
    "ServiceQuotaExceededException": _QUOTA,
    "ThrottlingException": (Row(Throttled, "the sending rate is used up"),),
    "ValidationException": _BY_FIELD,
}
"""Where there is no reason, or one that is not known."""


def _of_another_call(names: str) -> Table:
    return dict.fromkeys(names.split(), _NOT_OURS)


_DENIED: Table = {
    "ACCOUNT_DISABLED": (Row(Misconfigured, "the account is disabled for sending"),),
    "INSUFFICIENT_ACCOUNT_REPUTATION": (
        Row(Misconfigured, "AWS holds the account back for its reputation"),
    ),
}

_CONFLICT: Table = {
    "DESTINATION_PHONE_NUMBER_OPTED_OUT": (
        Row(Rejected, "the recipient sent STOP and withdrew consent", final=True),
    ),
    "DESTINATION_PHONE_NUMBER_NOT_VERIFIED": (
        # The account's fault, and felt by this recipient: a verified one would be served.
        Row(Refused, "the account is in the SMS sandbox: the number is not verified"),
    ),
    "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": (
        # Somebody of this account blocked this one number by hand: no way round it.
        Row(Rejected, "the number is blocked by the account's protect configuration"),
    ),
    "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION": _BLOCKED,
    # With a pool that is in order, for some countries (department-of-veterans-affairs/
    # notification-api#2633, cds-snc/notification-api#2205).
    "NO_ORIGINATION_IDENTITIES_FOUND": _NO_ROUTE,
    "MESSAGE_TYPE_MISMATCH": (
        Row(BadSetting, "the origination identity is not for this message type"),
    ),
    "NUMBER_CAPABILITIES_MISMATCH": (Row(BadSetting, "the origination number cannot send SMS"),),
    "PROTECT_CONFIGURATION_NOT_ASSOCIATED_WITH_CONFIGURATION_SET": (
        Row(BadSetting, "the protect configuration is not the configuration set's"),
    ),
    "REGISTRATION_NOT_COMPLETE": _NOT_READY,
    "RESOURCE_NOT_ACTIVE": _NOT_READY,
    **_of_another_call(
        "CREATE_REGISTRATION_VERSION_NOT_ALLOWED DELETION_PROTECTION_ENABLED"
        " DISASSOCIATE_REGISTRATION_NOT_ALLOWED DISCARD_REGISTRATION_VERSION_NOT_ALLOWED"
        " EDIT_REGISTRATION_FIELD_VALUES_NOT_ALLOWED EVENT_DESTINATION_MISMATCH KEYWORD_MISMATCH"
        " LAST_PHONE_NUMBER NOTIFY_CONFIGURATION_NOT_ACTIVE OPT_OUT_LIST_MISMATCH"
        " PHONE_NUMBER_ASSOCIATED_TO_POOL PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION"
        " PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL PHONE_NUMBER_NOT_IN_REGISTRATION_REGION"
        " POOL_ASSOCIATED_TO_NOTIFY_CONFIGURATION PROTECT_CONFIGURATION_IS_ACCOUNT_DEFAULT"
        " PROTECT_CONFIGURATION_ASSOCIATED_WITH_CONFIGURATION_SET RCS_AGENT_ASSOCIATED_TO_POOL"
        " RCS_AGENT_ALREADY_ASSOCIATED_TO_REGISTRATION_TYPE REGISTRATION_ALREADY_SUBMITTED"
        " RESOURCE_ALREADY_ASSOCIATED RESOURCE_ALREADY_EXISTS RESOURCE_DELETION_NOT_ALLOWED"
        " RESOURCE_MODIFICATION_NOT_ALLOWED RESOURCE_NOT_EMPTY SELF_MANAGED_OPT_OUTS_MISMATCH"
        " SENDER_ID_ASSOCIATED_TO_POOL SUBMIT_REGISTRATION_VERSION_NOT_ALLOWED"
        " TWO_WAY_CONFIG_MISMATCH VERIFICATION_ALREADY_COMPLETE VERIFICATION_CODE_EXPIRED"
    ),
}

_EXCEEDED: Table = {
    **dict.fromkeys(
        (
            "MONTHLY_SPEND_LIMIT_REACHED_FOR_MEDIA",
            "MONTHLY_SPEND_LIMIT_REACHED_FOR_NOTIFY",
            "MONTHLY_SPEND_LIMIT_REACHED_FOR_RCS",
            "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT",
            "MONTHLY_SPEND_LIMIT_REACHED_FOR_VOICE",
        ),
        _SPENT,
    ),
    "DAILY_DESTINATION_CALL_LIMIT": (Row(Refused, "too many messages to this number for one day"),),
    "DAILY_NOTIFY_TIER_MESSAGE_LIMIT": _QUOTA,
    **_of_another_call(
        "ASSOCIATIONS_PER_REGISTRATION CONFIGURATION_SETS_PER_ACCOUNT"
        " EVENT_DESTINATIONS_PER_CONFIGURATION_SET KEYWORDS_PER_PHONE_NUMBER KEYWORDS_PER_POOL"
        " NOTIFY_CONFIGURATIONS_PER_ACCOUNT OPT_OUT_LISTS_PER_ACCOUNT"
        " ORIGINATION_IDENTITIES_PER_POOL PHONE_NUMBERS_PER_ACCOUNT PHONE_NUMBERS_PER_REGISTRATION"
        " POOLS_PER_ACCOUNT PROTECT_CONFIGURATIONS_PER_ACCOUNT RCS_AGENTS_PER_ACCOUNT"
        " REGISTRATIONS_PER_ACCOUNT REGISTRATION_ATTACHMENTS_CREATED_PER_DAY"
        " REGISTRATION_ATTACHMENTS_PER_ACCOUNT REGISTRATION_VERSIONS_CREATED_PER_DAY"
        " SENDER_IDS_PER_ACCOUNT TAGS_PER_RESOURCE VERIFICATION_ATTEMPTS_PER_DAY"
        " VERIFIED_DESTINATION_NUMBERS_PER_ACCOUNT"
    ),
}

_INVALID: Table = {
    **dict.fromkeys(
        (
            "CANNOT_PARSE",
            "FIELD_VALIDATION_FAILED",
            "INVALID_PARAMETER",
            "INVALID_REQUEST",
            "MISSING_PARAMETER",
            "OTHER",
            "PARAMETERS_CANNOT_BE_USED_TOGETHER",
            "UNSPECIFIED_PARAMETER_NOT_SUPPORTED",
        ),
        _BY_FIELD,
    ),
    "MAXIMUM_SIZE_EXCEEDED": (Row(Rejected, "the text is too long"),),
    "PRICE_OVER_THRESHOLD": (Row(Refused, "the text would cost more than the highest price"),),
    "COUNTRY_NOT_ENABLED": _BLOCKED,
    "DESTINATION_COUNTRY_BLOCKED": _BLOCKED,
    "COUNTRY_CODE_MISMATCH": _NO_ROUTE,
    "INTERNATIONAL_SENDING_NOT_SUPPORTED": _NO_ROUTE,
    "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY": _NO_ROUTE,
    "SENDER_ID_NOT_REGISTERED": _SENDER,
    "SENDER_ID_NOT_SUPPORTED": _SENDER,
    "SENDER_ID_REQUIRES_REGISTRATION": _SENDER,
    "CHANNEL_NOT_ENABLED": (Row(BadSetting, "the origination identity is not enabled for SMS"),),
    "INVALID_ARN": (Row(BadSetting, "the settings name something by an ARN that is none"),),
    "RESOURCE_NOT_ACCESSIBLE": (
        Row(BadSetting, "what another account shares has to be named by its whole ARN"),
    ),
    "UNKNOWN_OPERATION": COMMON["UnknownOperationException"],
    **_of_another_call(
        "ATTACHMENT_TYPE_NOT_SUPPORTED CANNOT_ADD_OPTED_OUT_NUMBER INVALID_FILTER_VALUES"
        " INVALID_NEXT_TOKEN INVALID_REGISTRATION_ASSOCIATION MEDIA_TYPE_NOT_SUPPORTED"
        " PHONE_NUMBER_CANNOT_BE_OPTED_IN PHONE_NUMBER_CANNOT_BE_RELEASED"
        " REGISTRATION_FIELD_CANNOT_BE_DELETED REQUESTED_SPEND_LIMIT_HIGHER_THAN_SERVICE_LIMIT"
        " TWO_WAY_CHANNEL_NOT_PRESENT TWO_WAY_NOT_ENABLED TWO_WAY_NOT_SUPPORTED_IN_COUNTRY"
        " TWO_WAY_NOT_SUPPORTED_IN_REGION TWO_WAY_TOPIC_NOT_PRESENT UNKNOWN_REGISTRATION_FIELD"
        " UNKNOWN_REGISTRATION_SECTION UNKNOWN_REGISTRATION_TYPE UNKNOWN_REGISTRATION_VERSION"
        " VERIFICATION_CODE_MISMATCH VOICE_CAPABILITY_NOT_AVAILABLE"
    ),
}

REASONS: Mapping[str, Table] = {
    "AccessDeniedException": _DENIED,
    "ConflictException": _CONFLICT,
    "ServiceQuotaExceededException": _EXCEEDED,
    "ValidationException": _INVALID,
    # It gives a type of resource instead. Sender IDs are each country's own.
    "ResourceNotFoundException": {"sender-id": _SENDER},
}
# No digit and nothing in lower case: neither a number nor a code can pass as a reason.
_REASON = re.compile(r"[A-Z][A-Z_]{1,63}")


def classify_eum(reply: Reply) -> DeliveryError:
    """The error that an answer without a receipt means; its code is the reason, if it has one."""
    said = read_error(reply)
    told = reply.json()
    code, reason = said.code or "", reason_of(told)
    known = REASONS.get(code, {}).get(str(told.get("Reason") or told.get("ResourceType")))
    text = _fields_of(told) or said.text
    for row in known or EUM.get(code, ()):
        if row.text in text:
            return error_of(row, reply, reason or code)
    return error_for_status(reply, code=reason or said.code)


def reason_of(told: Mapping[str, Any]) -> str | None:
    """The reason in the body of an error, if it is one."""
    reason = told.get("Reason")
    return reason if isinstance(reason, str) and _REASON.fullmatch(reason) else None


def _fields_of(told: Mapping[str, Any]) -> str:
    """The names of the fields at fault, in lower case; what is said of them may have the number."""
    fields = told.get("Fields")
    found = fields if isinstance(fields, list) else []
    return " ".join(str(one.get("Name")) for one in found if isinstance(one, dict)).lower()
