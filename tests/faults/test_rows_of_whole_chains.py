"""Rows P1, P10 and P11 of the matrix, `on_unknown: stop`, and what must not leave its chain."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from faultd.client import CHANNELS
from harness import oracle
from harness.process import wait_for
from harness.rig import Rig

RETRY_AFTER = {  # as sent, and the seconds that it must mean: more than, and at most
    None: (0.0, 5.0),
    "5": (0.0, 5.0),
    "date": (20.0, 31.0),
    "garbage": (0.0, 5.0),
    "1000000000": (290.0, 300.0),
    "-1": (0.0, 5.0),
}
OPEN_TIME = 1
"""Seconds of an open circuit in row P10."""


def add(faultd, kind, name):
    if name not in faultd.providers:
        faultd.add(name, kind)
    return name


@pytest.fixture
def chains_of(faultd, begin):
    """One sidecar with a chain of (name, kind) pairs for each channel, and a rig for each chain."""

    def make(more="", policy="", timeout=4.0, **chains):
        sections, names = [], {}
        for channel, pairs in chains.items():
            names[channel] = [add(faultd, kind, name) for name, kind in pairs]
            sections += [faultd.section(name, timeout=timeout) for name in names[channel]]
        lines = [
            f"  {channel}: {{providers: {chain}, {policy}}}" for channel, chain in names.items()
        ]
        text = "\n".join([more, "providers:", *(f"  {one}" for one in sections), "chains:", *lines])
        sidecar = begin(text + "\n")
        return [Rig(faultd, sidecar, channel, chain) for channel, chain in names.items()]

    return make


def test_p1_429_is_left_alone_as_long_as_it_asked_and_counts_for_nothing(faultd, chains_of):
    busy, chains = {}, {"sms": [], "email": []}
    for kind, channel in CHANNELS.items():
        for number, form in enumerate(RETRY_AFTER if kind != "smtp" else [None]):
            busy[f"busy_{kind}_{number}"] = form  # SMTP has no such header
            chains[channel].append((f"busy_{kind}_{number}", kind))
    chains["sms"].append(("calm_sms", "sns"))
    chains["email"].append(("calm_email", "ses"))
    rigs = chains_of(**chains)
    for name, form in busy.items():
        faultd.set(name, "throttle", **({} if form is None else {"retry_after": form}))
    for rig in rigs:
        *left_alone, calm = rig.chain
        sent = rig.send()
        assert sent.answer.trail == [
            *((name, "throttled") for name in left_alone),
            (calm, "accepted"),
        ]
        for name in left_alone:
            standing = rig.sidecar.health(rig.channel, name)
            least, most = RETRY_AFTER[busy[name]]
            assert least < standing["throttled_for"] <= most, (name, busy[name])
            assert standing["circuit"]["failures"] == "0/5"
            assert standing["circuit"]["state"] == "closed"
        before = {name: faultd.counts(name)["requests"] for name in left_alone}
        again = rig.send()
        assert {a["reason"] for a in again.document["attempts"][:-1]} == {"throttled"}
        assert {name: faultd.counts(name)["requests"] for name in left_alone} == before
        assert rig.breaches() == []


def test_p10_every_provider_down_then_all_back(faultd, chains_of):
    pairs = {channel: [] for channel in CHANNELS.values()}
    for kind, channel in CHANNELS.items():
        pairs[channel].append((f"down_{kind}", kind))
    for rig in chains_of(more=f"breaker: {{recovery_timeout: {OPEN_TIME}s, growth: 1}}", **pairs):
        _everything_fails(rig)
        faultd.heal()
        healed_at = time.monotonic()
        # I7. Nobody does anything but send.
        wait_for(lambda rig=rig: rig.send().answer.status == 200, "the first message")
        wait_for(lambda rig=rig: _closed_after_a_send(rig), "the primary")
        probes_and_machine = 1.0
        assert time.monotonic() - healed_at < OPEN_TIME * 1.1 + probes_and_machine
        assert rig.send().answer.trail == [(rig.chain[0], "accepted")]
        assert rig.breaches() == []
        assert list(oracle.wrong_gauges(rig.sidecar)) == []


def _everything_fails(rig):
    """Every circuit opens; what is asked then is told when to come back, or is a panic probe."""
    for name in rig.chain:
        rig.faultd.set(name, "refuse")
    for _ in range(5):
        sent = rig.send()
        assert sent.answer.status == 502
        assert sent.answer.trail == [(name, "unavailable") for name in rig.chain]
    with ThreadPoolExecutor(4) as callers:
        answers = [call.result().answer for call in [callers.submit(rig.send) for _ in range(12)]]
    refused = [answer for answer in answers if answer.status == 503]
    assert refused, "at most one panic probe a second"
    for answer in refused:
        assert answer.json["code"] == "nothing_to_try"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    probes = [answer for answer in answers if answer.status == 502]
    assert len(refused) + len(probes) == len(answers)
    for answer in probes:
        assert [outcome for _, outcome in answer.trail].count("unavailable") == 1
    assert rig.sidecar.call("GET", "/health").json["chains"][rig.channel]["status"] == "down"
    assert rig.sidecar.call("GET", "/readyz").status == 200


def _closed_after_a_send(rig):
    rig.send()
    return rig.circuit(rig.chain[0])["state"] == "closed"


@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize("fault", ["refuse", "eof"])
def test_p11_four_failures_and_a_success_never_open(rig, fault):
    first, second, _ = rig.chain
    outcome = "unknown" if fault == "eof" else "unavailable"
    before = len(rig.sidecar.events("circuit"))
    for _ in range(3):
        rig.faultd.set(first, fault)
        for failures in range(1, 5):
            sent = rig.send()
            assert sent.answer.trail == [(first, outcome), (second, "accepted")]
            assert sent.document["attempts"][0]["circuit"] == f"closed {failures}/5"
        rig.faultd.heal(first)
        assert rig.send().answer.trail == [(first, "accepted")]
    assert rig.circuit(first)["failures"] == "0/5"
    assert len(rig.sidecar.events("circuit")) == before


@pytest.mark.parametrize("kind", CHANNELS)
def test_the_fifth_failure_opens_and_the_gauge_says_so(rig, kind):
    first, second, _ = rig.chain
    rig.faultd.set(first, "refuse")
    for _ in range(5):
        sent = rig.send()
    assert sent.document["attempts"][0]["circuit"] == "open 5/5"
    assert rig.send().answer.trail == [(first, "skipped"), (second, "accepted")]


def test_p8_with_on_unknown_stop_there_is_one_text_for_one_key(faultd, chains_of):
    pairs = {"sms": [], "email": []}
    for kind, channel in CHANNELS.items():
        pairs[channel].append((f"stop_{kind}", kind))
    pairs["sms"].append(("never_sms", "sns"))
    pairs["email"].append(("never_email", "ses"))
    for rig in chains_of(more="breaker: {enabled: false}", policy="on_unknown: stop", **pairs):
        rig.extra = 0
        *tried, never = rig.chain
        for position, name in enumerate(tried):
            faultd.set(name, "lost")
            sent = rig.send()
            assert sent.answer.status == 202
            assert sent.answer.json["status"] == "unknown"
            assert sent.answer.json["duplicate_possible"] is False
            assert sent.answer.trail[position:] == [(name, "unknown")]
            assert rig.send(sent).answer.json["replayed"] is True
            assert rig.taken(sent) == [(name, True)]
            faultd.set(name, "refuse")
        assert faultd.counts(never)["requests"] == 0
        assert rig.breaches() == []


@pytest.mark.parametrize("kind", CHANNELS)
def test_i1_two_lost_answers_are_the_end_of_the_failover(rig):
    first, second, _ = rig.chain
    for name in (first, second):
        rig.faultd.set(name, "lost")
    sent = rig.send()
    assert sent.answer.status == 202
    assert sent.answer.trail == [(first, "unknown"), (second, "unknown")]
    assert rig.taken(sent) == [(first, True), (second, True)]
    assert sent.answer.json["duplicate_possible"] is True


@pytest.mark.parametrize(("kind", "other"), [("eum", "twilio"), ("twilio", "eum")])
def test_p7_consent_withdrawn_ends_the_chain_whatever_on_rejected_says(
    faultd, chains_of, kind, other
):
    pairs = [(f"consent_{kind}", kind), (f"after_{kind}", other)]
    (rig,) = chains_of(policy="on_rejected: failover", sms=pairs)
    first, second = rig.chain
    faultd.set(first, "reject")
    assert rig.send().answer.trail == [(first, "rejected"), (second, "accepted")]
    before = faultd.counts(second)["requests"]
    faultd.set(first, "reject", why="opted_out")
    sent = rig.send()
    assert (sent.answer.status, sent.answer.trail) == (422, [(first, "rejected")])
    assert faultd.counts(second)["requests"] == before
    assert rig.circuit(first)["failures"] == "0/5"
    assert rig.breaches() == []


@pytest.mark.parametrize(
    ("why", "outcome", "left_alone"),
    [("spend_limit", "throttled", True), ("unverified", "refused", False)],
)
def test_p1_what_end_user_messaging_says_and_sns_keeps_to_itself(
    faultd, chains_of, why, outcome, left_alone
):
    (rig,) = chains_of(sms=[(f"eum_{why}", "eum"), (f"next_{why}", "twilio")])
    first, second = rig.chain
    faultd.set(first, "reject", why=why)
    sent = rig.send()
    assert sent.answer.trail == [(first, outcome), (second, "accepted")]
    assert rig.taken(sent) == [(second, False)]
    standing = rig.sidecar.health("sms", first)
    assert ((standing["throttled_for"] or 0.0) > 290.0) is left_alone
    assert (standing["circuit"]["state"], standing["circuit"]["failures"]) == ("closed", "0/5")
    again = "skipped" if left_alone else outcome
    assert rig.send().answer.trail == [(first, again), (second, "accepted")]
    assert rig.breaches() == []


def test_i8_silence_ends_with_the_deadline_and_i10_stops_no_other_chain(faultd, chains_of):
    pairs = [(f"mute_{number}", "twilio") for number in range(4)]
    # No breaker: it would open where five have timed out before the thirtieth has begun.
    more = "breaker: {enabled: false}\nlimits: {deadline: 2s}"
    mute, well = chains_of(more=more, sms=pairs, email=[("well", "ses")])
    mute.deadline = well.deadline = 2.0
    for name in mute.chain:
        faultd.set(name, "silence", at="connect")
    with ThreadPoolExecutor(30) as callers:
        waiting = [callers.submit(mute.send) for _ in range(30)]
        wait_for(lambda: faultd.counts(mute.chain[0])["connections"] == 30, "all under way")
        between = [well.send() for _ in range(5)]
        ended = [call.result() for call in waiting]
    assert {sent.answer.status for sent in between} == {200}
    assert min(sent.seconds for sent in between) < 0.7, "nobody waited for the other chain"
    assert {sent.answer.status for sent in ended} == {202}
    assert [*mute.breaches(), *well.breaches()] == []
