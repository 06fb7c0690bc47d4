"""The main road: one POST, six providers, and what each stand-in got."""

from __future__ import annotations

import base64
import email
import email.policy
import json
from urllib.parse import parse_qs

from harness.leaks import CODE, EMAIL, PHONE, SENDGRID_KEY, TWILIO_TOKEN
from harness.process import TEXT
from harness.providers import config, sendgrid, ses, smtp, sns, twilio
from harness.standins import sendgrid_accepts, twilio_accepts


def accepted(answer, provider: str) -> None:
    assert answer.status == 200, answer
    assert answer.json["status"] == "accepted"
    assert answer.json["provider"] == provider
    assert answer.json["provider_message_id"]
    assert answer.json["duplicate_possible"] is False


def test_ses_takes_a_mail(start, moto):
    sidecar = start(config("email", ses(moto.url)))
    accepted(sidecar.send("email", subject="Your code"), "ses")
    (message,) = moto.kept("ses", "Message")
    assert EMAIL in json.dumps(message)
    assert TEXT in json.dumps(message)


def test_sns_takes_a_text(start, moto):
    sidecar = start(config("sms", sns(moto.url)))
    answer = sidecar.send("sms")
    accepted(answer, "sns")
    assert answer.json["segments"] == 1
    assert PHONE in json.dumps(moto.kept("sns", "SMS"))
    assert TEXT in json.dumps(moto.kept("sns", "SMS"))


def test_sendgrid_takes_a_mail(start, vendor):
    stand_in = vendor(sendgrid_accepts)
    sidecar = start(config("email", sendgrid(stand_in.url)))
    accepted(sidecar.send("email", subject="Your code", html=f"<b>{CODE}</b>"), "sendgrid")
    (request,) = stand_in.requests
    assert request.path == "/v3/mail/send"
    assert request.headers["Authorization"] == f"Bearer {SENDGRID_KEY}"
    mail = json.loads(request.body)
    assert mail["personalizations"] == [{"to": [{"email": EMAIL}]}]
    assert [c["type"] for c in mail["content"]] == ["text/plain", "text/html"]


def test_twilio_takes_a_text(start, vendor):
    stand_in = vendor(twilio_accepts)
    sidecar = start(config("sms", twilio(stand_in.url)))
    accepted(sidecar.send("sms", expires_in=300), "twilio")
    (request,) = stand_in.requests
    assert request.path == f"/2010-04-01/Accounts/AC{'0' * 32}/Messages.json"
    user, _, token = base64.b64decode(request.headers["Authorization"][6:]).partition(b":")
    assert (user, token) == (b"AC" + b"0" * 32, TWILIO_TOKEN.encode())
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    assert form["To"] == PHONE
    assert form["Body"] == TEXT
    assert form["ValidityPeriod"] == "300"


def test_smtp_takes_a_mail(start, mailbox):
    sidecar = start(config("email", smtp(mailbox)))
    accepted(sidecar.send("email", subject="Your code", reply_to="help@example.com"), "smtp")
    (envelope,) = mailbox.mails
    assert envelope.rcpt_tos == [EMAIL]
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert mail["To"] == EMAIL
    assert mail["Reply-To"] == "help@example.com"
    assert mail.get_body().get_content().strip() == TEXT


def test_console_takes_both_and_says_that_it_only_pretends(start):
    sidecar = start("providers:\n  console: {}\nchains: {sms: [console], email: [console]}\n")
    for channel in ("sms", "email"):
        answer = sidecar.send(channel)
        accepted(answer, "console")
        assert answer.json["simulated"] is True
    assert [m["channel"] for m in sidecar.inbox()] == ["email", "sms"]
    assert {m["text"] for m in sidecar.inbox()} == {TEXT}
    assert TEXT in sidecar.errors.read_text()


def test_ses_with_bad_credentials_fails_over_to_sendgrid_and_then_to_smtp(
    start, moto, vendor, mailbox
):
    moto.check_signatures()
    stand_in = vendor(sendgrid_accepts)
    sidecar = start(config("email", ses(moto.url), sendgrid(stand_in.url), smtp(mailbox)))
    answer = sidecar.send("email")
    accepted(answer, "sendgrid")
    assert answer.trail == [("ses", "misconfigured"), ("sendgrid", "accepted")]
    assert answer.json["attempts"][0]["circuit"].startswith("open")

    stand_in.close()
    answer = sidecar.send("email")
    accepted(answer, "smtp")
    assert answer.trail == [("ses", "skipped"), ("sendgrid", "unavailable"), ("smtp", "accepted")]
    assert [e.rcpt_tos for e in mailbox.mails] == [[EMAIL]]
    assert moto.kept("ses", "Message") == []
    assert sidecar.health("email", "ses")["circuit"]["state"] == "open"
    assert sidecar.health("email", "sendgrid")["circuit"]["failures"] == "1/5"


def test_sns_with_bad_credentials_fails_over_to_twilio(start, moto, vendor):
    moto.check_signatures()
    stand_in = vendor(twilio_accepts)
    sidecar = start(config("sms", sns(moto.url), twilio(stand_in.url)))
    answer = sidecar.send("sms")
    accepted(answer, "twilio")
    assert answer.trail == [("sns", "misconfigured"), ("twilio", "accepted")]
    assert len(stand_in.requests) == 1


def test_reordering_the_file_changes_the_order_and_nothing_else(start, vendor):
    stand_in = vendor(twilio_accepts)
    one, other = twilio(stand_in.url, "one"), twilio(stand_in.url, "other")
    text = config("sms", one, other)
    before = start(text)
    accepted(before.send(id="first"), "one")
    before_health = before.call("GET", "/health").json
    assert before.stop() == 0

    after = start(text.replace("[one, other]", "[other, one]"))
    accepted(after.send(id="second"), "other")
    assert after.send(id="first").json["provider"] == "one", "what was sent is still known"
    after_health = after.call("GET", "/health").json
    names = [
        [p["name"] for p in h["chains"]["sms"]["providers"]] for h in (before_health, after_health)
    ]
    assert names == [["one", "other"], ["other", "one"]]
    assert [len(r.body) > 0 for r in stand_in.requests] == [True, True]


def test_the_default_file_runs_without_credentials_and_comes_alive_with_them(
    start, tmp_path, vendor, request
):
    default = request.config.rootpath / "providers.yaml"
    text = default.read_text().replace("127.0.0.1:8780", "127.0.0.1:0")
    (tmp_path / "providers.yaml").write_text(text)
    sidecar = start()
    for channel in ("sms", "email"):
        accepted(sidecar.send(channel), "console")
    twilio_now = sidecar.health("sms", "twilio")
    assert twilio_now["skipped_because"] == "not_configured"
    assert "TWILIO_AUTH_TOKEN" in twilio_now["missing"]
    assert sidecar.health("email", "ses")["missing"]
    assert sidecar.stop() == 0

    (tmp_path / ".env").write_text(
        f"TWILIO_ACCOUNT_SID=AC{'0' * 32}\nTWILIO_AUTH_TOKEN={TWILIO_TOKEN}\n"
        "TWILIO_SENDER=+15005550006\nSENDGRID_API_KEY=\n"
    )
    sidecar = start(
        SMTP_HOST="mail.example.com",
        SMTP_USERNAME="mailer",
        SMTP_PASSWORD="canary-password",
        SMTP_SENDER="codes@example.com",
        AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE",
        AWS_SECRET_ACCESS_KEY="canary-aws-secret-0001",
    )
    assert sidecar.health("sms", "twilio")["usable"] is True
    assert sidecar.health("sms", "sns")["usable"] is True
    assert sidecar.health("email", "smtp")["usable"] is True
    assert sidecar.health("email", "sendgrid")["missing"] == ["SENDGRID_API_KEY", "SENDGRID_SENDER"]
    assert sidecar.health("email", "ses")["missing"] == ["SES_SENDER"]
