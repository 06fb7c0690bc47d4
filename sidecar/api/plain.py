"""The short way of a usual body: a few comparisons, at a tenth of what the model costs.

What is not plainly good is left to the model, which says what is wrong with it. Whatever is taken
here the model takes too, and makes the same of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from sidecar.api.recipients import UNPRINTABLE, is_phone_number, is_plain_address
from sidecar.delivery.model import Message
from sidecar.delivery.recipient import holds_recipient

TEXT_LIMIT = 8_192
SMS_LIMIT = 1_600
"""Characters of an SMS: the most that Twilio and SNS take, ten joined parts."""
SUBJECT_LIMIT = 255
SUBJECT = "Your code"
LONGEST_LIFE = 86_400
"""Seconds that a code may be good for."""
LONGEST_WAIT = 30
"""Seconds that a caller may wait."""
PURPOSE_DEFAULT = "otp"
"""It names nobody: it has no `@`, and is too short for a number."""
PURPOSE = r"[a-z0-9][a-z0-9_.-]{0,63}"
ID = r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}"
_PURPOSE, _ID = re.compile(PURPOSE), re.compile(ID)
_USUAL = frozenset({"channel", "to", "text", "subject", "purpose", "expires_in", "deadline", "id"})


class Send(NamedTuple):
    """A send that was asked for; the message's id is empty where the caller gave none.

    `form` tells this message from another: it holds everything but how long the caller waits,
    which is `deadline`, in seconds.
    """

    message: Message
    form: bytes
    deadline: float | None


def read_plainly(document: dict[str, Any]) -> Send | None:
    """The send of a usual document; None where it takes a closer look."""
    if not _USUAL.issuperset(document):
        return None
    get: Callable[..., Any] = document.get
    channel, to, text, subject = get("channel"), get("to"), get("text"), get("subject")
    purpose, name = get("purpose", PURPOSE_DEFAULT), get("id")
    expires_in, deadline = get("expires_in"), get("deadline")
    if not (
        _fits(channel, to, text, subject)
        and (purpose == PURPOSE_DEFAULT or _is_name(_PURPOSE, purpose, to))
        and (name is None or _is_name(_ID, name, to))
        and (expires_in is None or (_is_number(expires_in) and 1 <= expires_in <= LONGEST_LIFE))
        and (deadline is None or (_is_number(deadline) and 0 < deadline <= LONGEST_WAIT))
    ):
        return None
    if expires_in is not None:
        expires_in = float(expires_in)
    form = {  # in the order of its keys
        "channel": channel,
        "deadline": None,
        "expires_in": expires_in,
        "extra": {},
        "html": None,
        "id": name,
        "purpose": purpose,
        "reply_to": None,
        "subject": subject,
        "text": text,
        "to": to,
    }
    if channel == "email":
        subject = subject or SUBJECT
    message = Message(
        name or "", channel, to, text, subject, purpose=purpose, expires_in=expires_in
    )
    return Send(message, orjson.dumps(form), None if deadline is None else float(deadline))


def _fits(channel: object, to: object, text: object, subject: object) -> bool:
    if type(to) is not str or type(text) is not str:
        return False
    if not text or (not text.isprintable() and UNPRINTABLE.search(text)):
        return False
    if channel == "email":
        return len(text) <= TEXT_LIMIT and _is_subject(subject) and is_plain_address(to)
    return channel == "sms" and subject is None and len(text) <= SMS_LIMIT and is_phone_number(to)


def _is_subject(subject: object) -> bool:
    return subject is None or (
        type(subject) is str
        and 0 < len(subject) <= SUBJECT_LIMIT
        and subject.isprintable()
        and "=?" not in subject
    )


def _is_name(pattern: re.Pattern[str], name: object, to: str) -> bool:
    return (
        type(name) is str and pattern.fullmatch(name) is not None and not holds_recipient(name, to)
    )


def _is_number(value: object) -> bool:
    return type(value) is int or type(value) is float
