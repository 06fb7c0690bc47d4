"""Each fault does on the wire what its name says: SMTP, step by step."""

from __future__ import annotations

import smtplib
import socket
import ssl

import pytest

from faultd.mail import PASSWORD, USER
from harness.process import EMAIL
from harness.vendor_wire import exchange, listen_to

LETTER = (
    "From: codes@example.com\r\nTo: ada@example.com\r\nMessage-ID: <m-1@example.com>\r\n\r\n"
    "Your code is 482913\r\n"
)


@pytest.fixture
def send(faultd):
    """Send a mail; the replies, step by step, until one was bad."""

    def one(*, timeout=5.0, upto="quit"):
        said = {}
        try:
            client = smtplib.SMTP("localhost", faultd.port("smtp"), timeout=timeout)
        except smtplib.SMTPConnectError as refusal:
            return {"refused": (refusal.smtp_code, refusal.smtp_error)}
        try:
            said["ehlo"] = client.ehlo()
            if said["ehlo"][0] != 250:
                return said
            if client.has_extn("starttls"):
                context = ssl.create_default_context(cafile=faultd.ca_file)
                said["starttls"] = client.starttls(context=context)
                client.ehlo()
            said["auth"] = client.login(USER, PASSWORD)
            said["mail"] = client.mail("codes@example.com")
            said["rcpt"] = client.rcpt(EMAIL)
            said["dot"] = client.data(LETTER)
            if upto == "quit":
                said["quit"] = client.quit()
        except smtplib.SMTPResponseException as refusal:
            said["refused"] = refusal.smtp_code, refusal.smtp_error
        finally:
            client.close()
        return said

    return one


def test_a_healthy_session_sends_and_keeps_a_record(faultd, send):
    before = len(faultd.ledger())
    said = send()
    assert [code for code, _ in said.values()] == [250, 220, 235, 250, 250, 250, 221]
    (record,) = faultd.ledger(since=before)
    assert (record["id"], record["lost"]) == ("<m-1@example.com>", False)
    assert record["recipient"] == EMAIL


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("greeting", "421 4.3.2 later"),
        ("greeting", "554 5.3.2 no"),
        ("ehlo", "550 5.7.1 no"),
        ("starttls", "454 4.7.0 later"),
        ("auth", "454 4.7.0 later"),
        ("auth", "535 5.7.8 wrong"),
        ("mail", "451 4.3.0 later"),
        ("mail", "550 5.1.0 no"),
        ("rcpt", "450 4.2.0 later"),
        ("rcpt", "550 5.1.1 unknown"),
        ("dot", "451 4.3.0 later"),
        ("dot", "554 5.6.0 no"),
        ("dot", "421 4.3.0 closing"),
    ],
)
def test_a_reply_at_a_step(faultd, send, step, reply):
    before = len(faultd.ledger())
    faultd.set("smtp", "reply", at=step, text=reply)
    said = send(upto="dot")
    code, _, text = reply.partition(" ")
    assert (int(code), text.encode()) in (said.get(step), said.get("refused"))
    assert faultd.ledger() == faultd.ledger()[:before], "nothing was taken"


def test_a_reply_at_data(faultd, send):
    faultd.set("smtp", "reply", at="data", text="451 4.3.0 later")
    with pytest.raises(smtplib.SMTPDataError) as refused:
        smtp_data(faultd)
    assert refused.value.smtp_code == 451


def smtp_data(faultd):
    with smtplib.SMTP("localhost", faultd.port("smtp"), timeout=5.0) as client:
        client.ehlo()
        client.mail("codes@example.com")
        client.rcpt(EMAIL)
        return client.data(LETTER)


def test_421_closes(faultd):
    faultd.set("smtp", "reply", at="greeting", text="421 4.3.2 later")
    assert exchange(faultd.port("smtp"), b"") == (b"421 4.3.2 later\r\n", "eof")


@pytest.mark.parametrize("accept", [True, False])
@pytest.mark.parametrize("how", ["reset", "eof", "silence"])
def test_after_the_dot_the_answer_is_lost(faultd, how, accept):
    before = len(faultd.ledger())
    faultd.set("smtp", how, accept=accept)
    with socket.create_connection(("127.0.0.1", faultd.port("smtp"))) as sock:
        for command in ("EHLO x", "MAIL FROM:<a@example.com>", f"RCPT TO:<{EMAIL}>", "DATA"):
            sock.sendall(f"{command}\r\n".encode())
            assert sock.recv(65_536)
        listen_to(sock, 0.2)
        sock.sendall(f"{LETTER}.\r\n".encode())
        said, ending = listen_to(sock, 0.4 if how == "silence" else 5.0)
    assert (said, ending) == (b"", how)
    assert [record["lost"] for record in faultd.ledger(since=before)] == [True] * accept


@pytest.mark.parametrize("step", ["greeting", "ehlo", "mail", "rcpt", "data", "quit"])
def test_silence_at_a_step(faultd, step):
    faultd.set("smtp", "silence", at=step)
    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        silent(faultd)


def silent(faultd):
    client = smtplib.SMTP(timeout=0.3)
    try:
        client.connect("localhost", faultd.port("smtp"))
        client.ehlo()
        client.mail("codes@example.com")
        client.rcpt(EMAIL)
        client.data(LETTER)
        client.quit()
    finally:
        client.close()


def test_starttls_is_not_offered(faultd, send):
    faultd.set("smtp", "no_starttls")
    said = send()
    assert b"STARTTLS" not in said["ehlo"][1].upper()
    assert b"AUTH" in said["ehlo"][1]


def test_short_names_for_no(faultd, send):
    for fault, step, code in (("auth", "refused", 535), ("reject", "rcpt", 550)):
        faultd.set("smtp", fault)
        assert send(upto="dot")[step][0] == code
    faultd.set("smtp", "throttle")
    assert b"rate limit" in send(upto="dot")["rcpt"][1]


# OpenSSL's X509_V_ERR_ numbers
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("how", "code"), [("expired", 10), ("self_signed", 18), ("wrong_host", 62)]
)
def test_a_certificate_is_wrong(faultd, send, how, code, tls):
    faultd.set("smtp", "tls", how=how)
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        _implicit(faultd) if tls else send()
    assert refused.value.verify_code == code


def _implicit(faultd):
    context = ssl.create_default_context(cafile=faultd.ca_file)
    with smtplib.SMTP_SSL("localhost", faultd.port("smtp", tls=True), context=context) as client:
        return client.ehlo()


def test_tls_from_the_first_byte_offers_no_starttls(faultd):
    code, text = _implicit(faultd)
    assert code == 250
    assert b"STARTTLS" not in text


@pytest.mark.parametrize("tls", [False, True])
def test_the_handshake_gets_garbage(faultd, send, tls):
    faultd.set("smtp", "tls", how="garbage")
    with pytest.raises(ssl.SSLError):
        _implicit(faultd) if tls else send()


def test_the_handshake_hangs_after_starttls(faultd, send):
    faultd.set("smtp", "tls", how="hang")
    with pytest.raises(TimeoutError):
        send(timeout=0.3)


def test_a_reply_drips_and_another_has_no_end(faultd):
    faultd.set("smtp", "drip", at="greeting", interval=0.1)
    with socket.create_connection(("127.0.0.1", faultd.port("smtp"))) as sock:
        assert [sock.recv(100) for _ in range(4)] == [b"2", b"2", b"0", b" "]
    faultd.set("smtp", "endless", at="greeting", limit=100_000)
    said, ending = exchange(faultd.port("smtp"), b"")
    assert ending == "eof"
    assert 100_000 <= len(said) < 200_000
    assert {line[:4] for line in said.splitlines()} == {b"220-"}
