"""Against aiosmtpd with TLS: what it took, and how often it was asked."""

import asyncio
import email
import email.policy
from typing import Any

import pytest

from sidecar import AccountState, Misconfigured, Refused, Unavailable

LOGIN = {"username": "user", "password": "canary-password"}


@pytest.mark.parametrize(("tls", "implicit"), [("starttls", False), ("implicit", True)])
async def test_a_mail_arrives_as_it_was_written(
    tls: str, implicit: bool, real_server: Any, connect: Any, message: Any, ca_file: Any
) -> None:
    server = await real_server(implicit=implicit)
    smtp = await connect(server, tls=tls, ca_file=ca_file, **LOGIN)
    sent = message(
        text="Twój kod: 739184620517\r\n.\nbye",
        html="<p>739184620517 ✓</p>",
        reply_to="help@example.com",
    )
    receipt = await smtp.send(sent, timeout=5.0)

    (envelope,) = server.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("otp@example.com", ["ada@example.org"])
    assert server.encrypted == [True]
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert mail["Message-ID"] == receipt.message_id
    assert mail["From"] == "Example <otp@example.com>"
    assert mail["To"] == "ada@example.org"
    assert mail["Reply-To"] == "help@example.com"
    assert mail["Subject"] == "Your code"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime.tzinfo is not None
    text, html = mail.iter_parts()
    assert text.get_content().replace("\r\n", "\n") == "Twój kod: 739184620517\n.\nbye\n"
    assert html.get_content().strip() == "<p>739184620517 ✓</p>"


async def test_a_wrong_password_is_tried_once(
    real_server: Any, connect: Any, message: Any, ca_file: Any
) -> None:
    server = await real_server()
    smtp = await connect(server, tls="starttls", ca_file=ca_file, username="user", password="no")
    with pytest.raises(Misconfigured) as caught:
        await smtp.send(message(), timeout=5.0)
    assert caught.value.code == "535 5.7.8"
    assert server.mechanisms == ["PLAIN"]
    assert server.mails == []


@pytest.mark.parametrize(
    ("excluded", "used"), [([], "PLAIN"), (["PLAIN"], "LOGIN"), (["LOGIN"], "PLAIN")]
)
async def test_plain_is_preferred_and_login_will_do(
    excluded: list[str], used: str, real_server: Any, connect: Any, message: Any, ca_file: Any
) -> None:
    server = await real_server(auth_exclude_mechanism=excluded)
    smtp = await connect(server, tls="starttls", ca_file=ca_file, **LOGIN)
    await smtp.send(message(), timeout=5.0)
    assert server.mechanisms == [used]


async def test_one_connection_and_one_login_carry_many_mails(
    real_server: Any, connect: Any, message: Any, ca_file: Any
) -> None:
    server = await real_server()
    smtp = await connect(server, tls="starttls", ca_file=ca_file, **LOGIN)
    for number in range(5):
        await smtp.send(message(id=f"m-{number}"), timeout=5.0)
    assert (len(server.mails), server.connections, server.mechanisms) == (5, 1, ["PLAIN"])


async def test_the_pool_bounds_the_connections(
    real_server: Any, connect: Any, message: Any, ca_file: Any
) -> None:
    server = await real_server()
    smtp = await connect(server, tls="starttls", ca_file=ca_file, pool=2, **LOGIN)
    sends = (smtp.send(message(id=f"m-{n}"), timeout=20.0) for n in range(12))
    receipts = await asyncio.gather(*sends)
    assert len({receipt.message_id for receipt in receipts}) == len(server.mails) == 12
    assert server.connections == 2


async def test_an_address_outside_ascii_travels_by_smtputf8(
    real_server: Any, connect: Any, message: Any, ca_file: Any
) -> None:
    server = await real_server(enable_SMTPUTF8=True)
    smtp = await connect(server, tls="starttls", ca_file=ca_file, **LOGIN)
    await smtp.send(message(to="用户@例子.example", subject="Ihr Schlüssel"), timeout=5.0)
    (envelope,) = server.mails
    assert envelope.rcpt_tos == ["用户@例子.example"]
    assert envelope.smtp_utf8
    policy = email.policy.default.clone(utf8=True)
    mail = email.message_from_string(envelope.content.decode(), policy=policy)
    assert (mail["To"], mail["Subject"]) == ("用户@例子.example", "Ihr Schlüssel")


async def test_without_smtputf8_another_provider_may_do_better(
    real_server: Any, connect: Any, message: Any, ca_file: Any
) -> None:
    server = await real_server()
    smtp = await connect(server, tls="starttls", ca_file=ca_file, **LOGIN)
    with pytest.raises(Refused):
        await smtp.send(message(to="用户@example.org"), timeout=5.0)
    await smtp.send(message(), timeout=5.0)
    assert (len(server.mails), server.connections) == (1, 1)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    ("name", "trusted", "cause"),
    [("localhost", False, "unable to get local issuer"), ("elsewhere.example", True, "mismatch")],
)
async def test_a_certificate_that_does_not_prove_the_host_stops_everything(
    implicit: bool,
    name: str,
    trusted: bool,
    cause: str,
    real_server: Any,
    connect: Any,
    message: Any,
    ca_file: Any,
) -> None:
    server = await real_server(implicit=implicit, name=name)
    tls = {"tls": "implicit" if implicit else "starttls", "host": "localhost"}
    smtp = await connect(server, **tls, **({"ca_file": ca_file} if trusted else {}), **LOGIN)
    with pytest.raises(Unavailable, match=cause):
        await smtp.send(message(), timeout=5.0)
    assert (server.mechanisms, server.mails) == ([], [])


async def test_the_check_logs_in_and_sends_nothing(
    real_server: Any, connect: Any, ca_file: Any
) -> None:
    server = await real_server(enable_SMTPUTF8=True)
    smtp = await connect(server, tls="starttls", ca_file=ca_file, **LOGIN)
    report = await smtp.check(timeout=5.0)
    assert report.state is AccountState.READY
    assert report.facts["tls"] == "TLSv1.3"
    assert report.facts["smtputf8"] is True
    assert report.facts["size_limit"] == 33_554_432
    assert (server.mechanisms, server.mails) == (["PLAIN"], [])


async def test_the_check_tells_a_refused_login(
    real_server: Any, connect: Any, ca_file: Any
) -> None:
    server = await real_server()
    smtp = await connect(server, tls="starttls", ca_file=ca_file, username="user", password="no")
    report = await smtp.check(timeout=5.0)
    assert report.state is AccountState.BLOCKED
    assert report.summary.startswith("user name or password were not accepted (535")
    assert "mend the settings" in report.summary
    assert server.mechanisms == ["PLAIN"]


async def test_each_check_is_a_connection_of_its_own(
    real_server: Any, connect: Any, message: Any, ca_file: Any
) -> None:
    server = await real_server()
    smtp = await connect(server, tls="starttls", ca_file=ca_file, **LOGIN)
    await smtp.send(message(), timeout=5.0)
    await smtp.check(timeout=5.0)
    await smtp.check(timeout=5.0)
    assert server.connections == 3
