"""A message as the bytes that follow DATA, and the envelope around them.

Nothing from outside may become a header line of its own. Fields that stand in a header are one
line, without control characters and without an RFC 2047 encoded word: Python 3.10 to 3.12 decode
such a word when they fold a header, line ends included. Bodies go as quoted-printable, so that
neither a bare CR nor a line end that a server reads differently is ever on the wire.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from hashlib import sha256

from sidecar import Message, Rejected

LOCAL_PART_LIMIT = 64
ADDRESS_LIMIT = 254
"""Octets of a local part and of an address (RFC 5321 section 4.5.3.1, with erratum 1690)."""
SHORT = 60
"""Characters of an ASCII subject that fit in one line; longer ones go as encoded words."""
_ATOM = r'[^\s.@<>()\[\],;:\\"]+'
_ADDRESS = rf"(?!-)(?:{_ATOM}\.)*{_ATOM}@(?:{_ATOM}\.)*{_ATOM}"
_SENDER = re.compile(
    rf'(?:(?:"(?P<quoted>[^"\\<>]*)"|(?P<name>[^"\\<>]*?))\s*<(?P<inner>{_ADDRESS})>'
    rf"|(?P<bare>{_ADDRESS}))"
)
_UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, lone surrogates, line and paragraph separators."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, ready to send. `utf8` says that an address needs SMTPUTF8 (RFC 6531)."""

    sender: str
    recipient: str = field(repr=False)
    payload: bytes = field(repr=False)
    message_id: str
    utf8: bool


class _Subject(str):
    """A subject that folds itself (see `email.policy.EmailPolicy.fold`), exactly.

    The policy's own folding loses spaces between long words outside ASCII, as of Python 3.11.
    """

    __slots__ = ()
    name = "Subject"

    def fold(self, *, policy: policy.Policy) -> str:
        charset = "us-ascii" if self.isascii() and len(self) < SHORT else "utf-8"
        words = Header(self, charset, header_name=self.name).encode(linesep=policy.linesep)
        return f"{self.name}: {words}{policy.linesep}"


def compose(message: Message, sender: Address) -> Mail:
    """The mail for `message` from `sender`. Raises `Rejected` for what no header may carry."""
    if not is_address(message.to):
        raise Rejected("the recipient is not a plain mail address")
    if message.reply_to and not is_address(message.reply_to):
        raise Rejected("the reply address is not a plain mail address")
    if not is_one_line(message.subject or ""):
        raise Rejected("the subject holds control characters or an encoded word")
    subject = " ".join((message.subject or "").split()) or "Your code"
    utf8 = not f"{sender.addr_spec}{message.to}{message.reply_to or ''}".isascii()
    message_id = _message_id(message.id, sender.domain)
    return Mail(
        sender=sender.addr_spec,
        recipient=message.to,
        payload=_payload(message, sender, subject, message_id, utf8=utf8),
        message_id=message_id,
        utf8=utf8,
    )


def parse_sender(text: str) -> Address:
    """`otp@example.com` or `Example <otp@example.com>`; raises ValueError for anything else."""
    match = _SENDER.fullmatch(text)
    spec = (match["inner"] or match["bare"]) if match else ""
    if match is None or not is_one_line(text) or not is_address(spec):
        raise ValueError("must be one address: `otp@example.com` or `Example <otp@example.com>`")
    local, _, domain = spec.partition("@")
    return Address(match["quoted"] or match["name"] or "", local, domain)


def is_address(text: str) -> bool:
    """Whether this is one bare address: no list, group, route, display name or quoted part."""
    return (
        re.fullmatch(_ADDRESS, text) is not None
        and is_one_line(text)
        and len(text.encode()) <= ADDRESS_LIMIT
        and len(text.partition("@")[0].encode()) <= LOCAL_PART_LIMIT
    )


def is_one_line(text: str) -> bool:
    """Whether a header may carry this without becoming two."""
    return "=?" not in text and not any(unicodedata.category(c) in _UNSAFE for c in text)


def _message_id(id_: str, domain: str) -> str:
    # The same for every attempt at one message, so a mail box can drop a duplicate.
    return f"<{sha256(id_.encode()).hexdigest()[:32]}@{domain}>"


def _payload(
    message: Message, sender: Address, subject: str, message_id: str, *, utf8: bool
) -> bytes:
    mail = EmailMessage(policy=policy.SMTPUTF8 if utf8 else policy.SMTP)
    mail["From"] = sender
    mail["To"] = message.to
    mail["Subject"] = _Subject(subject)
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = message_id
    if message.reply_to:
        mail["Reply-To"] = message.reply_to
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: keeps vacation answers away
    try:
        mail.set_content(message.text, cte="quoted-printable")
        if message.html:
            mail.add_alternative(message.html, subtype="html", cte="quoted-printable")
    except UnicodeEncodeError:
        raise Rejected("the text holds characters that are no Unicode text") from None
    return mail.as_bytes()
