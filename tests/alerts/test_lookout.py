"""Which circuits and which fallbacks are alerts, and when they are over."""

from __future__ import annotations

import pytest

from sidecar.alerts.lookout import QUIET, Lookout
from sidecar.delivery.breaker import Breaker, BreakerSettings
from sidecar.delivery.link import Link
from sidecar.delivery.model import Attempt, Delivery, Outcome, SkipReason, Status
from sidecar.delivery.policy import Verdict
from sidecar.observers import Observers
from sidecar.registry import Registry
from sidecar.testing import ScriptedProvider

HOUR = 3600.0


class Post:
    """A lookout over two providers, told by the observers as the process does."""

    def __init__(self, clock):
        self.clock = clock
        self.links = {name: self.link(name) for name in ("one", "two")}
        self.heard = []
        self.chains = {"sms": ["one", "two"], "email": ["one", "two"]}
        self.lookout = Lookout(self.heard.append, self.links.values, clock, self.chains, HOUR)
        registry = Registry()
        registry.register(self.lookout)
        self.observers = Observers(registry)

    def link(self, name):
        breaker = Breaker(BreakerSettings(), self.clock.monotonic)
        return Link(name, "scripted", ScriptedProvider(name), breaker, self.clock)

    def verdicts(self, *verdicts, name="one"):
        """Calls of `name` that ended so; what the circuit did is told."""
        breaker = self.links[name].breaker
        for verdict in verdicts:
            permit = breaker.start(1.0)
            change = breaker.finish(permit, verdict)
            attempt = Attempt(name, "scripted", Outcome.UNAVAILABLE, 0.0, transition=change)
            self.ended(attempt, status=Status.FAILED)

    def ended(self, *attempts, status=Status.ACCEPTED, channel="sms"):
        self.observers.delivery_ended(
            Delivery("m-1", channel, "otp", status, 0.0, 1.0, attempts, recipient="+1******2671")
        )

    def by_first(self, **more):
        self.ended(taken("one"), **more)

    def by_fallback(self, outcome=Outcome.UNAVAILABLE, reason="down", **more):
        self.ended(Attempt("one", "scripted", outcome, 0.0, reason=reason), taken("two"), **more)

    def later(self, seconds):
        self.clock.advance(seconds)
        self.lookout.look()

    def told(self):
        found = [(alert.event, alert.subject, alert.resolved) for alert in self.heard]
        self.heard.clear()
        return found


def taken(name):
    return Attempt(name, "scripted", Outcome.ACCEPTED, 0.0)


@pytest.fixture
def post(clock):
    return Post(clock)


OPENED = [("circuit_open", "one", False)]
CLOSED = [("circuit_open", "one", True)]
FELL = [("fallback", "sms", False)]
BACK = [("fallback", "sms", True)]
FAILURES = [Verdict.FAILURE] * 5


# Circuits


def test_a_circuit_that_opens_and_closes(post):
    post.verdicts(*FAILURES)
    (alert,) = post.heard
    assert alert.summary == (
        "the circuit of one is open, 5 consecutive failures: it is passed by until a trial succeeds"
    )
    assert alert.level == "warning"
    assert alert.facts == {
        "kind": "scripted",
        "reason": "5 consecutive failures",
        "tried_again_in_seconds": 60.0,
    }
    assert post.told() == OPENED
    post.later(60.0)
    post.verdicts(Verdict.SUCCESS)
    assert post.told() == [], "half-open is not closed"
    post.verdicts(Verdict.SUCCESS)
    assert post.heard[0].summary == "the circuit of one is closed again"
    assert post.told() == CLOSED


def test_an_account_that_is_not_accepted_is_an_error(post):
    post.verdicts(Verdict.MISCONFIGURED)
    (alert,) = post.heard
    assert alert.level == "error"
    assert "mend it, then reload" in alert.summary


def test_the_alert_of_a_provider_that_cannot_be_used_says_why(post):
    why = "the provider's address is loopback or private; `allow_private: true` admits it"
    link = post.links["one"]
    link.heard(Attempt("one", "scripted", Outcome.MISCONFIGURED, 0.0, reason=why))
    post.verdicts(Verdict.MISCONFIGURED)
    assert post.heard[0].summary == f"one cannot be used, {why}: mend it, then reload"


def test_a_circuit_that_an_operator_isolates_is_no_alert(post):
    change = post.links["one"].breaker.isolate()
    post.ended(Attempt("one", "scripted", Outcome.UNAVAILABLE, 0.0, transition=change))
    assert post.told() == []


@pytest.mark.parametrize("by_hand", ["isolate", "disable", "reset"])
def test_an_open_one_that_an_operator_takes_in_hand_is_over(post, by_hand):
    post.verdicts(*FAILURES)
    post.told()
    getattr(post.links["one"].breaker, by_hand)()  # and nobody tells
    post.later(5.0)
    post.later(5.0)
    assert post.told() == CLOSED


def test_a_provider_that_is_configured_no_more_is_over(post):
    post.verdicts(*FAILURES)
    post.told()
    del post.links["one"]
    post.lookout.look()
    assert post.heard[0].summary == "one is no longer configured"
    assert post.told() == CLOSED


def test_a_provider_that_was_made_anew_is_over(post):
    post.verdicts(*FAILURES)
    post.told()
    post.links["one"] = post.link("one")
    post.lookout.look()
    assert post.told() == CLOSED


def switched_off(post):
    post.links["one"].enabled = False


def taken_out_of_every_chain(post):
    post.lookout.renew({"sms": ["two"], "email": ["two"]})


NOT_ASKED = pytest.mark.parametrize(
    ("change", "summary"),
    [(switched_off, "one is disabled"), (taken_out_of_every_chain, "one is in no chain")],
)


@NOT_ASKED
def test_an_open_one_that_nobody_asks_any_more_is_over(post, change, summary):
    post.verdicts(*FAILURES)
    post.told()
    change(post)
    post.lookout.look()
    assert post.heard[0].summary == summary
    post.lookout.look()
    assert post.told() == CLOSED


@NOT_ASKED
def test_one_that_opens_when_nobody_asks_it_any_more_is_no_alert(post, change, summary):
    change(post)
    post.verdicts(*FAILURES)
    assert post.told() == []


def test_an_open_one_that_another_chain_asks_is_not_over(post):
    post.verdicts(*FAILURES)
    post.lookout.renew({"sms": ["two"], "email": ["one"]})
    post.lookout.look()
    assert post.told() == OPENED


def test_one_that_is_asked_again_and_fails_again_is_told_of_again(post):
    post.verdicts(*FAILURES)
    switched_off(post)
    post.lookout.look()
    post.links["one"].enabled = True
    post.later(60.0)
    post.verdicts(Verdict.FAILURE)
    assert post.told() == OPENED + CLOSED + OPENED


def test_a_late_word_of_a_circuit_that_has_closed_is_no_alert(post):
    post.verdicts(*FAILURES)
    post.told()
    post.links["one"].breaker.reset()
    post.lookout.look()
    post.told()
    post.lookout.circuit_changed("one", "open")
    post.lookout.circuit_changed("gone", "open")
    assert post.told() == []


# Fallbacks


def test_the_first_fallback_is_told_of_and_those_after_it_are_not(post):
    post.by_first()
    post.by_fallback()
    (alert,) = post.heard
    assert alert.summary == "sms goes by two: one is unavailable"
    assert alert.facts == {"provider": "two", "first": "one", "because": "unavailable"}
    for _ in range(1000):
        post.by_fallback()
        post.clock.advance(20.0)
    assert post.told() == FELL


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        *((outcome, "words") for outcome in Outcome if outcome not in ("accepted", "skipped")),
        *((Outcome.SKIPPED, reason) for reason in SkipReason),
    ],
)
def test_what_counts_as_a_fallback(post, outcome, reason):
    by_choice = {"not_configured", "disabled", "isolated", "dearer", "soft_budget"}
    post.by_fallback(outcome, reason)
    assert post.told() == ([] if reason in by_choice else FELL)


def test_a_provider_that_is_not_there_is_passed_over_on_the_way_to_the_first(post):
    absent = Attempt("zero", "scripted", Outcome.SKIPPED, 0.0, reason=SkipReason.NOT_CONFIGURED)
    post.ended(absent, taken("one"))
    assert post.told() == []
    down = Attempt("one", "scripted", Outcome.UNAVAILABLE, 0.0)
    post.ended(absent, down, taken("two"))
    assert post.heard[0].facts["first"] == "one"


def test_a_probe_of_the_first_in_panic_is_no_fallback(post):
    shut = [
        Attempt(name, "scripted", Outcome.SKIPPED, 0.0, reason=SkipReason.CIRCUIT_OPEN)
        for name in ("one", "two")
    ]
    post.ended(*shut, taken("one"))
    assert post.told() == []


def test_what_nobody_accepted_is_no_fallback(post):
    failed = [Attempt(name, "scripted", Outcome.UNAVAILABLE, 0.0) for name in ("one", "two")]
    post.ended(*failed, status=Status.FAILED)
    post.ended(status=Status.UNAVAILABLE)
    assert post.told() == []


def test_it_is_over_when_the_first_takes_messages_and_ten_minutes_were_quiet(post):
    post.by_fallback()
    post.told()
    post.by_first()
    post.later(QUIET - 1.0)
    post.by_first()
    assert post.told() == []
    post.later(1.0)
    assert post.heard[0].summary == "the first provider of sms takes messages again"
    assert post.told() == BACK


def test_silence_alone_is_no_recovery(post):
    post.by_fallback()
    post.told()
    post.later(5 * HOUR)
    assert post.told() == []
    post.by_first()
    post.later(5.0)
    assert post.told() == BACK


def test_a_fallback_in_between_begins_the_ten_minutes_anew(post):
    post.by_fallback()
    post.told()
    post.by_first()
    post.later(QUIET - 1.0)
    post.by_fallback()
    post.by_first()
    post.later(QUIET - 1.0)
    assert post.told() == []
    post.later(1.0)
    assert post.told() == BACK


def test_a_first_provider_that_failed_again_is_not_back(post):
    post.by_fallback()
    post.by_first()
    post.by_fallback()
    post.later(QUIET)
    assert post.told() == FELL


def test_within_the_hour_another_one_is_not_told_of(post):
    post.by_fallback()
    post.by_first()
    post.later(QUIET)
    assert post.told() == FELL + BACK
    post.clock.advance(HOUR - QUIET - 1.0)
    post.by_fallback()
    assert post.told() == []


def test_an_hour_without_one_and_it_is_told_of_again(post):
    post.by_fallback()
    post.by_first()
    post.later(QUIET)
    post.clock.advance(HOUR - QUIET)
    post.by_fallback()
    assert post.told() == FELL + BACK + FELL


def test_an_outage_that_begins_within_the_hour_is_told_of_when_the_hour_is_over(post):
    post.by_fallback()
    post.by_first()
    post.later(QUIET)
    post.told()
    for _ in range(int((HOUR - QUIET) / 10.0)):
        assert post.told() == []
        post.by_fallback()
        post.later(10.0)
    post.by_fallback()
    assert post.told() == FELL


def test_each_channel_is_judged_by_itself(post):
    post.by_fallback()
    post.by_first(channel="email")
    post.later(QUIET)
    assert post.told() == FELL
    post.by_fallback(channel="email")
    assert post.told() == [("fallback", "email", False)]


def test_a_channel_that_is_no_more_is_over(post):
    post.by_fallback()
    post.by_fallback(channel="email")
    post.told()
    post.lookout.renew({"email": ["one", "two"]})
    assert post.told() == BACK
    post.lookout.renew({"email": ["one", "two"]})
    assert post.told() == []


def test_a_send_that_ends_when_its_channel_is_no_more_tells_of_no_fallback(post):
    post.lookout.renew({"email": ["one", "two"]})
    post.by_fallback()
    assert post.told() == []
    post.lookout.renew(post.chains)
    post.by_fallback()
    assert post.told() == FELL, "it is not counted either"


def test_no_recipient_is_in_an_alert(post):
    post.by_fallback(reason="+14155552671 is not here")
    assert "2671" not in str(post.heard)
