"""Who is passed by, for which message, and for how long a report is believed."""

from __future__ import annotations

import pytest

from harness.flight import PAUSED, READY, SANDBOX, settled
from sidecar import AccountReport, AccountState, Message, Provider, Unavailable, Verified

SKIP = "one: {kind: surveyed, preflight: skip}\ntwo: {kind: surveyed}"
ADA, EVE = (
    Message("m-1", "sms", to, "Your code is 482913") for to in ("+14155550001", "+14155550002")
)


def link(box):
    return box.now.links["one"]


async def test_a_blocked_account_is_passed_by_for_every_message_until_it_is_well(box):
    box.says["one"] = PAUSED
    box.begin(SKIP)
    assert link(box).would_skip(ADA) is None, "nothing is known yet"
    await settled()
    assert [link(box).would_skip(m) for m in (None, ADA)] == ["preflight", "preflight"]
    await box.pass_by(40.0)
    assert link(box).opens_in() == 60.0
    box.says["one"] = READY
    await box.pass_by(60.0)
    assert link(box).would_skip(ADA) is None
    assert link(box).opens_in() == 0.0


async def test_whoever_only_observes_passes_nobody_by(box):
    box.says |= {"one": PAUSED}
    box.begin("one: {kind: surveyed}")
    await settled()
    assert box.account("one").finding.state == "blocked"
    assert link(box).would_skip(ADA) is None


async def test_the_chain_goes_to_the_next_one_with_the_reason_in_the_trail(box):
    box.says["one"] = PAUSED
    box.begin(SKIP)
    await settled()
    chain = box.now.chains["sms"]
    passed_by, first = chain.foresee(ADA)
    assert [(a.provider, a.reason) for a in passed_by] == [("one", "preflight")]
    assert first.name == "two"


async def test_a_report_is_believed_for_three_intervals(box):
    box.says["one"] = PAUSED
    box.begin(SKIP)
    await settled()
    box.says["one"] = Unavailable("no route")
    await box.pass_by(100.0)
    await box.pass_by(100.0)
    await box.pass_by(99.0)
    assert link(box).would_skip(ADA) == "preflight"
    await box.pass_by(1.0)
    assert link(box).would_skip(ADA) is None


async def test_a_degraded_account_is_passed_by_for_what_it_would_refuse(box):
    box.guest.refuses = lambda message, report: "no texts to them" if message.to == EVE.to else None
    box.says["one"] = SANDBOX
    box.begin(SKIP)
    await settled()
    assert [link(box).would_skip(m) for m in (None, ADA, EVE)] == [None, None, "preflight"]
    assert link(box).opens_in() == 0.0
    assert box.account("one").passed_by == "no texts to them"
    await box.pass_by(100.0)
    assert box.account("one").passed_by is None, "a new report, and nobody was passed by since"


async def test_a_ready_account_is_not_asked(box):
    box.guest.refuses = lambda message, report: "never"
    box.begin(SKIP)
    await settled()
    assert link(box).would_skip(EVE) is None


@pytest.mark.parametrize("error", [ValueError("canary"), SystemExit(1), KeyboardInterrupt()])
async def test_a_plugin_that_fails_there_lets_the_message_pass_and_is_told_of_once(box, error):
    def fails(message, report):
        raise error

    box.guest.refuses = fails
    box.says["one"] = SANDBOX
    box.begin(SKIP)
    await settled()
    gate = link(box).gates[0]
    told = []
    gate._failed = lambda *what: told.append(what)
    assert [link(box).would_skip(EVE) for _ in range(3)] == [None] * 3
    assert [(who, what.partition(" at ")[0]) for who, what in told] == [
        ("one", type(error).__name__)
    ]


@pytest.mark.parametrize("said", [True, 7, b"no", "", None, ["no"]])
async def test_what_is_no_sentence_is_no_refusal(box, said):
    box.guest.refuses = lambda message, report: said
    box.says["one"] = SANDBOX
    box.begin(SKIP)
    await settled()
    assert link(box).would_skip(EVE) is None


async def test_a_sentence_that_repeats_the_recipient_is_withheld(box):
    box.guest.refuses = lambda message, report: f"{message.to} is not verified"
    box.says["one"] = SANDBOX
    box.begin(SKIP)
    await settled()
    assert link(box).would_skip(EVE) == "preflight"
    assert box.account("one").passed_by == "withheld"


async def test_a_report_that_names_the_verified_needs_no_word_of_the_plugin(box):
    box.guest.refuses = lambda message, report: Provider.would_refuse(None, message, report)
    facts = AccountReport(AccountState.DEGRADED, "sandbox", verified=Verified([ADA.to]))
    for report, skipped in ((facts, "preflight"), (SANDBOX, None)):
        box.says["one"] = report
        if not box.asked:
            box.begin(SKIP)
        await box.pass_by(100.0)
        assert [link(box).would_skip(m) for m in (ADA, EVE)] == [None, skipped]


async def test_a_kept_provider_goes_on_being_passed_by_over_a_reload(box):
    box.says["one"] = PAUSED
    box.begin("one: {kind: surveyed}")
    await settled()
    assert link(box).would_skip(ADA) is None
    box.world("one: {kind: surveyed, preflight: skip}")
    assert link(box).would_skip(ADA) == "preflight", "at once, by what was found before"


# Whom a sandbox reaches


def test_verified_recipients_are_known_and_not_written():
    known = Verified(["+14155550001", "Ada@Example.com"])
    assert known.holds("+14155550001")
    assert known.holds("nobody", "ada@example.COM")
    assert not known.holds("+14155550002")
    assert len(known) == 2
    report = AccountReport(AccountState.DEGRADED, "sandbox", verified=known)
    assert "4155550001" not in f"{report!r} {known!r} {vars(known)!r}"
    assert Verified(["a"])._hashes != Verified(["a"])._hashes, "each has a key of its own"
