"""The one table, said again in the words of the semantics, and what is derived from it."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.delivery.model import Attempt, Money, Outcome, SkipReason, Status
from sidecar.delivery.policy import (
    ABSENT,
    RULES,
    ChainPolicy,
    OnRejected,
    OnUnknown,
    Order,
    Panic,
    duplicate_possible,
    maybe_sent,
    status_of,
    throttle_seconds,
    total_cost,
)


def ended(outcome, reason=None, *, final=False):
    return Attempt("p", "scripted", Outcome(outcome), 0.0, reason=reason, final=final)


def skip(reason):
    return ended("skipped", reason)


# outcome, tries the next provider, the breaker hears, may be on its way
TABLE = [
    ("accepted", "no", "success", True),
    ("rejected", "on_rejected", "neutral", False),
    ("refused", "yes", "neutral", False),
    ("throttled", "yes", "neutral", False),
    ("unavailable", "yes", "failure", False),
    ("unknown", "on_unknown", "failure", True),
    ("misconfigured", "yes", "misconfigured", False),
    ("crashed", "on_unknown", "failure", True),
    ("local", "yes", "neutral", False),
    ("skipped", "yes", "neutral", False),
]


def test_every_outcome_has_its_row():
    assert set(RULES) == set(Outcome)
    assert [row[0] for row in TABLE] == [o.value for o in Outcome]


@pytest.mark.parametrize(("outcome", "following", "hears", "maybe"), TABLE)
def test_a_row_says_what_the_semantics_say(outcome, following, hears, maybe):
    rule = RULES[Outcome(outcome)]
    assert (rule.next, rule.verdict, rule.maybe_sent) == (following, hears, maybe)


def test_the_defaults_of_a_chain():
    assert ChainPolicy() == ChainPolicy(
        on_unknown=OnUnknown.FAILOVER,
        on_rejected=OnRejected.STOP,
        panic=Panic.PROBE,
        max_unknown_failovers=1,
    )


def test_the_words_of_the_settings():
    assert [*OnUnknown] == ["failover", "stop"]
    assert [*OnRejected] == ["stop", "failover"]
    assert [*Panic] == ["probe", "off"]


@pytest.mark.parametrize("outcome", ["refused", "throttled", "unavailable", "misconfigured"])
def test_a_surely_unsent_failure_never_ends_the_chain(outcome):
    strictest = ChainPolicy(on_unknown=OnUnknown.STOP, on_rejected=OnRejected.STOP)
    assert strictest.goes_on([ended(outcome)] * 9)


@pytest.mark.parametrize("outcome", ["local", "skipped"])
def test_a_fault_of_our_own_never_ends_the_chain(outcome):
    assert ChainPolicy().goes_on([ended(outcome)])


@pytest.mark.parametrize("outcome", ["unknown", "crashed"])
@pytest.mark.parametrize(
    ("policy", "so_far", "goes_on"),
    [
        (ChainPolicy(), [], True),
        (ChainPolicy(), ["unavailable", "throttled"], True),
        (ChainPolicy(), ["unknown"], False),
        (ChainPolicy(), ["crashed"], False),
        (ChainPolicy(max_unknown_failovers=2), ["unknown"], True),
        (ChainPolicy(max_unknown_failovers=2), ["unknown", "crashed"], False),
        (ChainPolicy(max_unknown_failovers=0), [], False),
        (ChainPolicy(on_unknown=OnUnknown.STOP), [], False),
    ],
)
def test_what_may_have_been_sent_is_failed_over_once(outcome, policy, so_far, goes_on):
    assert policy.goes_on([ended(o) for o in [*so_far, outcome]]) is goes_on


@pytest.mark.parametrize(
    ("setting", "final", "goes_on"),
    [
        ("stop", False, False),
        ("stop", True, False),
        ("failover", False, True),
        ("failover", True, False),
    ],
)
def test_a_rejection_stops_unless_failover_is_asked_for_and_allowed(setting, final, goes_on):
    policy = ChainPolicy(on_rejected=OnRejected(setting))
    assert policy.goes_on([ended("rejected", final=final)]) is goes_on


def test_an_acceptance_ends_the_chain_whatever_the_settings():
    policy = ChainPolicy(on_rejected=OnRejected.FAILOVER)
    assert policy.goes_on([ended("accepted")]) is False


@pytest.mark.parametrize(
    ("outcomes", "count"),
    [
        ([], 0),
        (["unavailable", "local"], 0),
        (["unknown", "refused"], 1),
        (["unknown", "accepted"], 2),
    ],
)
def test_possible_messages_are_counted(outcomes, count):
    attempts = [ended(o) for o in outcomes]
    assert maybe_sent(attempts) == count
    assert duplicate_possible(attempts) is (count > 1)


@pytest.mark.parametrize(
    ("attempts", "status"),
    [
        ([ended("accepted")], Status.ACCEPTED),
        ([ended("unavailable"), ended("accepted")], Status.ACCEPTED),
        ([ended("unknown"), ended("accepted")], Status.ACCEPTED),
        ([ended("accepted"), skip(SkipReason.DEADLINE)], Status.ACCEPTED),
        ([ended("unknown")], Status.UNKNOWN),
        ([ended("crashed")], Status.UNKNOWN),
        ([ended("unknown"), ended("unavailable")], Status.UNKNOWN),
        ([ended("unknown"), ended("rejected")], Status.UNKNOWN),
        ([ended("unknown"), skip(SkipReason.DEADLINE)], Status.UNKNOWN),
        ([ended("rejected")], Status.REJECTED),
        ([ended("unavailable"), ended("rejected")], Status.REJECTED),
        ([ended("unavailable")], Status.FAILED),
        ([ended("throttled")], Status.FAILED),
        ([ended("unavailable", reason="deadline")], Status.FAILED),  # a provider's own word
        ([ended("refused"), skip(SkipReason.CIRCUIT_OPEN)], Status.FAILED),
        ([ended("misconfigured"), ended("local")], Status.FAILED),
        ([ended("unavailable"), skip(SkipReason.BUSY)], Status.FAILED),
        ([ended("unavailable"), skip(SkipReason.DEADLINE)], Status.EXPIRED),
        ([skip(SkipReason.CIRCUIT_OPEN), skip(SkipReason.DEADLINE)], Status.EXPIRED),
        ([ended("local")], Status.OVERLOADED),
        ([ended("local"), skip(SkipReason.CIRCUIT_OPEN)], Status.OVERLOADED),
        ([skip(SkipReason.BUSY)], Status.OVERLOADED),
        ([skip(SkipReason.CIRCUIT_OPEN)], Status.UNAVAILABLE),
        ([skip(SkipReason.THROTTLED), skip(SkipReason.DISABLED)], Status.UNAVAILABLE),
        ([skip(SkipReason.LOG_UNAVAILABLE)], Status.UNAVAILABLE),
        ([], Status.UNAVAILABLE),
    ],
)
def test_the_terminal_status_of_a_trail(attempts, status):
    assert status_of(attempts) is status


@given(st.lists(st.sampled_from([ended(o) for o in Outcome] + [skip(r) for r in SkipReason])))
def test_a_status_says_surely_unsent_only_when_it_is(attempts):
    status = status_of(attempts)
    assert status is not Status.PENDING
    assert status.surely_not_sent is (maybe_sent(attempts) == 0)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (None, 5.0),
        (0, 5.0),
        (0.0, 5.0),
        (-1, 5.0),
        (-math.inf, 5.0),
        (math.nan, 5.0),
        (0.5, 0.5),
        (7, 7),
        (300, 300.0),
        (301, 300.0),
        (1e9, 300.0),
        (math.inf, 300.0),
        (10**400, 300.0),
        ("7", 5.0),
        (Decimal("sNaN"), 5.0),
    ],
)
def test_how_long_a_throttled_provider_is_left_alone(asked, seconds):
    assert throttle_seconds(asked) == seconds


@pytest.mark.parametrize("reason", SkipReason)
def test_a_skip_tells_of_its_provider_unless_it_was_never_there_or_comes_later(reason):
    silent = ("not_configured", "disabled", "soft_budget", "dearer")
    assert (reason in ABSENT) == (reason.value in silent)


def test_the_words_of_the_order():
    assert [order.value for order in Order] == ["declared", "cheapest"]


@pytest.mark.parametrize(
    ("costs", "total"),
    [
        ([], None),
        ([None], None),
        (["0.01 USD"], "0.01 USD"),
        ([None, "0.01 USD"], "0.01 USD"),
        (["0.01 USD", None], "0.01 USD"),
        (["0.01 USD", "0.02 USD"], "0.03 USD"),
        (["0.01 USD", "0.02 USD", "0.04 USD"], "0.07 USD"),
        (["0 USD", "0.02 USD"], "0.02 USD"),
        (["0.01 USD", "0 USD"], "0.01 USD"),
        (["0 EUR", "0.02 USD"], "0.02 USD"),
        (["0.50 EUR", "0.02 USD"], "0.02 USD"),
        (["0.02 USD", "0.50 EUR", None], "0.50 EUR"),
        (["0.02 USD", "0.50 EUR", "0.03 USD"], "0.05 USD"),
    ],
)
def test_the_cost_of_a_trail_is_in_the_currency_of_its_last_that_has_one(costs, total):
    def money(text):
        return text and Money(Decimal(text.split()[0]), text.split()[1])

    trail = [Attempt("p", "k", Outcome.UNKNOWN, 0.0, cost=money(cost)) for cost in costs]
    assert total_cost(trail) == money(total)
