"""Timeouts that share one timer, on a loop whose clock is turned by hand."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sidecar.delivery.timeouts import TICKS, Timeouts


class Timer:
    def __init__(self, when, call):
        self.when, self.call, self.is_set = when, call, True

    def cancel(self):
        self.is_set = False


class HandTurnedLoop:
    """As much of a loop as Timeouts needs."""

    def __init__(self):
        self.now = 1_000.0
        self.timers = []

    def time(self):
        return self.now

    def call_at(self, when, call, context):
        assert not list(context)
        self.timers.append(Timer(when, call))
        return self.timers[-1]

    def turn_to(self, now):
        """Go to `now`, by way of every timer that goes off before."""
        while due := [t for t in self.timers if t.is_set and t.when <= now]:
            first = min(due, key=lambda timer: timer.when)
            self.timers.remove(first)
            self.now = max(self.now, first.when)
            first.call()
        self.now = now


@pytest.fixture
def loop():
    return HandTurnedLoop()


def test_what_is_due_is_called_up_to_a_tick_late_and_never_early(loop):
    called = []
    timeouts = Timeouts(loop)
    timeouts.at(1_004.0, lambda: called.append("late"))
    timeouts.at(1_001.0, lambda: called.append("early"))
    loop.turn_to(1_000.999)
    assert called == []
    loop.turn_to(1_001.0 + 1 / TICKS)
    assert called == ["early"]
    loop.turn_to(1_005.0)
    assert called == ["early", "late"]


def test_what_is_called_off_in_the_very_moment_is_not_called(loop):
    called = []
    timeouts = Timeouts(loop)
    first = timeouts.at(1_001.0, lambda: timeouts.call_off(second))
    second = timeouts.at(1_001.1, lambda: called.append("second"))
    loop.turn_to(1_002.0)
    assert called == []
    timeouts.call_off(first)  # it has come: nothing


@pytest.mark.parametrize("never", [float("inf"), float("nan"), 1e300])
def test_what_never_comes_does_no_harm(loop, never):
    called = []
    timeouts = Timeouts(loop)
    timeouts.at(never, lambda: called.append("never"))
    timeouts.at(1_001.0, lambda: called.append("once"))
    loop.turn_to(10_000.0)
    assert called == ["once"]


def test_one_that_is_set_by_another_is_called_too(loop):
    called = []
    timeouts = Timeouts(loop)
    timeouts.at(1_001.0, lambda: timeouts.at(1_002.0, lambda: called.append("next")))
    loop.turn_to(1_003.0)
    assert called == ["next"]


def test_many_that_are_called_off_in_time_cost_few_timers(loop):
    timeouts = Timeouts(loop)
    made = 0
    for number in range(10_000):
        loop.turn_to(1_000.0 + number / 1_000)
        before = len(loop.timers)
        timeouts.call_off(timeouts.at(loop.now + 4.0, lambda: None))
        made += max(0, len(loop.timers) - before)
    assert made < 10


class ManyTimeouts(RuleBasedStateMachine):
    """Against a list of what is due."""

    def __init__(self):
        super().__init__()
        self.loop = HandTurnedLoop()
        self.timeouts = Timeouts(self.loop)
        self.due = {}
        self.called = set()

    @rule(seconds=st.floats(0, 3, allow_subnormal=False))
    def add(self, seconds):
        number = len(self.due)
        when = self.loop.now + seconds
        timeout = self.timeouts.at(when, lambda: self.called.add(number))
        self.due[number] = [when, timeout, False]

    @rule(data=st.data())
    def call_off(self, data):
        waiting = [n for n in self.due if n not in self.called and not self.due[n][2]]
        if waiting:
            number = data.draw(st.sampled_from(waiting))
            self.timeouts.call_off(self.due[number][1])
            self.due[number][2] = True

    @rule(seconds=st.floats(0, 2, allow_subnormal=False))
    def wait(self, seconds):
        self.loop.turn_to(self.loop.now + seconds)

    @invariant()
    def those_that_are_due_were_called_and_no_others(self):
        for number, (when, _, is_off) in self.due.items():
            if number in self.called:
                assert not is_off
                assert when <= self.loop.now
            elif not is_off:
                assert self.loop.now < when + 1 / TICKS + 1e-9


TestManyTimeouts = ManyTimeouts.TestCase
