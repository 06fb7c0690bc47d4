"""What `DeliveryLog` promises, asked of each log in the same words."""

from dataclasses import replace

import pytest

from sidecar.delivery.model import Attempt, Outcome, SkipReason, Status, Transition
from sidecar.store import Claimed, Existing, LogUnavailable, Recovery
from sidecar.store.recovery import under_way

DAY = 86_400.0
SURELY_NOT_SENT = [status for status in Status if status.surely_not_sent]


async def test_a_new_claim_is_pending_and_can_be_read(log, claim_of, ended):
    claim = claim_of()
    assert await log.claim(claim, keep_keys=DAY) == Claimed("d-1", 1)
    assert await log.get("d-1") == ended(claim, Status.PENDING, ended_at=None)


async def test_an_unknown_id_is_none(log):
    assert await log.get("nobody") is None


async def test_a_delivery_reads_back_as_it_was_written(log, claim_of, ended, down, took):
    claim = claim_of(at=1_700_000_000.1 + 0.2, segments=None)
    claimed = await log.claim(claim, keep_keys=DAY)
    skipped = Attempt("ses", "ses", Outcome.SKIPPED, claim.at, reason=SkipReason.CIRCUIT_OPEN)
    changed = replace(down, transition=Transition("closed", "open"), final=True)
    delivery = ended(
        claim,
        Status.ACCEPTED,
        skipped,
        changed,
        took,
        reason="why not",
        retry_after=1 / 7,
        logged=False,
    )
    await log.finish(claimed, delivery)
    assert await log.get("d-1") == delivery


async def test_a_replayed_delivery_is_stored_as_the_first_one(log, claim_of, ended, took):
    claimed = await log.claim(claim_of(), keep_keys=DAY)
    await log.finish(claimed, ended(claim_of(), Status.ACCEPTED, took, replayed=True))
    assert (await log.get("d-1")).replayed is False


@pytest.mark.parametrize("word", ["\ud800", "\0", "é", "💬", "'; DROP TABLE deliveries; --"])
async def test_no_word_of_a_provider_breaks_the_log(log, claim_of, ended, took, word):
    claimed = await log.claim(claim_of(), keep_keys=DAY)
    odd = replace(took, provider_message_id=f"SM{word}", reason=word, provider_code=word)
    await log.finish(claimed, ended(claim_of(), Status.ACCEPTED, odd))
    assert (await log.get("d-1")).receipt.provider_message_id.startswith("SM")


# Attempts, while under way and after


async def test_an_attempt_under_way_is_not_shown(log, claim_of, down):
    claimed = await log.claim(claim_of(), keep_keys=DAY)
    await log.sending(claimed, (down,), under_way("twilio", "twilio", down.started_at + 1))
    shown = await log.get("d-1")
    assert (shown.status, shown.attempts) == (Status.PENDING, (down,))


async def test_finish_leaves_no_row_of_an_attempt_that_was_not_made(log, kept, claim_of, ended):
    claimed = await log.claim(claim_of(), keep_keys=DAY)
    await log.sending(claimed, (), under_way("twilio", "twilio", 1.0))
    await log.finish(claimed, ended(claim_of(), Status.FAILED))
    assert await kept.restart() == Recovery()
    assert (await kept.log.get("d-1")).attempts == ()


async def test_finish_may_be_said_twice(log, claim_of, ended, took, down):
    claimed = await log.claim(claim_of(), keep_keys=DAY)
    await log.finish(claimed, ended(claim_of(), Status.UNKNOWN, down, took))
    again = ended(claim_of(), Status.ACCEPTED, took)
    await log.finish(claimed, again)
    assert await log.get("d-1") == again


@pytest.mark.parametrize("claimed", [Claimed("nobody", 1), Claimed("d-1", 2)])
async def test_only_the_run_that_was_claimed_is_written(log, claim_of, ended, claimed):
    await log.claim(claim_of(), keep_keys=DAY)
    with pytest.raises(LogUnavailable):
        await log.sending(claimed, (), under_way("twilio", "twilio", 1.0))
    with pytest.raises(LogUnavailable):
        await log.finish(claimed, ended(claim_of(), Status.FAILED))
    assert (await log.get("d-1")).status is Status.PENDING


async def test_nothing_is_sent_after_the_end(log, send):
    written = await send(log)
    with pytest.raises(LogUnavailable):
        await log.sending(Claimed("d-1", 1), (), under_way("twilio", "twilio", 1.0))
    assert await log.get("d-1") == written


# Recovery


async def test_a_clean_log_needs_no_recovery(kept, send):
    assert await kept.log.open() == Recovery()
    written = await send(kept.log)
    assert await kept.restart() == Recovery()
    assert await kept.log.get("d-1") == written
    await kept.log.close()


async def test_a_claim_that_nobody_acted_on_surely_was_not_sent(log, kept, claim_of):
    claim = claim_of(key_hash="k")
    await log.claim(claim, keep_keys=DAY)
    assert await kept.restart() == Recovery(attempts=0, deliveries=1)
    closed = await kept.log.get("d-1")
    assert closed.status is Status.FAILED
    assert closed.reason == "interrupted before a provider can have taken it"
    assert closed.ended_at == claim.at + 60
    assert await kept.log.claim(claim, keep_keys=DAY) == Claimed("d-1", 2)


async def test_what_is_written_ahead_with_the_claim_may_have_been_sent(log, kept, claim_of, down):
    claim = claim_of(key_hash="k")
    ahead = under_way("twilio-eu", "twilio", claim.at)
    claimed = await log.claim(claim, keep_keys=DAY, first=(down, ahead))
    assert claimed == Claimed("d-1", 1)
    assert await log.claim(claim, keep_keys=DAY, first=(ahead,)) == Existing(
        (await log.get("d-1")), same_body=True
    )
    assert await kept.restart() == Recovery(attempts=1, deliveries=1)
    closed = await kept.log.get("d-1")
    assert closed.status is Status.UNKNOWN
    assert closed.attempts == (down, ahead)


async def test_an_attempt_under_way_may_have_been_sent(log, kept, claim_of, down):
    claim = claim_of(key_hash="k")
    claimed = await log.claim(claim, keep_keys=DAY)
    await log.sending(claimed, (down,), under_way("twilio-eu", "twilio", claim.at + 1))
    assert await kept.restart() == Recovery(attempts=1, deliveries=1)
    closed = await kept.log.get("d-1")
    assert closed.status is Status.UNKNOWN
    assert closed.attempts[0] == down
    cut = closed.attempts[1]
    assert (cut.provider, cut.kind, cut.outcome) == ("twilio-eu", "twilio", Outcome.UNKNOWN)
    assert (cut.started_at, cut.seconds) == (claim.at + 1, 0.0)
    assert cut.reason == "the sidecar stopped while this attempt was under way"
    assert await kept.log.claim(claim, keep_keys=DAY) == Existing(closed, same_body=True)


async def test_an_accepted_attempt_outweighs_the_one_under_way(log, kept, claim_of, took):
    claimed = await log.claim(claim_of(), keep_keys=DAY)
    await log.sending(claimed, (took,), under_way("sns", "sns", 1.0))
    await kept.restart()
    assert (await kept.log.get("d-1")).status is Status.ACCEPTED


async def test_recovery_looks_at_the_latest_run_only(log, kept, claim_of, ended, down):
    claim = claim_of()
    first = await log.claim(claim, keep_keys=DAY)
    await log.sending(first, (), under_way("sns", "sns", 1.0))
    await log.finish(first, ended(claim, Status.FAILED, down))
    await log.claim(claim, keep_keys=DAY)
    assert await kept.restart() == Recovery(attempts=0, deliveries=1)
    closed = await kept.log.get("d-1")
    assert (closed.status, closed.attempts) == (Status.FAILED, ())


# Pruning


async def test_the_oldest_go_first_and_at_most_so_many(log, send):
    for number in (3, 1, 2, 4):
        await send(log, f"d-{number}", at=float(number))
    assert await log.prune(before=4.0, limit=2) == 2
    left = [number for number in (1, 2, 3, 4) if await log.get(f"d-{number}")]
    assert left == [3, 4]
    assert await log.prune(before=4.0, limit=2) == 1
    assert await log.prune(before=4.0, limit=2) == 0


async def test_what_is_pending_is_never_pruned(log, claim_of):
    await log.claim(claim_of(), keep_keys=DAY)
    assert await log.prune(before=claim_of().at + 1, limit=10) == 0
    assert (await log.get("d-1")).status is Status.PENDING


async def test_a_pruned_delivery_takes_its_attempts_and_its_key_along(log, send, claim_of):
    await send(log, key_hash="k", at=1.0)
    assert await log.prune(before=2.0, limit=10) == 1
    again = claim_of("d-1", key_hash="k", at=3.0)
    assert await log.claim(again, keep_keys=DAY) == Claimed("d-1", 1)
    assert (await log.get("d-1")).attempts == ()


# Open and closed


async def test_ping_says_nothing_where_all_is_well(log):
    assert await log.ping() is None


@pytest.mark.parametrize("was_open", [False, True])
async def test_a_log_that_is_not_open_says_so(kept, claim_of, ended, was_open):
    if was_open:
        await kept.log.open()
        await kept.log.close()
    claimed = Claimed("d-1", 1)
    for operation in (
        kept.log.claim(claim_of(), keep_keys=DAY),
        kept.log.sending(claimed, (), under_way("sns", "sns", 1.0)),
        kept.log.finish(claimed, ended(claim_of(), Status.FAILED)),
        kept.log.get("d-1"),
        kept.log.prune(1.0, 1),
        kept.log.ping(),
    ):
        with pytest.raises(LogUnavailable, match="not open"):
            await operation


async def test_it_can_be_closed_unopened_and_twice_and_opened_again(kept, send):
    await kept.log.close()
    await kept.log.open()
    await kept.log.close()
    await kept.log.close()
    await kept.log.open()
    written = await send(kept.log)
    assert await kept.log.get("d-1") == written
    await kept.log.close()
