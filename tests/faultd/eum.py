"""AWS End User Messaging, as `faultd.vendors` has the others: AWS JSON 1.0, one call."""

from __future__ import annotations

import json
import uuid
from typing import Any

from faultd.ledger import Letter
from faultd.vendors import Answer, Request, Vendor

AMZ_JSON = {"Content-Type": "application/x-amz-json-1.0"}
NAMESPACE = "com.amazonaws.pinpointsmsvoicev2"
SEND = "PinpointSMSVoiceV2.SendTextMessage"
FIELD = {"Name": "DestinationPhoneNumber", "Message": "is not a valid phone number"}
NO: dict[str | None, tuple[str, dict[str, Any]]] = {
    None: ("ValidationException", {"Reason": "INVALID_PARAMETER", "Fields": [FIELD]}),
    "opted_out": ("ConflictException", {"Reason": "DESTINATION_PHONE_NUMBER_OPTED_OUT"}),
    "unverified": ("ConflictException", {"Reason": "DESTINATION_PHONE_NUMBER_NOT_VERIFIED"}),
    "spend_limit": (
        "ServiceQuotaExceededException",
        {"Reason": "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"},
    ),
}
"""By the `why` of the fault `reject`; the status is 400 for all of them."""


class Eum(Vendor):
    def parse(self, request: Request) -> Letter | None:
        if request.method != "POST" or request.headers.get("x-amz-target") != SEND:
            return None
        text = json.loads(request.body)
        return Letter(text["DestinationPhoneNumber"], text["MessageBody"])

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def accepted(self, id_: str) -> Answer:
        return _answer(200, {"MessageId": id_})

    def rejected(self, why: str | None = None) -> Answer:
        code, more = NO[why]
        return _error(400, code, **more)

    def failed(self, id_: str) -> Answer:
        return _error(200, "InternalServerException")

    def error(self, status: int) -> Answer:
        known = {
            401: "UnrecognizedClientException",
            403: "AccessDeniedException",
            429: "ThrottlingException",
        }
        return _error(status, known.get(status, "InternalServerException"))

    def odd(self, what: str) -> Answer:
        other = {"no_id": {"RequestId": "5"}, "wrong_type": {"MessageId": 12345}}
        return _answer(200, other[what]) if what in other else super().odd(what)


def _error(status: int, code: str, **more: Any) -> Answer:
    return _answer(status, {"__type": f"{NAMESPACE}#{code}", "Message": "a sentence", **more})


def _answer(status: int, document: object) -> Answer:
    return Answer(status, AMZ_JSON, json.dumps(document).encode())
