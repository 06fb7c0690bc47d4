"""What the HTTP vendors say of an account that is looked at: well, or with one thing amiss."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from faultd.vendors import JSON, XML, Answer, Request

STATES = {
    "ses": ("well", "sandbox", "paused", "quota", "unverified"),
    "sns": ("well", "sandbox", "limit"),
    "sendgrid": ("well", "no_scope", "no_credits"),
    "twilio": ("well", "trial", "suspended", "empty"),
}


@dataclass(frozen=True)
class Account:
    """An account of `kind` in one of its `STATES`; `verified` are whom a sandbox reaches.

    Raises ValueError for a state that the kind does not have.
    """

    kind: str
    state: str = "well"
    verified: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.state not in STATES.get(self.kind, ("well",)):
            raise ValueError(f"{self.kind} has no account that is {self.state}")

    def answer(self, request: Request) -> Answer | None:
        """The answer to a look; None for everything else."""
        speaks = {"ses": self._ses, "sns": self._sns}
        speaks |= {"sendgrid": self._sendgrid, "twilio": self._twilio}
        return speaks[self.kind](request) if self.kind in speaks else None

    def _ses(self, request: Request) -> Answer | None:
        if request.path == "/v2/email/account":
            sent = 50_000.0 if self.state == "quota" else 10.0
            quota = {"Max24HourSend": 50_000.0, "MaxSendRate": 14.0, "SentLast24Hours": sent}
            return _json(
                {
                    "EnforcementStatus": "HEALTHY",
                    "ProductionAccessEnabled": self.state != "sandbox",
                    "SendingEnabled": self.state != "paused",
                    "SendQuota": quota,
                }
            )
        if request.path == "/v2/email/list-identities":
            named = [{"IdentityName": n, "VerificationStatus": "SUCCESS"} for n in self.verified]
            return _json({"EmailIdentities": named})
        if request.path.startswith("/v2/email/identities/"):
            name = unquote(request.path.rpartition("/")[2])
            return _json({"VerifiedForSendingStatus": "@" in name and self.state != "unverified"})
        return None

    def _sns(self, request: Request) -> Answer | None:
        action = parse_qs(request.body.decode("latin-1")).get("Action", [""])[0]
        members = "".join(
            f"<member><PhoneNumber>{n}</PhoneNumber><Status>Verified</Status></member>"
            for n in self.verified
        )
        limit = 1 if self.state == "limit" else 500
        told = {
            "GetSMSAttributes": "<attributes><entry><key>MonthlySpendLimit</key>"
            f"<value>{limit}</value></entry></attributes>",
            "GetSMSSandboxAccountStatus": "<IsInSandbox>"
            f"{'true' if self.state == 'sandbox' else 'false'}</IsInSandbox>",
            "ListSMSSandboxPhoneNumbers": f"<PhoneNumbers>{members}</PhoneNumbers>",
        }
        if action not in told:
            return None
        body = (
            f"<{action}Response><{action}Result>{told[action]}</{action}Result></{action}Response>"
        )
        return Answer(200, XML, body.encode())

    def _sendgrid(self, request: Request) -> Answer | None:
        if request.path == "/v3/scopes":
            return _json(
                {"scopes": ["mail.batch.read" if self.state == "no_scope" else "mail.send"]}
            )
        if request.path == "/v3/user/credits":
            left = 0 if self.state == "no_credits" else 90
            told = {"remain": left, "total": 100, "next_reset": "2026-12-01"}
            return _json(told | {"reset_frequency": "daily"})
        return None

    def _twilio(self, request: Request) -> Answer | None:
        if request.method != "GET":
            return None
        if request.path.endswith("/Balance.json"):
            left = "0.00" if self.state == "empty" else "12.50"
            return _json({"balance": left, "currency": "USD"})
        if request.path.endswith("/OutgoingCallerIds.json"):
            return _json({"outgoing_caller_ids": [{"phone_number": n} for n in self.verified]})
        status = "suspended" if self.state == "suspended" else "active"
        return _json({"status": status, "type": "Trial" if self.state == "trial" else "Full"})


def _json(document: object) -> Answer:
    return Answer(200, JSON, json.dumps(document).encode())
