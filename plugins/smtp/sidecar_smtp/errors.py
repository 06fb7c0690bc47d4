"""What an SMTP server's refusal, or its silence, means: the one place where it becomes an outcome.

A reply is written `550 5.1.1`: the code of RFC 5321 and, where the server sent one, the enhanced
code of RFC 3463, which is the more exact. The server's text decides last, and only to tell apart
what shares a code; it is never passed on, because it may carry the recipient.
"""

from __future__ import annotations

import re
import ssl
from enum import Flag, auto
from functools import reduce
from operator import or_
from typing import NamedTuple

from sidecar import (
    DeliveryError,
    Misconfigured,
    Refused,
    Rejected,
    Throttled,
    Unavailable,
    Unknown,
)


class Step(Flag):
    """Where a session stands. The mail is the server's only once `DATA` has begun."""

    GREETING = auto()
    EHLO = auto()
    STARTTLS = auto()
    AUTH = auto()
    PROBE = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()


ANY = reduce(or_, Step)
HELLO = Step.GREETING | Step.EHLO | Step.PROBE
SECURE = Step.STARTTLS | Step.AUTH
MAIL = Step.MAIL
RCPT = Step.RCPT
DATA = Step.DATA
SEND = MAIL | RCPT | DATA


class Row(NamedTuple):
    """One line of the table; `reply` must match all of `550 5.1.1`, `text` some of the text."""

    steps: Step
    reply: str
    text: str
    outcome: type[DeliveryError]
    reason: str

    def fits(self, step: Step, reply: str, text: str) -> bool:
        return bool(
            step & self.steps
            and re.fullmatch(self.reply, reply)
            and re.search(self.text, text, re.IGNORECASE)
        )


TEXT_LIMIT = 1_000
"""Characters of a server's text that are looked at."""
# At its beginning, or as qmail has it: `550 sorry, no mailbox here by that name (#5.1.1)`.
_ENHANCED = re.compile(r"(?:^\s*|\(#)([45]\.\d{1,3}\.\d{1,3})\b")
_RATE = r"\brates?\b|\brate-?limit|throttl|\btoo (many|much|fast)\b|\b(message|sending) quota\b"
_SENDER_UNKNOWN = r"\bnot verified\b|\bsend as\b|\bsender address rejected\b"
_NO_RELAY = r"\brelay(ing)?\b.{0,20}\b(denied|permitted|allowed)|\b(not|cannot|unable to) relay\b"
_NOW, _FOR_GOOD, _PLAIN = r"4\d\d( .*)?", r"5\d\d( .*)?", r"5\d\d"

# The first line that fits decides.
TABLE = (
    Row(ANY, _NOW, r"gr[ae]y-?list", Unavailable, "greylisted: it takes the mail on a later try"),
    # x.1 and x.2 speak of the recipient's mailbox, whatever rate their text may name.
    Row(ANY, r"4\d\d( .\.[^12]\..*)?", _RATE, Throttled, "our rate or quota is used up"),
    Row(SEND, r"5\d\d( .\.[^12]\..*)?", _RATE, Throttled, "our rate or quota is used up"),
    # 4.7.1 is also what a filter that is down says (Postfix: "Service unavailable").
    Row(HELLO | SEND, r"4\d\d .\.7\.(?!1$)\d+", "", Throttled, "held back by policy for now"),
    Row(HELLO, _NOW, "", Unavailable, "the server takes no mail now"),
    Row(HELLO, _FOR_GOOD, "", Unavailable, "the server does not serve us"),
    Row(SECURE, _NOW, "", Unavailable, "the server cannot log in or encrypt now"),
    Row(Step.STARTTLS, _FOR_GOOD, "", Misconfigured, "the server refused STARTTLS"),
    Row(Step.AUTH, _FOR_GOOD, "", Misconfigured, "user name or password were not accepted"),
    Row(SEND, _NOW, "", Unavailable, "the server does not take this mail now"),
    Row(SEND, r"530( .*)?", "", Misconfigured, "the server wants a login or TLS first"),
    Row(SEND, r"5\d\d .\.(3\.4|2\.3)", "", Rejected, "the mail is larger than the server takes"),
    Row(MAIL | DATA, r"552", "", Rejected, "the mail is larger than the server takes"),
    Row(SEND, r"5\d\d .\.6\.(7|8|9|10)", "", Refused, "no address outside ASCII here (RFC 6531)"),
    Row(MAIL, _FOR_GOOD, "", Misconfigured, "the sender was not accepted"),
    Row(SEND, r"5\d\d .\.1\.[78]", "", Misconfigured, "the sender was not accepted"),
    Row(SEND, r"5\d\d( .\.7\..*)?", _SENDER_UNKNOWN, Misconfigured, "the sender was not accepted"),
    # Postfix names its reason only in the text; one recipient's ban is no fault of the account.
    Row(RCPT, r"5\d\d .\.7\..*", r"recipient address rejected", Refused, "recipient barred here"),
    Row(RCPT, r"5\d\d .\.7\..*", "", Misconfigured, "its policy does not let us send"),
    Row(RCPT, _PLAIN, _NO_RELAY, Misconfigured, "the server does not relay for us"),
    Row(SEND, r"5\d\d .\.[12]\..*", "", Rejected, "the recipient was not accepted"),
    Row(RCPT, r"501|55[0-3]", "", Rejected, "the recipient was not accepted"),
    # RFC 7372 and Exchange: the sender's SPF, DKIM, reverse DNS, or right to send as this address.
    Row(DATA, r"5\d\d .\.7\.(2\d|60)", "", Misconfigured, "the sender was not accepted"),
    Row(DATA, r"5\d\d .\.7\..*", "", Refused, "filtered by this server's policy"),
    Row(DATA, r"55[24]( .*)?", "", Rejected, "the content was not accepted"),
    Row(DATA, r"5\d\d .\.6\..*", "", Rejected, "the content was not accepted"),
    Row(ANY, _FOR_GOOD, "", Refused, "the server refused the mail"),
)


def error_for_reply(step: Step, code: int, text: str) -> DeliveryError:
    """What the reply `code` with `text` means at `step`, where it was not the one hoped for."""
    enhanced = _ENHANCED.search(text[:TEXT_LIMIT])
    reply = f"{code} {enhanced[1]}" if enhanced else str(code)
    # A recipient chooses his address: `relay@...` must not make the account look broken.
    words = " ".join(word for word in text[:TEXT_LIMIT].split() if "@" not in word)
    for row in TABLE:
        if row.fits(step, reply, words):
            return row.outcome(row.reason, code=reply)
    return _lost(step)("the server's answer could not be understood", code=max(code, 0) or None)


def error_for_loss(step: Step, error: Exception) -> DeliveryError:
    """What it means that `step` ended without a reply: silence, a lost connection, failed TLS."""
    match error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error:
        case ssl.SSLCertVerificationError(verify_message=cause):
            return Unavailable(f"the server's certificate was not accepted: {cause}")
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER") if step is Step.GREETING:
            return Misconfigured("the port does not begin with TLS; `tls: starttls` may be right")
        case ssl.SSLError() if step is not DATA:
            return Unavailable("the TLS handshake failed")
        case TimeoutError() if step is Step.GREETING:
            return Unavailable("no greeting in time; does the port want another `tls`?")
        case TimeoutError():
            return _lost(step)(f"no answer in time at {step.name}")
        case _:
            return _lost(step)(f"the connection was lost at {step.name}")


def _lost(step: Step) -> type[DeliveryError]:
    return Unknown if step is DATA else Unavailable
