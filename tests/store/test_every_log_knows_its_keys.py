"""Keys, ids and bodies: what is claimed, what is replayed, and what is refused, in each log."""

import pytest

from sidecar.delivery.model import Status
from sidecar.store import Claimed, Existing

DAY = 86_400.0
SURELY_NOT_SENT = [status for status in Status if status.surely_not_sent]


@pytest.mark.parametrize("status", [Status.PENDING, Status.ACCEPTED, Status.UNKNOWN])
@pytest.mark.parametrize("key", [None, "k"])
async def test_what_may_have_been_sent_is_not_claimed_again(log, claim_of, ended, status, key):
    claim = claim_of(key_hash=key)
    claimed = await log.claim(claim, keep_keys=DAY)
    written = ended(claim, status, ended_at=None)
    if status is not Status.PENDING:
        await log.finish(claimed, written)
    assert await log.claim(claim, keep_keys=DAY) == Existing(written, same_body=True)


@pytest.mark.parametrize("status", SURELY_NOT_SENT)
@pytest.mark.parametrize("key", [None, "k"])
async def test_what_surely_was_not_sent_runs_again(log, claim_of, ended, down, status, key):
    claim = claim_of(key_hash=key)
    first = await log.claim(claim, keep_keys=DAY)
    await log.finish(first, ended(claim, status, down, reason="no", retry_after=3.0))
    later = claim._replace(at=claim.at + 5)
    assert await log.claim(later, keep_keys=DAY) == Claimed("d-1", 2)
    assert await log.get("d-1") == ended(later, Status.PENDING, ended_at=None)


async def test_the_attempts_shown_are_those_of_the_latest_run(log, claim_of, ended, down, took):
    claim = claim_of()
    await log.finish(await log.claim(claim, keep_keys=DAY), ended(claim, Status.FAILED, down, down))
    await log.finish(await log.claim(claim, keep_keys=DAY), ended(claim, Status.ACCEPTED, took))
    assert (await log.get("d-1")).attempts == (took,)


@pytest.mark.parametrize("status", list(Status))
async def test_another_body_under_the_key_is_said_and_never_claimed(log, claim_of, ended, status):
    claim = claim_of(key_hash="k")
    claimed = await log.claim(claim, keep_keys=DAY)
    written = ended(claim, status, ended_at=None)
    if status is not Status.PENDING:
        await log.finish(claimed, written)
    other = claim_of("d-2", key_hash="k", body_hash="other")
    assert await log.claim(other, keep_keys=DAY) == Existing(written, same_body=False)
    assert await log.get("d-2") is None


async def test_the_key_decides_whatever_id_comes_with_it(log, claim_of, ended):
    claim = claim_of(key_hash="k")
    await log.finish(await log.claim(claim, keep_keys=DAY), ended(claim, Status.FAILED))
    again = claim_of("d-2", key_hash="k", at=claim.at + 1)
    assert await log.claim(again, keep_keys=DAY) == Claimed("d-1", 2)
    assert await log.get("d-2") is None


async def test_an_id_under_another_key_is_another_message(log, claim_of, ended):
    await log.claim(claim_of(key_hash="k1"), keep_keys=DAY)
    answer = await log.claim(claim_of(key_hash="k2"), keep_keys=DAY)
    assert answer == Existing(ended(claim_of(), Status.PENDING, ended_at=None), same_body=False)


async def test_an_id_that_had_no_key_keeps_the_one_it_runs_again_under(log, claim_of, ended):
    await log.finish(await log.claim(claim_of(), keep_keys=DAY), ended(claim_of(), Status.FAILED))
    keyed = claim_of(key_hash="k")
    assert await log.claim(keyed, keep_keys=DAY) == Claimed("d-1", 2)
    found = await log.claim(claim_of("d-2", key_hash="k"), keep_keys=DAY)
    assert isinstance(found, Existing)
    assert (found.delivery.id, found.same_body) == ("d-1", True)


@pytest.mark.parametrize(("age", "known"), [(DAY - 1, True), (DAY, False), (DAY + 1, False)])
async def test_a_key_is_forgotten_when_its_time_is_over(log, send, claim_of, age, known):
    first = await send(log, key_hash="k")
    answer = await log.claim(
        claim_of("d-2", key_hash="k", at=first.started_at + age), keep_keys=DAY
    )
    assert answer == (Existing(first, same_body=True) if known else Claimed("d-2", 1))


async def test_a_forgotten_key_belongs_to_the_latest_delivery(log, send, claim_of):
    first = await send(log, "d-1", key_hash="k")
    second = await send(log, "d-2", key_hash="k", at=first.started_at + DAY)
    answer = await log.claim(claim_of("d-3", key_hash="k", at=second.started_at), keep_keys=DAY)
    assert answer == Existing(second, same_body=True)


async def test_a_run_by_its_id_does_not_revive_a_key_that_was_forgotten(log, claim_of, ended):
    claim = claim_of(key_hash="k")
    await log.finish(await log.claim(claim, keep_keys=DAY), ended(claim, Status.FAILED))
    heir = claim_of("d-2", key_hash="k", body_hash="other", at=claim.at + DAY)
    assert await log.claim(heir, keep_keys=DAY) == Claimed("d-2", 1)
    by_id = claim_of(at=claim.at + DAY + 1)
    assert await log.claim(by_id, keep_keys=DAY) == Claimed("d-1", 2)
    found = await log.claim(heir._replace(at=claim.at + DAY + 2), keep_keys=DAY)
    assert isinstance(found, Existing)
    assert (found.delivery.id, found.same_body) == ("d-2", True)


async def test_a_run_by_its_id_keeps_the_key_that_is_remembered(log, claim_of, ended):
    claim = claim_of(key_hash="k")
    await log.finish(await log.claim(claim, keep_keys=DAY), ended(claim, Status.FAILED))
    assert await log.claim(claim_of(at=claim.at + 1), keep_keys=DAY) == Claimed("d-1", 2)
    found = await log.claim(claim_of("d-2", key_hash="k", at=claim.at + DAY), keep_keys=DAY)
    assert isinstance(found, Existing)
    assert (found.delivery.id, found.same_body) == ("d-1", True)


async def test_claims_without_a_key_never_meet(log, claim_of):
    assert await log.claim(claim_of("d-1"), keep_keys=DAY) == Claimed("d-1", 1)
    assert await log.claim(claim_of("d-2"), keep_keys=DAY) == Claimed("d-2", 1)
