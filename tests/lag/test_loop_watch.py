"""The watch over a loop, driven by hand: what is said of whom, and when a send arrived."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from sidecar.blame import Suspect
from sidecar.lag import AFTERMATH, BLOCKED, QUIET, TICK, WINDOW, LoopWatch
from sidecar.testing import ManualClock

ACME = Suspect("acme", "acme", "sidecar_acme:41")


class Hand:
    """The watch with its clock and its two faces moved by hand."""

    def __init__(self):
        self.clock = ManualClock()
        self.suspect = ACME
        self.watch = LoopWatch(self.clock, lambda loop, thread: self.suspect)
        self.watch._beat = self.clock.monotonic()
        self.watch._half_ends = self.clock.monotonic() + WINDOW

    def turn(self, late=0.0):
        """The loop turns, so many seconds later than it should."""
        self.clock.advance(TICK + late)
        self.watch._tick(asyncio.get_running_loop())
        self.watch._timer.cancel()

    def look(self):
        """The thread looks."""
        self.watch._judge(self.clock.monotonic(), None, 0)

    def block(self, seconds):
        self.clock.advance(TICK + BLOCKED + 0.01)
        self.look()
        self.turn(seconds - 2 * TICK - BLOCKED)
        self.look()


@pytest.fixture
def hand():
    return Hand()


def heard(logs):
    return [(line["event"], line.get("provider"), line.get("seconds")) for line in logs]


async def test_a_block_is_told_while_it_lasts_and_when_it_is_over(hand):
    with capture_logs() as logs:
        hand.clock.advance(TICK + BLOCKED)
        hand.look()
        assert logs == []
        hand.clock.advance(0.05)
        hand.look()
        assert heard(logs) == [("loop_blocked", "acme", 0.3)]
        hand.clock.advance(0.5)
        hand.look()
        hand.turn(0.55)
        hand.look()
    assert heard(logs) == [("loop_blocked", "acme", 0.3), ("loop_recovered", "acme", 1.45)]
    assert logs[0]["where"] == "sidecar_acme:41"
    assert (hand.watch.last_block.suspect, hand.watch.last_block.seconds) == (ACME, 1.45)


async def test_a_loop_that_turns_in_time_is_not_looked_at(hand):
    hand.watch._look = None  # calling it would raise
    with capture_logs() as logs:
        for _ in range(100):
            hand.turn(late=0.1)
            hand.look()
    assert logs == []
    assert hand.watch.longest_lag == pytest.approx(0.1)


async def test_a_loop_that_only_waits_for_the_machine_accuses_nobody(hand):
    hand.suspect = None
    with capture_logs() as logs:
        hand.block(3.0)
    assert logs == []
    assert hand.watch.last_block is None


async def test_the_same_is_said_every_ten_seconds_at_most_and_another_at_once(hand):
    with capture_logs() as logs:
        for _ in range(5):
            hand.block(1.0)
        assert [line["event"] for line in logs] == ["loop_blocked", "loop_recovered"]
        hand.suspect = Suspect("other", "other", "sidecar_other:1")
        hand.block(1.0)
        assert [line["event"] for line in logs] == ["loop_blocked", "loop_recovered"] * 2
        hand.suspect = ACME
        hand.turn(QUIET)
        hand.block(1.0)
        assert [line["event"] for line in logs] == ["loop_blocked", "loop_recovered"] * 3


async def test_a_stop_of_the_whole_process_is_nobodys_fault(hand):
    with capture_logs() as logs:
        hand.clock.advance(5.0)
        assert hand.watch._stood_still(4.9, cpu=0.01)
        hand.watch._forgiven = hand.clock.monotonic()
        hand.look()
        hand.clock.advance(BLOCKED)
        hand.look()
        assert heard(logs) == [("process_was_stopped", None, 4.9)]
        hand.clock.advance(0.05)  # what still blocks after that is looked for
        hand.look()
    assert logs[-1]["event"] == "loop_blocked"


async def test_a_thread_that_came_late_because_something_computed_looks_for_it(hand):
    with capture_logs() as logs:
        assert not hand.watch._stood_still(4.9, cpu=4.8)
        assert not hand.watch._stood_still(4.9, cpu=0.8), "others had the processors"
        assert not hand.watch._stood_still(0.1, cpu=0.0)
    assert logs == []


async def test_the_longest_lag_is_kept_for_a_minute_at_most(hand):
    hand.turn(0.7)
    for _ in range(int(WINDOW / TICK) - 10):
        hand.turn()
    assert hand.watch.longest_lag == pytest.approx(0.7)
    for _ in range(2 * int(WINDOW / TICK) + 20):
        hand.turn()
    assert hand.watch.longest_lag < 0.1


async def test_without_a_stall_a_send_arrives_when_it_begins_and_nothing_is_asked(hand):
    hand.turn(0.9)
    assert hand.watch.arrival(None) == hand.clock.monotonic()


async def test_a_send_that_waited_in_the_socket_counts_from_its_arrival(hand):
    began = hand.clock.monotonic()
    hand.clock.advance(5.0)
    now = hand.clock.monotonic()
    assert hand.watch.arrival(lambda: 3.0) == now - 3.0
    assert hand.watch.arrival(lambda: 60.0) == began, "before the stall it would have been seen"
    assert hand.watch.arrival(lambda: None) == began, "a Unix socket does not tell"


async def test_right_after_a_stall_it_is_asked_still_and_then_no_more(hand):
    hand.turn(5.0)
    now = hand.clock.monotonic()
    assert hand.watch.arrival(lambda: 0.0) == now
    assert hand.watch.arrival(lambda: 2.0) == now - 2.0
    hand.clock.advance(AFTERMATH)
    hand.watch._tick(asyncio.get_running_loop())
    hand.watch._timer.cancel()
    assert hand.watch.arrival(None) == hand.clock.monotonic()


async def test_before_it_was_started_it_judges_nothing():
    watch = LoopWatch(ManualClock(), None)
    assert watch.arrival(None) == 1_000.0
    assert watch.longest_lag == 0.0
