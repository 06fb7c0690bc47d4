"""What the vendors answer to a send they take, and whom a request was for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs


def _answer(head: str, body: str = "", headers: str = "") -> bytes:
    kind = "text/xml" if body.startswith("<") else "application/json"
    return (
        f"HTTP/1.1 {head}\r\nContent-Type: {kind}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        f"{body}"
    ).encode()


# Each has one place for a number of 32 digits: a fixed length costs no arithmetic on the way out.
NUMBER = b"%032d"
_PLACE = "%032d"
_ROOM = "0" * 32


def _template(answer: bytes) -> bytes:
    assert answer.count(_ROOM.encode()) == 1
    return answer.replace(_ROOM.encode(), NUMBER)


ANSWERS = {
    "ses": _template(_answer("200 OK", json.dumps({"MessageId": f"ses-{_ROOM}"}))),
    "sns": _template(
        _answer(
            "200 OK",
            '<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>'
            f"<MessageId>sns-{_ROOM}</MessageId></PublishResult><ResponseMetadata>"
            "<RequestId>r-1</RequestId></ResponseMetadata></PublishResponse>",
        )
    ),
    "twilio": _template(
        _answer(
            "201 Created",
            json.dumps({"sid": f"SM{_ROOM}", "status": "queued", "error_code": None}),
        )
    ),
    "sendgrid": _template(_answer("202 Accepted", headers=f"X-Message-Id: sg-{_ROOM}\r\n")),
    "raw": _template(_answer("200 OK", json.dumps({"id": f"raw-{_ROOM}"}))),
}
"""The answer of each vendor, with a place for the number of the message."""
NAMES = {"ses": "ses-", "sns": "sns-", "twilio": "SM", "sendgrid": "sg-", "raw": "raw-"}
"""How the vendor's message ids begin, before the 32 digits."""
FAILURE = _answer("503 Service Unavailable", '{"message": "down"}')
"""What a failing provider answers."""


def vendor_of(head: bytes) -> str:
    """The vendor whose API the request's first line names; `raw` for none of them."""
    if head.startswith(b"POST /v2/email/outbound-emails "):
        return "ses"
    if head.startswith(b"POST / "):
        return "sns"
    if head.startswith(b"POST /2010-04-01/"):
        return "twilio"
    return "sendgrid" if head.startswith(b"POST /v3/mail/send ") else "raw"


def _field(name: str) -> Callable[[bytes], str]:
    return lambda body: parse_qs(body.decode())[name][0]


def _ses(body: bytes) -> str:
    (address,) = json.loads(body)["Destination"]["ToAddresses"]
    return str(address)


def _sendgrid(body: bytes) -> str:
    mail: dict[str, Any] = json.loads(body)
    return str(mail["personalizations"][0]["to"][0]["email"])


RECIPIENTS: dict[str, Callable[[bytes], str]] = {
    "ses": _ses,
    "sns": _field("PhoneNumber"),
    "twilio": _field("To"),
    "sendgrid": _sendgrid,
    "smtp": lambda body: body.decode(),
}
"""Whom a body is for; read after a run, never while it is measured."""
