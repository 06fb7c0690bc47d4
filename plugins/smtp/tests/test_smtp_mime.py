"""Whatever a message holds, its mail has the header lines it should have and no other."""

import email
import email.policy
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar import Message, Rejected
from sidecar_smtp.mime import Mail, compose, is_address, is_one_line, parse_sender

SENDER = parse_sender("Example <otp@example.com>")
NAMES = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"]
PLAIN = ["Content-Type", "Content-Transfer-Encoding", "MIME-Version"]
WORD = "=?utf-8?q?a=0D=0ABcc=3A_eve=40x.example?="
PIECES = [
    *("\r", "\n", "\r\n", "\r\n.\r\n", "\n.\n", "\r.\r", ".", "..", "From ", "Bcc: eve@x.example"),
    *("\x00", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\ud800", "\x1b", "\u202e"),
    *(" ", "  ", "\t", "\xa0", "\u3000", "=", "=?", "?=", "=0D=0A", WORD, '"', "\\", "(", "<a@b>"),
    *("é" * 50, "a" * 90, "東" * 40, "😀" * 20, "ü", "x", ",", ";", ":", "_"),
]
strange = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PIECES)).map("".join))
longest = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 53}.example"
addresses = st.sampled_from(["ada@example.org", "jürgen@example.org", longest])


def mail_of(**changes: Any) -> Mail:
    chosen = {"id": "m-1", "channel": "email", "to": "ada@example.org", "text": "739184620517"}
    return compose(Message(**{**chosen, **changes}), SENDER)


def parsed(payload: bytes) -> EmailMessage:
    return email.message_from_bytes(payload, policy=email.policy.default)


def lines(text: str) -> str:
    """The text with every line end as `\\n`, the last one included."""
    unix = text.replace("\r\n", "\n").replace("\r", "\n")
    return unix if unix.endswith("\n") else unix + "\n"


def raw_names(payload: bytes) -> list[str]:
    """The header names as the crudest parser sees them: any line end, no folding but by space."""
    head = payload.partition(b"\r\n\r\n")[0]
    crude = re.split(rb"\r\n|[\r\n\x0b\x0c\x1c-\x1e\x00]", head)
    return [line.partition(b":")[0].decode() for line in crude if line[:1] not in b" \t"]


@settings(max_examples=400, deadline=None)
@given(subject=strange, text=strange, to=addresses)
@example(subject=f"Hi {WORD}", text="x", to="ada@example.org")
@example(subject="Hi\r\nBcc: eve@x.example", text="x", to="ada@example.org")
@example(subject="Hi\n", text="x", to="ada@example.org")
@example(subject=f"{'a' * 40}{'é' * 50} ü {'é' * 25}", text="x" * 2000, to="ada@example.org")
def test_every_mail_has_exactly_its_headers_and_its_text(subject: str, text: str, to: str) -> None:
    try:
        mail = mail_of(subject=subject, text=text, to=to)
    except Rejected:
        assert re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|=\?", subject + text)
        return
    assert raw_names(mail.payload) == NAMES + PLAIN
    read = parsed(mail.payload)
    assert str(read["To"]) == to
    assert read["Subject"] == (" ".join(subject.split()) or "Your code")
    assert lines(read.get_content()) == lines(text)
    assert len(max(mail.payload.split(b"\r\n"), key=len)) <= 998
    assert mail.payload.isascii() or mail.utf8


def by_the_standard_library(mail: Mail, message: Message) -> EmailMessage:
    """The same mail but for its subject, built and flattened by `email`."""
    policy = email.policy.SMTPUTF8 if mail.utf8 else email.policy.SMTP
    built = EmailMessage(policy=policy)
    built["From"] = Address(SENDER.display_name, *SENDER.addr_spec.split("@"))
    built["To"] = message.to
    built["Date"] = datetime.now(UTC)
    built["Message-ID"] = mail.message_id
    if message.reply_to:
        built["Reply-To"] = message.reply_to
    built["Auto-Submitted"] = "auto-generated"
    built.set_content(message.text, cte="quoted-printable")
    if message.html:
        built.add_alternative(message.html, subtype="html", cte="quoted-printable")
    return parsed(built.as_bytes())


@settings(max_examples=400, deadline=None)
@given(
    text=strange,
    html=st.none() | strange.filter(bool),
    subject=strange,
    to=addresses,
    reply_to=st.none() | addresses,
)
@example(
    text="." + "x" * 75 + ".\n.\n" + "y" * 75 + ".\n",
    html=None,
    subject="a",
    to="a@b",
    reply_to=None,
)
@example(text="a" * 71 + "= ", html="a" * 71 + "=\t\n", subject="a", to="a@b", reply_to=None)
@example(text="a \n\t\n \n=", html="--=_alternative\r\n", subject="a", to="a@b", reply_to=None)
def test_it_reads_as_what_the_standard_library_builds(
    text: str, html: str | None, subject: str, to: str, reply_to: str | None
) -> None:
    message = Message("m-1", "email", to, text, subject=subject, html=html, reply_to=reply_to)
    try:
        mail = compose(message, SENDER)
    except Rejected:
        return
    ours, theirs = parsed(mail.payload), by_the_standard_library(mail, message)
    assert not ours.defects
    for name in {*theirs.keys()} - {"Date", "Content-Type"}:
        assert str(ours[name]) == str(theirs[name]), name
    assert abs((ours["Date"].datetime - theirs["Date"].datetime).total_seconds()) < 60
    assert ours["Date"].datetime.utcoffset() == theirs["Date"].datetime.utcoffset()
    for one, other in zip(ours.walk(), theirs.walk(), strict=True):
        assert one.get_content_type() == other.get_content_type()
        assert one.get_content_charset() == other.get_content_charset()
        assert not one.defects
        if not one.is_multipart():
            assert one.get_payload(decode=True) == other.get_payload(decode=True)
    wire = mail.payload.replace(b"\r\n", b"")
    assert b"\r" not in wire
    assert b"\n" not in wire
    head = mail.payload.partition(b"\r\n\r\n")[0]
    assert all(len(line) <= 78 for line in head.split(b"\r\n") if b"@" not in line)
    assert all(len(line) <= 76 for line in mail.payload[len(head) :].split(b"\r\n"))


@pytest.mark.parametrize(
    ("subject", "lines"),
    [
        ("x" * 68, 1),
        ("x" * 67 + " y", 2),
        (" ".join(["word"] * 40), 4),
        ("x" * 69, 2),
        ("é" * 19 + "x", 1),
        ("é" * 20, 2),
        ("😀" * 50, 6),
    ],
)
def test_a_subject_is_folded_where_it_must_be(subject: str, lines: int) -> None:
    head = mail_of(subject=subject).payload.partition(b"\r\nDate:")[0].partition(b"Subject: ")[2]
    assert len(head.split(b"\r\n ")) == lines
    assert head.isascii()
    assert parsed(mail_of(subject=subject).payload)["Subject"] == subject


def test_the_unsafe_characters_are_those_of_unicode() -> None:
    unsafe = {"Cc", "Cs", "Zl", "Zp"}
    for code in range(0x110000):
        assert is_one_line(chr(code)) is (unicodedata.category(chr(code)) not in unsafe), hex(code)


@settings(max_examples=200, deadline=None)
@given(reply_to=strange)
@example(reply_to="eve@x.example\r\nBcc: eve@x.example")
@example(reply_to="help@example.com")
@example(reply_to=f"{WORD}@x.example")
def test_a_reply_address_is_one_address_or_rejected(reply_to: str) -> None:
    try:
        mail = mail_of(reply_to=reply_to)
    except Rejected:
        assert not is_address(reply_to)
        return
    expected = [*NAMES[:5], "Reply-To", NAMES[5], *PLAIN] if reply_to else NAMES + PLAIN
    assert raw_names(mail.payload) == expected
    assert str(parsed(mail.payload)["Reply-To"] or "") == reply_to


@settings(max_examples=200, deadline=None)
@given(text=strange, html=strange.filter(bool))
def test_html_and_text_both_read_back(text: str, html: str) -> None:
    try:
        mail = mail_of(text=text, html=html)
    except Rejected:
        assert re.search(r"[\ud800-\udfff]", text + html)
        return
    assert raw_names(mail.payload) == [*NAMES, "MIME-Version", "Content-Type"]
    parts: Iterator[Any] = parsed(mail.payload).iter_parts()
    assert [lines(part.get_content()) for part in parts] == [lines(text), lines(html)]


@pytest.mark.parametrize(
    "address",
    [
        *("a@b, c@d", "Ada <a@b>", "<a@b>", "group: a@b;", "@route:a@b", '"quoted"@b', "a b@c"),
        *("a@b@c", "a@", "@b", "", "-oX@b", ".a@b", "a.@b", "a..b@c", "a@b..c", "a@[127.0.0.1]"),
        *("a@b\n", "a@b\r\nBcc: c@d", "a\u2028@b", "a\xa0b@c", "a\x00@b", "a" * 65 + "@b"),
        *("a@" + "b." * 127 + "c", "é" * 33 + "@b", "a(comment)@b", "c@d>\r\nRCPT TO:<e@f", WORD),
    ],
)
def test_nothing_but_one_plain_address_is_an_address(address: str) -> None:
    assert not is_address(address)
    for field in {"to": address}, {"reply_to": address or "a b"}:
        with pytest.raises(Rejected):
            mail_of(**field)


@pytest.mark.parametrize(
    "address", ["a@b", "ada+otp@mail.example.org", "a'b@c", "用户@例子.example", longest]
)
def test_plain_addresses_are_addresses(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("otp@example.com", "", "otp@example.com"),
        ("Example <otp@example.com>", "Example", "otp@example.com"),
        ('"Doe, Jane" <otp@example.com>', "Doe, Jane", "otp@example.com"),
        ("Beispiel Öl GmbH <otp@example.com>", "Beispiel Öl GmbH", "otp@example.com"),
        ("<otp@example.com>", "", "otp@example.com"),
    ],
)
def test_a_sender_may_have_a_name(text: str, name: str, address: str) -> None:
    sender = parse_sender(text)
    assert (sender.display_name, sender.addr_spec) == (name, address)
    message = Message(id="m", channel="email", to="ada@example.org", text="x")
    read = parsed(compose(message, sender).payload)["From"].addresses[0]
    assert (read.display_name, read.addr_spec) == (name, address)


def test_the_message_id_is_the_same_for_every_attempt() -> None:
    first, second = mail_of(id="order-7"), mail_of(id="order-7", text="other")
    digest = sha256(b"order-7").hexdigest()[:32]
    assert first.message_id == second.message_id == f"<{digest}@example.com>"
    assert parsed(first.payload)["Message-ID"] == first.message_id
    assert mail_of(id="order-8").message_id != first.message_id


def test_neither_recipient_nor_text_print() -> None:
    mail = mail_of(to="ada@example.org", text="739184620517")
    assert "ada" not in repr(mail)
    assert "739184620517" not in repr(mail)


@settings(max_examples=60, deadline=None)
@given(text=strange)
@example(text="a\r\n.\r\nMAIL FROM:<eve@x.example>\r\n")
@example(text="a\n.\nMAIL FROM:<eve@x.example>\n")
@example(text="a\r.\rMAIL FROM:<eve@x.example>\r")
@example(text=".\n..\n.")
def test_no_text_ends_the_data_early(text: str, over_the_wire: Any) -> None:
    try:
        mail_of(text=text)
    except Rejected:
        return
    commands, received = over_the_wire(text)
    assert commands == ["MAIL", "RCPT", "DATA"]
    bare = received.replace(b"\r\n", b"")
    assert b"\r" not in bare
    assert b"\n" not in bare
    assert received.split(b"\r\n")[:-2].count(b".") == 0
    unstuffed = re.sub(rb"(?m)^\.(?=.)", b"", received.removesuffix(b".\r\n"))
    assert lines(parsed(unstuffed).get_content()) == lines(text)
