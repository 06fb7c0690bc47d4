"""The breaker beside a slower, plainer one: whatever is done to both, they agree at every step.

The model keeps no epochs and computes nothing when asked. Time is pushed into it, and it holds the
set of calls whose result still matters; whatever moves the circuit on empties that set.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from sidecar.delivery.breaker import Breaker, BreakerSettings
from sidecar.delivery.policy import Verdict


class Model:
    def __init__(self, chosen):
        self.chosen = chosen
        self.now = 0.0
        self.to("closed")

    def to(self, state):
        self.state = state
        self.matters = set()  # numbers of the calls whose result will be listened to
        self.failures = 0
        self.successes = 0
        self.open_times = []  # since the last close
        self.half_open_at = None
        self.trial_lapses_at = None

    def advance(self, seconds):
        self.now += seconds
        if self.state == "open" and self.now >= self.half_open_at:
            self.state, self.half_open_at = "half_open", None
        if self.trial_lapses_at is not None and self.now >= self.trial_lapses_at:
            self.trial_lapses_at = None

    def admits(self):
        if self.state in ("closed", "disabled"):
            return True
        return self.state == "half_open" and self.trial_lapses_at is None

    def start(self, number, lease):
        if not self.admits():
            return False
        if self.state == "half_open":
            self.begin_trial(number, lease)
        else:
            self.matters.add(number)
        return True

    def start_panic(self, number, lease):
        if self.state != "open" or self.trial_lapses_at is not None:
            return False
        self.begin_trial(number, lease)
        return True

    def begin_trial(self, number, lease):
        self.matters = {number}
        self.trial_lapses_at = self.now + lease

    def finish(self, number, verdict, *, panic):
        if number not in self.matters or self.state == "disabled":
            return
        self.matters.discard(number)
        if self.state == "closed":
            self.hear(verdict)
        else:
            self.trial_lapses_at = None
            self.hear_trial(verdict, panic=panic)

    def hear(self, verdict):
        if verdict == "success":
            self.failures = 0
        elif verdict == "failure":
            self.failures += 1
        if verdict == "misconfigured" or self.failures >= self.chosen.failure_threshold:
            self.open()

    def hear_trial(self, verdict, *, panic):
        if verdict == "success":
            self.failures = 0
            self.successes += 1
            if self.state == "open":
                self.state, self.half_open_at = "half_open", None
            if self.successes >= self.chosen.success_threshold:
                self.to("closed")
        elif verdict != "neutral":
            self.failures += 1
            if not panic:
                self.open()

    def open(self):
        failures, earlier = self.failures, self.open_times
        self.to("open")
        longest = max(self.chosen.max_recovery_timeout, self.chosen.recovery_timeout)
        nth = self.chosen.recovery_timeout * self.chosen.growth ** len(earlier)
        self.failures, self.open_times = failures, [*earlier, min(nth, longest)]
        self.half_open_at = self.now + self.open_times[-1]


chosen_settings = st.builds(
    BreakerSettings,
    failure_threshold=st.integers(1, 5),
    recovery_timeout=st.sampled_from([10.0, 60.0]),
    success_threshold=st.integers(1, 3),
    growth=st.sampled_from([1.0, 2.0, 4.0]),
    max_recovery_timeout=st.sampled_from([40.0, 300.0]),
)
verdicts = st.sampled_from([*Verdict, Verdict.SUCCESS, Verdict.FAILURE, Verdict.FAILURE])


class BreakerBesideItsModel(RuleBasedStateMachine):
    permits = Bundle("permits")

    @initialize(chosen=chosen_settings)
    def build(self, chosen):
        self.model = Model(chosen)
        self.breaker = Breaker(chosen, lambda: self.model.now)
        self.calls = 0

    def begin(self, start, start_model, lease):
        permit = start(lease)
        self.calls += 1
        assert start_model(self.calls, lease) is (permit is not None)
        return multiple() if permit is None else (self.calls, permit)

    @rule(target=permits, lease=st.sampled_from([5.0, 20.0]))
    def start(self, lease):
        return self.begin(self.breaker.start, self.model.start, lease)

    @precondition(lambda self: self.model.state != "closed")
    @rule(target=permits, lease=st.sampled_from([5.0, 20.0]))
    def start_panic(self, lease):
        return self.begin(self.breaker.start_panic, self.model.start_panic, lease)

    @rule(call=consumes(permits), verdict=verdicts)
    def finish(self, call, verdict):
        number, permit = call
        before = self.model.state
        self.model.finish(number, verdict.value, panic=permit.panic)
        told = self.breaker.finish(permit, verdict)
        self.breaker.cancel(permit)  # as the chain does after every attempt
        moved = (told.before, told.after) if told else (before, before)
        assert moved == (before, self.model.state)

    @rule(call=consumes(permits))
    def cancel(self, call):
        number, permit = call
        self.model.finish(number, "neutral", panic=permit.panic)
        self.breaker.cancel(permit)

    @rule(quarters=st.integers(1, 120))
    def advance(self, quarters):
        self.model.advance(quarters / 4)

    @precondition(lambda self: self.model.state == "open")
    @rule(short=st.sampled_from([0.0, 0.25]))
    def advance_to_half_open(self, short):
        self.model.advance(self.model.half_open_at - self.model.now - short)

    @precondition(lambda self: self.model.state == "closed")
    @rule()
    def fail_until_open(self):
        while self.model.state == "closed":
            self.finish(self.start_for(self.breaker.start, self.model.start), Verdict.FAILURE)

    @precondition(lambda self: self.model.admits())
    @rule(verdict=verdicts)
    def call_at_once(self, verdict):
        self.finish(self.start_for(self.breaker.start, self.model.start), verdict)

    def start_for(self, start, start_model):
        return self.begin(start, start_model, 5.0)

    @rule(hand=st.sampled_from(["isolate", "disable", "reset"]), often=st.integers(0, 3))
    def operator(self, hand, often):
        if often:  # one time in four: the operator is not the main road
            return
        getattr(self.breaker, hand)()
        self.model.to({"isolate": "isolated", "disable": "disabled", "reset": "closed"}[hand])

    @invariant()
    def they_agree(self):
        model, breaker = self.model, self.breaker
        left = None if model.half_open_at is None else model.half_open_at - model.now
        assert breaker.state == model.state
        assert breaker.consecutive_failures == model.failures
        assert breaker.seconds_to_half_open() == left
        assert (breaker.barred_by() is None) is model.admits()


TestBreakerBesideItsModel = BreakerBesideItsModel.TestCase
TestBreakerBesideItsModel.settings = settings(max_examples=150, stateful_step_count=40)
