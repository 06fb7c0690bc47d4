"""What the HTTP vendors are asked, and the answers they give: right, wrong, and odd."""

from __future__ import annotations

import json
import re
import secrets
import uuid
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from faultd.ledger import Letter

HUGE = 5_000_000
JSON = {"Content-Type": "application/json"}
XML = {"Content-Type": "text/xml"}
HTML = "<html><head><title>Sign in</title></head><body>Welcome to the hotel</body></html>"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def _json(status: int, document: object, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, JSON | named, json.dumps(document).encode())


class Vendor:
    """One vendor's words. `parse` gives None for anything but a send, and raises for a bad one."""

    success = 200

    def parse(self, request: Request) -> Letter | None:
        raise NotImplementedError

    def new_id(self) -> str:
        raise NotImplementedError

    def accepted(self, id_: str) -> Answer:
        raise NotImplementedError

    def rejected(self, why: str | None = None) -> Answer:
        """No, about the recipient; `why` is a reason that the vendor's class has a name for."""
        raise NotImplementedError

    def failed(self, id_: str) -> Answer:
        raise NotImplementedError

    def error(self, status: int) -> Answer:
        """The vendor's own body for a status of 400 and above."""
        raise NotImplementedError

    def odd(self, what: str) -> Answer:
        """A success by its status whose body is not one."""
        match what:
            case "html":
                return Answer(200, {"Content-Type": "text/html"}, HTML.encode())
            case "empty":
                return Answer(self.success, JSON)
            case "null":
                return Answer(self.success, JSON, b"null")
            case "huge_id":
                return self.accepted("a" * HUGE)
        raise ValueError(f"no such body: {what}")


class Ses(Vendor):
    def parse(self, request: Request) -> Letter | None:
        if request.method != "POST" or request.path != "/v2/email/outbound-emails":
            return None
        mail = json.loads(request.body)
        text = mail["Content"]["Simple"]["Body"]["Text"]["Data"]
        return Letter(mail["Destination"]["ToAddresses"][0], text)

    def new_id(self) -> str:
        return f"0100018f{secrets.token_hex(4)}-{uuid.uuid4()}-000000"

    def accepted(self, id_: str) -> Answer:
        return _json(200, {"MessageId": id_})

    def rejected(self, why: str | None = None) -> Answer:
        return self._error(400, "BadRequestException", "Illegal address")

    def failed(self, id_: str) -> Answer:
        return self._error(200, "MessageRejected", "Email address is on the suppression list")

    def error(self, status: int) -> Answer:
        known = {
            401: ("UnrecognizedClientException", "The security token is invalid."),
            403: ("SignatureDoesNotMatch", "The request signature does not match."),
            429: ("TooManyRequestsException", "Maximum sending rate exceeded."),
        }
        return self._error(status, *known.get(status, ("InternalFailure", "Internal failure")))

    def odd(self, what: str) -> Answer:
        other = {"no_id": {"RequestId": "5"}, "wrong_type": {"MessageId": 12345}}
        return _json(200, other[what]) if what in other else super().odd(what)

    def _error(self, status: int, code: str, message: str) -> Answer:
        return _json(status, {"message": message}, x_amzn_ErrorType=code)


class Sns(Vendor):
    def parse(self, request: Request) -> Letter | None:
        form = _form(request)
        if request.method != "POST" or form.get("Action") != "Publish":
            return None
        return Letter(form["PhoneNumber"], form["Message"])

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def accepted(self, id_: str) -> Answer:
        return self._answer(f"<PublishResult><MessageId>{id_}</MessageId></PublishResult>")

    def rejected(self, why: str | None = None) -> Answer:
        reason = "Invalid parameter: PhoneNumber Reason: +1 is not valid to publish to"
        return self._error(400, "InvalidParameter", reason)

    def failed(self, id_: str) -> Answer:
        return self._error(200, "InternalError", "the message was not published")

    def error(self, status: int) -> Answer:
        known = {
            401: ("InvalidClientTokenId", "The security token is invalid."),
            403: ("AuthorizationError", "not authorized to perform: SNS:Publish"),
            429: ("Throttling", "Rate exceeded"),
        }
        return self._error(status, *known.get(status, ("InternalError", "Internal failure")))

    def odd(self, what: str) -> Answer:
        match what:
            case "no_id":
                return self._answer("<PublishResult></PublishResult>")
            case "wrong_type":
                return _json(200, {"MessageId": 12345})
        return super().odd(what)

    def _answer(self, inner: str) -> Answer:
        namespace = 'xmlns="http://sns.amazonaws.com/doc/2010-03-31/"'
        meta = "<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata>"
        body = f"<PublishResponse {namespace}>{inner}{meta}</PublishResponse>"
        return Answer(200, XML, body.encode())

    def _error(self, status: int, code: str, message: str) -> Answer:
        inner = f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>"
        body = f"<ErrorResponse><Error>{inner}</Error><RequestId>r-1</RequestId></ErrorResponse>"
        return Answer(status, XML, body.encode())


class SendGrid(Vendor):
    success = 202

    def parse(self, request: Request) -> Letter | None:
        if request.method != "POST" or request.path != "/v3/mail/send":
            return None
        mail = json.loads(request.body)
        texts = [part["value"] for part in mail["content"] if part["type"] == "text/plain"]
        return Letter(mail["personalizations"][0]["to"][0]["email"], texts[0])

    def new_id(self) -> str:
        return secrets.token_urlsafe(16)

    def accepted(self, id_: str) -> Answer:
        return Answer(202, {"X-Message-Id": id_})

    def rejected(self, why: str | None = None) -> Answer:
        field_ = "personalizations.0.to.0.email"
        return self._error(400, "Does not contain a valid address.", field_)

    def failed(self, id_: str) -> Answer:
        return self._error(202, "The message was not queued.", None)

    def error(self, status: int) -> Answer:
        known = {
            401: "The provided authorization grant is invalid, expired, or revoked",
            403: "access forbidden",
            429: "too many requests",
        }
        return self._error(status, known.get(status, "internal error"), None)

    def odd(self, what: str) -> Answer:
        match what:
            case "no_id":
                return Answer(202)
            case "wrong_type":
                return Answer(202, {"X-Message-Id": "not\xa0an id"})
        return super().odd(what)

    def _error(self, status: int, message: str, about: str | None) -> Answer:
        error = {"message": message, "field": about, "help": None}
        return _json(status, {"errors": [error]})


class Twilio(Vendor):
    success = 201

    def parse(self, request: Request) -> Letter | None:
        if request.method != "POST" or not re.search("/Messages.json$", request.path):
            return None
        form = _form(request)
        return Letter(form["To"], form["Body"])

    def new_id(self) -> str:
        return f"SM{secrets.token_hex(16)}"

    def accepted(self, id_: str) -> Answer:
        return _json(201, {"sid": id_, "status": "queued", "error_code": None})

    def rejected(self, why: str | None = None) -> Answer:
        if why == "opted_out":
            return self._error(400, 21610, "Attempt to send to unsubscribed recipient.")
        return self._error(400, 21211, "The 'To' number is not a valid phone number.")

    def failed(self, id_: str) -> Answer:
        return _json(201, {"sid": id_, "status": "failed", "error_code": 30008})

    def error(self, status: int) -> Answer:
        known = {
            401: (20003, "Authenticate"),
            403: (20403, "Forbidden"),
            429: (20429, "Too Many Requests"),
        }
        return self._error(status, *known.get(status, (20500, "Internal Server Error")))

    def odd(self, what: str) -> Answer:
        other = {"no_id": {"status": "queued"}, "wrong_type": {"sid": 12345, "status": "queued"}}
        return _json(201, other[what]) if what in other else super().odd(what)

    def _error(self, status: int, code: int, message: str) -> Answer:
        more = f"https://www.twilio.com/docs/errors/{code}"
        document = {"code": code, "message": message, "more_info": more, "status": status}
        return _json(status, document)


VENDORS = {"ses": Ses, "sns": Sns, "sendgrid": SendGrid, "twilio": Twilio}


def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
