"""The matrix's rows N1, N3, N5 to N8 and P5 to P9 for SMTP, at every step of a session."""

from __future__ import annotations

import re
import time

import pytest

from harness.oracle import BUSY_MACHINE
from harness.process import wait_for
from harness.rig import Rig
from harness.rows import failed_over, goes_on_at_once_where_the_connection_is_refused, hit

pytestmark = pytest.mark.parametrize("kind", ["smtp"])


def test_n1_connection_refused_goes_on_at_once(rig):
    goes_on_at_once_where_the_connection_is_refused(rig)


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("expired", "expired"),
        ("wrong_host", "hostname mismatch"),
        ("self_signed", "self-signed"),
        ("unknown_issuer", "unable to get local issuer"),
        ("garbage", "starttls|handshake failed"),
        ("hang", "in time"),
    ],
)
@pytest.mark.parametrize("implicit", [False, True])
def test_n3_tls_that_cannot_be_trusted_is_named_and_passed_by(rig, how, cause, implicit):
    first, tls, spare = rig.chain
    name = tls if implicit else first
    if implicit:
        rig.faultd.set(first, "refuse")
    before = rig.faultd.counts(name)["requests"]
    rig.faultd.set(name, "tls", how=how)
    sent = rig.send()
    # A port that does not begin with TLS is told with the setting that may mend it.
    expected = "misconfigured" if implicit and how == "garbage" else "unavailable"
    trail = [(first, "unavailable"), (tls, expected), (spare, "accepted")]
    assert sent.answer.trail == (trail if implicit else [trail[0], (tls, "accepted")])
    reason = sent.document["attempts"][implicit]["reason"]
    assert re.search(cause, reason.lower())
    assert rig.faultd.counts(name)["requests"] == before, "no mail was begun"
    assert sent.document["duplicate_possible"] is False


@pytest.mark.parametrize("fault", ["silence", "drip", "reset", "eof"])
@pytest.mark.parametrize("at", ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt"])
def test_n5_to_n7_before_the_data_nothing_was_taken(rig, fault, at):
    sent, said = hit(rig, fault, at=at)
    failed_over(rig, sent, "unavailable")
    assert said["circuit"] == "closed 1/5"
    assert said["seconds"] < rig.timeout + BUSY_MACHINE


@pytest.mark.parametrize("fault", ["silence", "reset", "eof"])
def test_n5_to_n7_at_connect(rig, fault):
    sent, said = hit(rig, fault, at="connect")
    failed_over(rig, sent, "unavailable")
    assert said["circuit"] == "closed 1/5"


@pytest.mark.parametrize(
    ("fault", "taken"),
    [("silence", False), ("reset", False), ("eof", False), ("drip", True), ("truncate", True)],
)
def test_n5_to_n7_after_the_dot_it_may_have_been_taken(rig, fault, taken):
    sent, said = hit(rig, fault)
    failed_over(rig, sent, "unknown", taken=taken)
    assert said["circuit"] == "closed 1/5"
    assert said["seconds"] < rig.timeout + BUSY_MACHINE


@pytest.mark.parametrize("at", ["greeting", "ehlo", "rcpt"])
def test_n8_a_reply_without_end_before_the_data(rig, peak_memory, at):
    before = peak_memory(rig)
    sent, said = hit(rig, "endless", at=at)
    failed_over(rig, sent, "unavailable")
    assert said["seconds"] < rig.timeout + BUSY_MACHINE
    assert peak_memory(rig) - before < 40 * 1024


def test_n8_a_reply_without_end_after_the_dot(rig, peak_memory):
    before = peak_memory(rig)
    sent, _ = hit(rig, "endless")
    failed_over(rig, sent, "unknown", taken=True)
    assert peak_memory(rig) - before < 40 * 1024


@pytest.mark.parametrize("how", ["reset", "eof", "silence"])
def test_p8_a_lost_answer_leads_to_one_mail_more_and_to_none_on_replay(rig, how):
    sent, _ = hit(rig, "lost", how=how)
    failed_over(rig, sent, "unknown", taken=True)
    again = rig.send(sent)
    assert again.answer.headers["Idempotency-Replayed"] == "true"
    assert len(rig.taken(sent)) == 2, "nothing was sent by the replay"


FAILED_NOW = "closed 1/5"
NEUTRAL = "closed 0/5"
OPENED = "open 0/5"


@pytest.mark.parametrize(
    ("at", "text", "outcome", "circuit"),
    [
        ("greeting", "421 4.3.2 shutting down", "unavailable", FAILED_NOW),
        ("greeting", "450 4.3.2 later", "unavailable", FAILED_NOW),
        ("greeting", "554 5.3.2 no service", "unavailable", FAILED_NOW),
        ("ehlo", "421 4.3.2 shutting down", "unavailable", FAILED_NOW),
        ("starttls", "454 4.7.0 TLS not available", "unavailable", FAILED_NOW),
        ("auth", "454 4.7.0 temporary failure", "unavailable", FAILED_NOW),
        ("auth", "535 5.7.8 invalid", "misconfigured", OPENED),
        ("mail", "421 4.3.0 closing", "unavailable", FAILED_NOW),
        ("mail", "451 4.3.0 later", "unavailable", FAILED_NOW),
        ("mail", "550 5.7.1 sender not yours", "misconfigured", OPENED),
        ("rcpt", "451 4.3.0 later", "unavailable", FAILED_NOW),
        ("rcpt", "550 5.7.1 relaying denied", "misconfigured", OPENED),
        ("data", "451 4.3.0 later", "unavailable", FAILED_NOW),
        ("dot", "451 4.3.0 later", "unavailable", FAILED_NOW),
        ("dot", "421 4.3.0 closing", "unavailable", FAILED_NOW),
        ("dot", "554 5.7.1 filtered", "refused", NEUTRAL),
        ("dot", "<html>what?</html>", "unknown", FAILED_NOW),
    ],
)
def test_p9_each_reply_has_its_class(rig, at, text, outcome, circuit):
    sent, said = hit(rig, "reply", at=at, text=text)
    failed_over(rig, sent, outcome)
    assert said["circuit"].partition(" ")[0] == circuit.partition(" ")[0]
    assert outcome == "misconfigured" or said["circuit"] == circuit


@pytest.mark.parametrize(
    ("at", "text"), [("rcpt", "550 5.1.1 user unknown"), ("dot", "554 5.6.0 content refused")]
)
def test_p9_and_p7_what_is_rejected_ends_the_chain(rig, at, text):
    sent, said = hit(rig, "reply", at=at, text=text)
    assert (sent.answer.status, sent.answer.json["code"]) == (422, "rejected")
    assert sent.answer.trail == [(rig.chain[0], "rejected")]
    assert said["circuit"] == NEUTRAL
    assert rig.taken(sent) == []


def test_p9_without_starttls_nothing_goes_in_clear(rig):
    before = rig.faultd.counts(rig.chain[0])["requests"]
    sent, said = hit(rig, "no_starttls")
    failed_over(rig, sent, "misconfigured")
    assert "STARTTLS" in said["reason"]
    assert rig.faultd.counts(rig.chain[0])["requests"] == before


def test_p9_quit_delays_no_answer_and_no_end(rig, begin):
    faultd, first = rig.faultd, rig.chain[0]
    text = f"providers:\n  {faultd.section(first)}\nchains:\n  email: [{first}]\n"
    sidecar = begin(text)
    faultd.set(first, "silence", at="quit")
    other = Rig(faultd, sidecar, "email", [first])
    for _ in range(3):
        sent = other.send()
        assert sent.answer.trail == [(first, "accepted")]
        assert sent.seconds < 4.0, "far below what a wait for QUIT would take"
    assert other.breaches() == []
    began = time.monotonic()
    assert sidecar.stop() == 0
    assert time.monotonic() - began < 5.0, "silence after QUIT would last a minute"


def test_p5_a_login_that_fails_heals_within_one_open_time(rig):
    first, second, _ = rig.chain
    sent, said = hit(rig, "auth")
    failed_over(rig, sent, "misconfigured")
    assert said["circuit"].startswith("open")
    assert rig.send().answer.trail == [(first, "skipped"), (second, "accepted")]
    rig.recover()

    def last_changes():
        changes = [e for e in rig.sidecar.events("circuit") if e["provider"] == first]
        return [e["after"] for e in changes[-2:]]

    wait_for(lambda: last_changes() == ["open", "closed"], "that one open time was enough")
