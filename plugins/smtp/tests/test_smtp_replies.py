"""The table of replies: every row of what servers say, and the outcome that follows."""

import pytest

from sidecar import Misconfigured, Refused, Rejected, Throttled, Unavailable, Unknown
from sidecar_smtp.errors import TABLE, Row, Step, error_for_reply

GREETING, EHLO, STARTTLS, AUTH = Step.GREETING, Step.EHLO, Step.STARTTLS, Step.AUTH
MAIL, RCPT, DATA, PROBE = Step.MAIL, Step.RCPT, Step.DATA, Step.PROBE

CASES = [
    # the greeting and EHLO: nothing of the mail is known yet
    (GREETING, 421, "4.3.2 not accepting mail", Unavailable),
    (GREETING, 554, "5.7.1 blocked by a list", Unavailable),
    (GREETING, 421, "4.7.0 too many connections", Throttled),
    (GREETING, 220, "", Unavailable),
    (EHLO, 502, "not implemented", Unavailable),
    (EHLO, 450, "4.3.2 busy", Unavailable),
    (PROBE, 451, "4.3.0 no", Unavailable),
    # STARTTLS and AUTH
    (STARTTLS, 454, "4.7.0 TLS not available", Unavailable),
    (STARTTLS, 502, "5.5.1 not implemented", Misconfigured),
    (AUTH, 535, "5.7.8 authentication failed", Misconfigured),
    (AUTH, 534, "5.7.9 mechanism too weak", Misconfigured),
    (AUTH, 530, "5.7.0 STARTTLS first", Misconfigured),
    (AUTH, 454, "4.7.0 temporary authentication failure", Unavailable),
    (AUTH, 421, "4.3.0 closing", Unavailable),
    (AUTH, 451, "4.3.0 dovecot is down", Unavailable),
    (AUTH, 454, "4.7.0 too many login attempts", Throttled),
    (AUTH, 334, "what?", Unavailable),
    # MAIL
    (MAIL, 552, "5.3.4 message size exceeds limit", Rejected),
    (MAIL, 552, "too big", Rejected),
    (MAIL, 450, "4.3.0 try later", Unavailable),
    (MAIL, 451, "4.3.0 local error", Unavailable),
    (MAIL, 452, "4.3.1 insufficient storage", Unavailable),
    (MAIL, 421, "4.3.0 shutting down", Unavailable),
    (MAIL, 421, "4.7.28 unusual rate of mail", Throttled),
    (MAIL, 454, "Throttling failure: Maximum sending rate exceeded.", Throttled),
    (MAIL, 454, "Throttling failure: Daily message quota exceeded", Throttled),
    (MAIL, 550, "5.1.0 sender rejected", Misconfigured),
    (MAIL, 553, "5.7.1 not owned by user", Misconfigured),
    (MAIL, 501, "5.1.7 bad sender address syntax", Misconfigured),
    (MAIL, 530, "5.7.0 must issue STARTTLS first", Misconfigured),
    (MAIL, 553, "5.6.7 SMTPUTF8 not supported", Refused),
    (MAIL, 550, "5.4.5 daily user sending quota exceeded", Throttled),
    # RCPT
    (RCPT, 550, "5.1.1 user unknown", Rejected),
    (RCPT, 550, "user unknown", Rejected),
    (RCPT, 550, "sorry, no mailbox here by that name (#5.1.1)", Rejected),
    (RCPT, 553, "5.1.3 bad recipient address syntax", Rejected),
    (RCPT, 501, "bad address", Rejected),
    (RCPT, 551, "user not local", Rejected),
    (RCPT, 550, "5.2.1 mailbox disabled", Rejected),
    (RCPT, 556, "5.1.10 domain takes no mail", Rejected),
    (RCPT, 552, "5.2.2 mailbox full", Rejected),
    (RCPT, 450, "4.2.0 Greylisted, see the page", Unavailable),
    (RCPT, 451, "4.7.1 Greylisting in action", Unavailable),
    (RCPT, 450, "4.7.0 greylisted for its rate", Unavailable),
    (RCPT, 451, "4.7.1 Service unavailable - try again later", Unavailable),
    (RCPT, 450, "4.7.1 Error: too much mail from you", Throttled),
    (RCPT, 450, "4.2.1 receives mail at a rate that prevents more", Unavailable),
    (RCPT, 451, "4.3.0 local error", Unavailable),
    (RCPT, 452, "4.2.2 mailbox full", Unavailable),
    (RCPT, 421, "4.7.0 rate limited", Throttled),
    (RCPT, 450, "too many mails", Throttled),
    (RCPT, 554, "5.7.1 <ada@example.org>: Relay access denied", Misconfigured),
    (RCPT, 550, "relay not permitted", Misconfigured),
    (RCPT, 550, "we do not relay", Misconfigured),
    (RCPT, 553, "5.7.1 Sender address rejected: not owned by user", Misconfigured),
    (RCPT, 553, "5.1.8 sender's domain not found", Misconfigured),
    (RCPT, 553, "5.1.7 bad sender", Misconfigured),
    (RCPT, 530, "5.7.0 authentication required", Misconfigured),
    (RCPT, 554, "5.7.1 <ada@example.org>: Recipient address rejected: Access denied", Refused),
    (RCPT, 550, "5.4.1 no route", Refused),
    (RCPT, 554, "transaction failed", Refused),
    (RCPT, 503, "5.5.1 bad sequence", Refused),
    # DATA and the dot: a complete reply says that nothing was taken
    (DATA, 451, "4.3.0 queue file write error", Unavailable),
    (DATA, 421, "4.3.0 closing", Unavailable),
    (DATA, 450, "4.7.1 service unavailable", Unavailable),
    (DATA, 452, "4.7.500 server busy", Throttled),
    (DATA, 552, "5.3.4 too big", Rejected),
    (DATA, 552, "too big", Rejected),
    (DATA, 554, "5.6.0 malformed", Rejected),
    (DATA, 554, "not accepted", Rejected),
    (DATA, 550, "5.6.1 media not supported", Rejected),
    (DATA, 550, "5.1.1 no such user after all", Rejected),
    (DATA, 554, "5.7.1 spam", Refused),
    (DATA, 550, "5.7.26 unauthenticated sender", Misconfigured),
    (DATA, 550, "5.7.60 no permission for this sender", Misconfigured),
    (DATA, 554, "Message rejected: Email address is not verified.", Misconfigured),
    (DATA, 530, "5.7.0 authentication required", Misconfigured),
    (DATA, 550, "no", Refused),
    (DATA, 250, "but 354 was due", Unknown),
    (DATA, 354, "again", Unknown),
    (DATA, -1, "Malformed SMTP response line: <html>", Unknown),
    (MAIL, -1, "Malformed SMTP response line: <html>", Unavailable),
]


@pytest.mark.parametrize(("step", "code", "text", "outcome"), CASES)
def test_a_reply_means(step: Step, code: int, text: str, outcome: type[Exception]) -> None:
    error = error_for_reply(step, code, text)
    assert type(error) is outcome, error


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.steps.name} {row.reply} {row.text}")
def test_without_any_one_row_some_reply_means_something_else(
    row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanings() -> list[tuple[type, str]]:
        errors = [error_for_reply(step, code, text) for step, code, text, _ in CASES]
        return [(type(error), error.reason) for error in errors]

    before = meanings()
    monkeypatch.setattr("sidecar_smtp.errors.TABLE", [other for other in TABLE if other != row])
    assert meanings() != before


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("code", [-1, 0, 199, 250, 354, 399, 400, 421, 499, 500, 599, 600, 999])
def test_every_reply_has_an_outcome(step: Step, code: int) -> None:
    assert error_for_reply(step, code, "").reason


@pytest.mark.parametrize(
    "address", ["relay@denied", "too-many@rate.example", "throttle@x.example", "send@as.example"]
)
def test_a_recipient_cannot_choose_the_outcome(address: str) -> None:
    text = f"<{address}>: no such user here"
    assert type(error_for_reply(RCPT, 550, text)) is Rejected
    assert type(error_for_reply(RCPT, 450, text)) is Unavailable


def test_the_code_is_the_servers_and_the_reason_is_ours() -> None:
    error = error_for_reply(RCPT, 550, "5.1.1 <ada@example.org>: code 739184620517 unknown")
    assert error.code == "550 5.1.1"
    assert "ada" not in f"{error!r}{error.reason}"
    assert "739184620517" not in f"{error!r}{error.reason}"


def test_an_endless_text_is_judged_quickly() -> None:
    assert type(error_for_reply(RCPT, 550, "relay" * 100_000)) is Rejected
