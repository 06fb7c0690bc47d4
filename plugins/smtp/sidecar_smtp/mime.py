"""A message as the bytes that follow DATA, and the envelope around them.

Nothing from outside may become a header line of its own. Fields that stand in a header are one
line, without control characters and without an RFC 2047 encoded word: Python 3.10 to 3.12 decode
such a word when they fold a header, line ends included. Bodies go as quoted-printable, so that
neither a bare CR nor a line end that a server reads differently is ever on the wire.

The bytes are written here, because an `EmailMessage` costs more than all the rest of a send. What
it would have written is what the tests compare with.
"""

from __future__ import annotations

import re
import time
from binascii import b2a_base64, b2a_qp
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256

from sidecar import Message, Rejected

LOCAL_PART_LIMIT = 64
ADDRESS_LIMIT = 254
"""Octets of a local part and of an address (RFC 5321 section 4.5.3.1, with erratum 1690)."""
LINE = 68
"""Characters of a subject in one line, so that none is longer than 78 (RFC 5322 section 2.1.1)."""
WORD = 39
"""Octets in one encoded word, so that its line is not longer than 76 (RFC 2047 section 2)."""
_OVERLONG = re.compile(rb"^([^\n]{74,})(=(?:09|20))$", re.MULTILINE)
"""A quoted-printable line of more than 76 characters (RFC 2045 section 6.7, rule 5)."""
_ATOM = r'[^\s.@<>()\[\],;:\\"]+'
_ADDRESS = rf"(?!-)(?:{_ATOM}\.)*{_ATOM}@(?:{_ATOM}\.)*{_ATOM}"
_ONE_ADDRESS = re.compile(_ADDRESS)
_SENDER = re.compile(
    rf'(?:(?:"(?P<quoted>[^"\\<>]*)"|(?P<name>[^"\\<>]*?))\s*<(?P<inner>{_ADDRESS})>'
    rf"|(?P<bare>{_ADDRESS}))"
)
# Controls, lone surrogates, line and paragraph separators; and what begins an encoded word.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]|=\\?")
_PART = b'Content-Type: text/%s; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n'
# In quoted-printable `=` is followed by two hex digits or a line end, so no body holds this.
_BOUNDARY = b"=_alternative"
_ALTERNATIVE = (
    b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="%(b)b"\r\n\r\n'
    b"--%(b)b\r\n%(plain)b\r\n%%b\r\n--%(b)b\r\n%(html)b\r\n%%b\r\n--%(b)b--\r\n"
) % {b"b": _BOUNDARY, b"plain": _PART % b"plain", b"html": _PART % b"html"}
_PLAIN = _PART % b"plain" + b"MIME-Version: 1.0\r\n\r\n%b"


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, ready to send. `utf8` says that an address needs SMTPUTF8 (RFC 6531)."""

    sender: str
    recipient: str = field(repr=False)
    payload: bytes = field(repr=False)
    message_id: str
    utf8: bool


@dataclass(frozen=True, slots=True)
class Sender:
    """Who mails come from. `header` is the whole `From`, `header_utf8` that of a SMTPUTF8 mail."""

    display_name: str
    addr_spec: str
    domain: str
    header: bytes = field(repr=False)
    header_utf8: bytes = field(repr=False)


def compose(message: Message, sender: Sender) -> Mail:
    """The mail for `message` from `sender`. Raises `Rejected` for what no header may carry."""
    if not is_address(message.to):
        raise Rejected("the recipient is not a plain mail address")
    if message.reply_to and not is_address(message.reply_to):
        raise Rejected("the reply address is not a plain mail address")
    if not is_one_line(message.subject or ""):
        raise Rejected("the subject holds control characters or an encoded word")
    subject = " ".join((message.subject or "").split()) or "Your code"
    utf8 = not f"{sender.addr_spec}{message.to}{message.reply_to or ''}".isascii()
    # The same for every attempt at one message, so a mail box can drop a duplicate.
    message_id = f"<{sha256(message.id.encode()).hexdigest()[:32]}@{sender.domain}>"
    reply_to = f"Reply-To: {message.reply_to}\r\n" if message.reply_to else ""
    head = (
        f"To: {message.to}\r\nSubject: {_folded(subject)}\r\nDate: {_date(int(time.time()))}\r\n"
        f"Message-ID: {message_id}\r\n{reply_to}"
        "Auto-Submitted: auto-generated\r\n"  # RFC 3834: keeps vacation answers away
    )
    origin = sender.header_utf8 if utf8 else sender.header
    return Mail(
        sender=sender.addr_spec,
        recipient=message.to,
        payload=origin + head.encode() + _content(message),
        message_id=message_id,
        utf8=utf8,
    )


def parse_sender(text: str) -> Sender:
    """`otp@example.com` or `Example <otp@example.com>`; raises ValueError for anything else."""
    match = _SENDER.fullmatch(text)
    spec = (match["inner"] or match["bare"]) if match else ""
    if match is None or not is_one_line(text) or not is_address(spec):
        raise ValueError("must be one address: `otp@example.com` or `Example <otp@example.com>`")
    local, _, domain = spec.partition("@")
    address = Address(match["quoted"] or match["name"] or "", local, domain)
    return Sender(
        address.display_name,
        address.addr_spec,
        domain,
        header=_from_header(address, utf8=not spec.isascii()),
        header_utf8=_from_header(address, utf8=True),
    )


def is_address(text: str) -> bool:
    """Whether this is one bare address: no list, group, route, display name or quoted part."""
    return (
        _ONE_ADDRESS.fullmatch(text) is not None
        and is_one_line(text)
        and len(text.encode()) <= ADDRESS_LIMIT
        and len(text.partition("@")[0].encode()) <= LOCAL_PART_LIMIT
    )


def is_one_line(text: str) -> bool:
    """Whether a header may carry this without becoming two."""
    return _UNSAFE.search(text) is None


def _from_header(address: Address, *, utf8: bool) -> bytes:
    mail = EmailMessage(policy=policy.SMTPUTF8 if utf8 else policy.SMTP)
    mail["From"] = address
    return mail.as_bytes().removesuffix(b"\r\n")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


def _folded(subject: str) -> str:
    """The value of the header for a text with single spaces."""
    if not subject.isascii():
        return _encoded_words(subject)
    lines: list[str] = []
    while len(subject) > LINE:
        cut = subject.rfind(" ", 1, LINE + 1)
        if cut < 0:  # a word that no line holds
            return _encoded_words(" ".join([*lines, subject]))
        lines.append(subject[:cut])
        subject = subject[cut + 1 :]
    return "\r\n ".join([*lines, subject])


def _encoded_words(text: str) -> str:
    """RFC 2047 section 5: no character is split between two words."""
    data = text.encode()
    words, start = [], 0
    while start < len(data):
        end = start + WORD
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{b2a_base64(data[start:end], newline=False).decode()}?=")
        start = end
    return "\r\n ".join(words)


def _content(message: Message) -> bytes:
    """The headers of the content, an empty line, and the content."""
    try:
        if message.html:
            return _ALTERNATIVE % (_quoted(message.text), _quoted(message.html))
        return _PLAIN % _quoted(message.text)
    except UnicodeEncodeError:
        raise Rejected("the text holds characters that are no Unicode text") from None


def _quoted(text: str) -> bytes:
    """Quoted-printable (RFC 2045 section 6.7), every line end CRLF, the last one included."""
    data = text.encode().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data.endswith(b"\n"):
        data += b"\n"
    quoted = b2a_qp(data)
    if b"=09\n" in quoted or b"=20\n" in quoted:
        # CPython's own does not break a line before it writes a last blank as three characters.
        quoted = _OVERLONG.sub(rb"\1=\n\2", quoted)
    return quoted.replace(b"\n", b"\r\n")
