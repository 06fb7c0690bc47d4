"""The end that a crash leaves to a delivery, by what its attempts may have done."""

from dataclasses import replace

import pytest

from sidecar.delivery.model import Outcome, Status
from sidecar.store.recovery import closed, under_way

CUT_OFF = under_way("twilio-eu", "twilio", 5.0)
MAYBE = {Outcome.UNKNOWN: Status.UNKNOWN, Outcome.CRASHED: Status.UNKNOWN}
ENDS = {outcome: MAYBE.get(outcome, Status.FAILED) for outcome in Outcome} | {
    Outcome.ACCEPTED: Status.ACCEPTED
}


@pytest.mark.parametrize(("outcome", "status"), ENDS.items())
def test_attempts_that_had_ended_decide(claim_of, ended, down, outcome, status):
    attempt = replace(down, outcome=outcome)
    pending = ended(claim_of(), Status.PENDING, attempt, ended_at=None)
    end = closed(pending, None, 9.0)
    assert (end.status, end.ended_at, end.attempts) == (status, 9.0, (attempt,))
    assert end.status.surely_not_sent is (outcome not in MAYBE and outcome is not Outcome.ACCEPTED)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_one_that_was_under_way_may_have_been_sent(claim_of, ended, down, outcome):
    attempt = replace(down, outcome=outcome)
    pending = ended(claim_of(), Status.PENDING, attempt, ended_at=None)
    end = closed(pending, CUT_OFF, 9.0)
    assert not end.status.surely_not_sent
    assert end.attempts == (attempt, CUT_OFF)
    assert end.reason == "the sidecar stopped before this delivery had ended"
