"""When accounts are looked at, and what a check that misbehaves does: nothing to anybody else."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from decimal import Decimal

import pytest

from harness.flight import PAUSED, READY, SANDBOX, settled
from sidecar import AccountReport, AccountState, Misconfigured, Money, Unavailable

ONE = "one: {kind: surveyed}"
TWO = "one: {kind: surveyed}\ntwo: {kind: surveyed}"


async def test_every_account_is_looked_at_once_and_again_after_the_interval(box):
    box.begin(TWO)
    assert box.account("one").finding.state == "unknown"
    await settled()
    assert box.asked == ["one", "two"]
    assert box.account("one").finding.state == "ready"
    assert box.account("one").next_check_in(box.clock) == 100.0
    await box.pass_by(99.0)
    assert box.asked == ["one", "two"]
    await box.pass_by(1.0)
    assert box.asked == ["one", "two", "one", "two"]


async def test_the_interval_varies_by_a_tenth(box):
    box.preflight._spread = lambda: -0.1
    box.begin(ONE)
    await settled()
    assert box.account("one").next_check_in(box.clock) == pytest.approx(90.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one: {kind: surveyed, preflight: off}", "`preflight: off`"),
        ("one: {kind: surveyed, preflight: 'off'}", "`preflight: off`"),
        ("one: {kind: surveyed, enabled: false}", "`enabled: false`"),
        ("one: {kind: surveyed, optional: true, key: '${NO_SUCH}'}", "not configured"),
    ],
)
async def test_who_is_not_to_be_asked_is_not_and_it_says_why(box, text, words):
    box.begin(text)
    await settled()
    assert box.asked == []
    finding = box.account("one").finding
    assert (finding.state, words in finding.summary) == ("unknown", True)
    assert box.account("one").next_check_in(box.clock) is None


@pytest.mark.parametrize(
    ("said", "state", "words"),
    [
        (None, "unknown", "no account"),
        (PAUSED, "blocked", "resume it"),
        (Unavailable("no route", code="X1"), "unreachable", "no route (X1)"),
        (Misconfigured("the key is not accepted"), "blocked", "the key is not accepted"),
        (ValueError("canary-secret-text"), "unreachable", "the plugin raised ValueError"),
        (SystemExit(3), "unreachable", "the plugin raised SystemExit"),
        (asyncio.CancelledError(), "unreachable", "CancelledError"),
        (7, "unreachable", "returned int"),
        (AccountReport("fine", "x"), "unreachable", "without a state"),
        (AccountReport(AccountState.READY, "x" * 9000, {"n": float("nan"), "b": 1}), "ready", "x"),
    ],
)
async def test_a_check_may_end_as_it_likes(box, said, state, words):
    box.says["one"] = said
    box.begin(TWO)
    await settled()
    finding = box.account("one").finding
    assert (finding.state, words in finding.summary) == (state, True)
    assert len(finding.summary) <= 500
    assert "n" not in finding.facts
    assert box.account("two").finding.state == "ready"
    assert box.now.links["one"].breaker.state == "closed"
    await box.pass_by(100.0)
    assert box.asked == ["one", "two"] * 2


async def test_after_a_stranger_has_cancelled_all_of_it_everybody_is_asked_again(box):
    box.says["one"] = asyncio.Event().wait
    box.begin(TWO)
    await settled()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.wait({box.running})
    box.says["one"] = READY
    box.running = asyncio.create_task(box.preflight.run())
    await settled()
    assert box.asked.count("one") == 2
    assert box.account("one").finding.state == "ready"


async def test_a_check_that_hangs_is_cut_off_and_asked_again(box):
    box.says["one"] = asyncio.Event().wait
    box.begin(TWO)
    await settled()
    assert box.account("one").next_check_in(box.clock) == 0.0
    await box.pass_by(10.0)
    assert box.account("one").finding.summary == "no answer within 10 s"
    assert box.account("two").finding.state == "ready"
    box.says["one"] = READY
    await box.pass_by(100.0)
    assert box.account("one").finding.state == "ready"


async def test_a_check_that_cannot_be_cut_off_is_never_doubled(box):
    released = asyncio.Event()

    async def deaf():
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()
        return READY

    box.says["one"] = deaf
    box.begin(ONE)
    await settled()
    await box.pass_by(10.0)
    await box.pass_by(100.0)
    await box.pass_by(100.0)
    assert box.asked == ["one"]
    assert "has not ended" in box.account("one").finding.summary
    for text in ("one: {kind: surveyed, preflight: off}", ONE):
        box.world(text)
        await settled()
    assert box.asked == ["one"], "nor by a reload that asks for it anew"
    released.set()
    await settled()
    await box.pass_by(100.0)
    assert box.asked == ["one", "one"]


async def test_a_check_that_fails_leaves_the_report_before_it(box):
    box.says["one"] = PAUSED
    box.begin(ONE)
    await settled()
    box.says["one"] = Unavailable("no route")
    await box.pass_by(100.0)
    account = box.account("one")
    assert (account.finding.state, account.report.state) == ("unreachable", "blocked")


# A reload


async def test_what_is_new_or_changed_is_asked_at_once_and_what_is_kept_keeps_its_findings(box):
    box.begin(TWO)
    await settled()
    kept = box.account("two")
    changed = ONE.replace("surveyed", "surveyed, key: other")
    kept_two = "two: {kind: surveyed, timeout: 2s}"
    box.world(f"{changed}\n{kept_two}\nnew: {{kind: surveyed}}")
    await settled()
    assert box.asked == ["one", "two", "one", "new"]
    assert box.account("two") is kept
    assert kept.finding.state == "ready"


async def test_what_was_not_well_is_asked_again_by_a_reload(box):
    box.says["one"] = PAUSED
    box.begin(TWO)
    await settled()
    box.says["one"] = READY
    box.world(TWO)
    await settled()
    assert box.asked == ["one", "two", "one"]
    assert box.account("one").finding.state == "ready"


async def test_what_is_removed_or_switched_off_is_forgotten(box):
    box.says |= {"one": PAUSED, "two": PAUSED}
    box.begin(TWO)
    await settled()
    box.world("two: {kind: surveyed, preflight: off}")
    await settled()
    account = box.account("two")
    assert (account.finding.state, account.report, account.due) == ("unknown", None, None)
    await box.pass_by(500.0)
    assert box.asked == ["one", "two"]
    assert [(a.subject, a.resolved) for a in box.told[2:]] == [("one", True), ("two", True)]


async def test_a_check_of_a_provider_that_is_gone_is_broken_off(box):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def long():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    box.says["one"] = long
    box.begin(TWO)
    await begun.wait()
    box.world("two: {kind: surveyed}")
    await asyncio.wait_for(ended.wait(), 10)


async def test_a_shorter_interval_holds_from_the_reload_on(box):
    box.begin(ONE)
    await settled()
    box.world(ONE, interval="10s")
    await settled()
    assert box.account("one").next_check_in(box.clock) == pytest.approx(11.0)


# What is told


def told(box):
    return [(a.event, a.subject, a.summary, a.resolved) for a in box.told]


async def test_what_turns_bad_is_told_once_and_so_is_its_end(box):
    box.begin(ONE)
    await settled()
    box.says["one"] = PAUSED
    await box.pass_by(100.0)
    await box.pass_by(100.0)
    box.says["one"] = READY
    await box.pass_by(100.0)
    await box.pass_by(100.0)
    assert told(box) == [
        ("preflight", "one", "sending is paused: resume it", False),
        ("preflight", "one", "fine", True),
    ]
    assert box.told[0].facts == {"left": 0}


async def test_another_finding_is_told_and_another_number_in_it_is_not(box):
    low = "{} of 50000 mails are left"
    for summary in (low.format(900), low.format("800.5"), "the sender is not verified"):
        box.says["one"] = AccountReport(AccountState.DEGRADED, summary)
        if not box.asked:
            box.begin(ONE)
        await box.pass_by(100.0)
    assert [a.summary for a in box.told] == [low.format(900), "the sender is not verified"]


async def test_an_account_that_cannot_be_asked_is_neither_bad_nor_good_again(box):
    box.says["one"] = SANDBOX
    box.begin(ONE)
    await settled()
    box.says["one"] = Unavailable("no route")
    await box.pass_by(100.0)
    box.says["one"] = SANDBOX
    await box.pass_by(100.0)
    assert [a.resolved for a in box.told] == [False]


async def test_a_changed_provider_that_is_well_ends_what_was_told(box):
    box.says["one"] = PAUSED
    box.begin(ONE)
    await settled()
    box.says["one"] = READY
    box.world("one: {kind: surveyed, key: other}")
    await settled()
    assert [a.resolved for a in box.told] == [False, True]


# Our own books


@pytest.mark.parametrize(
    ("spent", "state", "words"),
    [
        (None, "ready", "fine"),
        (Money(Decimal("0.79"), "USD"), "ready", "fine"),
        (Money(Decimal("0.80"), "USD"), "degraded", "0.80 of 1.00 USD are spent this month"),
        (Money(Decimal("1.00"), "USD"), "blocked", "1.00 of 1.00 USD are spent this month"),
        (Money(Decimal("9.00"), "EUR"), "ready", "fine"),
    ],
)
async def test_a_monthly_limit_is_held_against_our_own_books(box, spent, state, words):
    limit = Money(Decimal(1), "USD")
    box.says["one"] = AccountReport(AccountState.READY, "fine", monthly_limit=limit)
    if spent is not None:
        box.spent["one"] = spent
    box.begin("one: {kind: surveyed, preflight: skip}")
    await settled()
    finding = box.account("one").finding
    assert (finding.state, words in finding.summary) == (state, True)
    skipped = box.now.links["one"].would_skip()
    assert skipped == ("preflight" if state == "blocked" else None)


async def test_a_limit_that_is_no_money_is_passed_over(box):
    box.spent["one"] = Money(Decimal(1), "USD")
    for limit in ("1 USD", Money(1.0, "USD"), Money(Decimal("NaN"), "USD")):
        box.says["one"] = AccountReport(AccountState.READY, "fine", monthly_limit=limit)
        if not box.asked:
            box.begin(ONE)
        await box.pass_by(100.0)
        assert box.account("one").finding.state == "ready"
