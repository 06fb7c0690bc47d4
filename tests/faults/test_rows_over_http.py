"""The matrix's rows N1, N3, N5 to N8 and P2 to P8 for every provider that speaks HTTP."""

from __future__ import annotations

import pytest

from faultd.client import CHANNELS
from faultd.faults import MIB
from harness.oracle import BUSY_MACHINE
from harness.process import wait_for
from harness.rows import failed_over, goes_on_at_once_where_the_connection_is_refused, hit

KINDS = [kind for kind in CHANNELS if kind != "smtp"]
LOST, LATE, LONG = "connection was lost", "no complete answer in time", "longer than 256 KiB"
MORE_MEMORY = 40 * 1024
"""KiB that a sidecar may grow while it is sent gigabytes; to keep them would take far more."""

every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_n1_connection_refused_goes_on_at_once(rig):
    goes_on_at_once_where_the_connection_is_refused(rig)


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("expired", "expired"),
        ("wrong_host", "wrong host name"),
        ("self_signed", "self-signed"),
        ("unknown_issuer", "unknown issuer"),
        ("garbage", "handshake failed"),
        ("hang", "no connection within"),
    ],
)
@every_kind
def test_n3_tls_that_cannot_be_trusted_is_named_and_passed_by(rig, how, cause):
    first, tls, spare = rig.chain
    rig.faultd.set(first, "refuse")
    rig.faultd.set(tls, "tls", how=how)
    before = rig.faultd.counts(tls)["requests"]
    sent = rig.send()
    assert sent.answer.trail == [(first, "unavailable"), (tls, "unavailable"), (spare, "accepted")]
    assert cause in sent.document["attempts"][1]["reason"]
    assert rig.faultd.counts(tls)["requests"] == before, "nothing was said to it"
    assert sent.document["duplicate_possible"] is False


@pytest.mark.parametrize("at", ["connect", "request"])
@every_kind
def test_n5_silence_ends_by_the_attempts_timeout(rig, at):
    sent, said = hit(rig, "silence", at=at)
    failed_over(rig, sent, "unknown")
    assert said["reason"] == LATE
    assert said["circuit"] == "closed 1/5"
    assert rig.timeout * 0.9 < said["seconds"] < rig.timeout + BUSY_MACHINE


@pytest.mark.parametrize("part", ["head", "body"])
@every_kind
def test_n6_a_drip_ends_by_the_bound_of_the_whole_attempt(rig, part):
    sent, said = hit(rig, "drip", part=part)
    failed_over(rig, sent, "unknown", taken=True)
    assert said["reason"] == LATE
    assert rig.timeout * 0.9 < said["seconds"] < rig.timeout + BUSY_MACHINE, (
        "each byte came in time; all of them would take 20 s"
    )


@pytest.mark.parametrize("fault", ["truncate", "reset", "eof"])
@every_kind
def test_n7_half_an_answer_or_none_is_unknown(rig, fault):
    sent, said = hit(rig, fault)
    failed_over(rig, sent, "unknown", taken=fault == "truncate")
    assert LOST in said["reason"]
    assert said["circuit"] == "closed 1/5"


@pytest.mark.parametrize("fault", ["truncate", "reset", "eof"])
@every_kind
def test_n7_the_same_over_tls(rig, fault):
    first, tls, spare = rig.chain
    rig.faultd.set(first, "refuse")
    rig.faultd.set(tls, fault)
    sent = rig.send()
    assert sent.answer.trail == [(first, "unavailable"), (tls, "unknown"), (spare, "accepted")]
    assert LOST in sent.document["attempts"][1]["reason"]
    assert sent.document["duplicate_possible"] is True


@pytest.mark.parametrize("fault", ["reset", "eof"])
@every_kind
def test_n7_a_connection_that_ends_at_once_is_known_only_to_have_ended(rig, fault):
    sent, said = hit(rig, fault, at="connect")
    # Whether the end was seen before the first byte left, or after it, is a matter of microseconds.
    assert said["outcome"] in ("unavailable", "unknown")
    failed_over(rig, sent, said["outcome"])
    assert said["circuit"] == "closed 1/5"


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("endless", {"part": "body"}),
        ("endless", {"part": "head"}),
        ("bomb", {}),
        ("big", {}),
        ("big", {"size": 32 * MIB}),
        ("answer", {"body": "huge_id"}),
    ],
)
@every_kind
def test_n8_an_answer_without_end_is_cut(rig, peak_memory, fault, options):
    rig.send()
    before = peak_memory(rig)
    sent, said = hit(rig, fault, **options)
    failed_over(rig, sent, "unknown", taken=fault != "answer")
    in_head = options.get("part") == "head" or (
        fault == "answer" and rig.chain[0].startswith("sendgrid")
    )
    assert in_head or LONG in said["reason"]
    assert peak_memory(rig) - before < MORE_MEMORY


@pytest.mark.parametrize("code", [500, 502, 503, 504, 599])
@every_kind
def test_p2_a_failing_server_goes_on_and_counts(rig, code):
    sent, said = hit(rig, "status", code=code)
    failed_over(rig, sent, "unavailable")
    assert said["circuit"] == "closed 1/5"


@pytest.mark.parametrize("body", ["html", "empty", "null", "wrong_type", "no_id"])
@every_kind
def test_p3_a_success_that_is_none_is_unknown(rig, body):
    sent, said = hit(rig, "answer", body=body)
    failed_over(rig, sent, "unknown")
    assert said["provider_message_id"] is None
    assert said["circuit"] == "closed 1/5"


@every_kind
def test_p4_a_body_that_says_failed_is_no_success(rig, kind):
    sent, _ = hit(rig, "failed")
    # Twilio says with its code that it did not send; of the others, nothing can be read.
    failed_over(rig, sent, "refused" if kind == "twilio" else "unknown")


@pytest.mark.parametrize("code", [401, 403])
@every_kind
def test_p5_bad_credentials_open_at_once_and_heal_within_one_open_time(rig, code):
    first, second, _ = rig.chain
    sent, said = hit(rig, "auth", code=code)
    failed_over(rig, sent, "misconfigured")
    assert said["circuit"].startswith("open")
    assert rig.circuit(first)["reason"] == "misconfigured"
    assert rig.send().answer.trail == [(first, "skipped"), (second, "accepted")]
    rig.recover()
    assert rig.circuit(first)["state"] == "closed"

    def last_changes():
        changes = [e for e in rig.sidecar.events("circuit") if e["provider"] == first]
        return [e["after"] for e in changes[-2:]]

    wait_for(lambda: last_changes() == ["open", "closed"], "that one open time was enough")


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@every_kind
def test_p6_a_redirect_is_not_followed(rig, code):
    sent, said = hit(rig, "redirect", code=code)
    failed_over(rig, sent, "unavailable")
    assert "redirect" in said["reason"]
    assert rig.faultd.counts(rig.chain[0])["redirects_followed"] == 0


@every_kind
def test_p7_a_rejected_recipient_ends_the_chain_and_counts_for_nothing(rig):
    first = rig.chain[0]
    sent, said = hit(rig, "reject")
    assert (sent.answer.status, sent.answer.json["code"]) == (422, "rejected")
    assert sent.answer.trail == [(first, "rejected")]
    assert said["circuit"] == "closed 0/5"
    assert rig.taken(sent) == []


@pytest.mark.parametrize("how", ["reset", "eof", "silence"])
@every_kind
def test_p8_a_lost_answer_leads_to_one_text_more_and_to_none_on_replay(rig, how):
    sent, _ = hit(rig, "lost", how=how)
    failed_over(rig, sent, "unknown", taken=True)
    again = rig.send(sent)
    assert again.answer.headers["Idempotency-Replayed"] == "true"
    assert again.answer.trail == sent.answer.trail
    assert len(rig.taken(sent)) == 2, "nothing was sent by the replay"
