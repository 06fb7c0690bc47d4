"""The breaker's laws, each with the clock in hand."""

import pytest

from sidecar.delivery.breaker import Breaker, BreakerSettings, Permit, State
from sidecar.delivery.model import Transition
from sidecar.delivery.policy import Verdict

LEASE = 5.0
SUCCESS, FAILURE = Verdict.SUCCESS, Verdict.FAILURE
NEUTRAL, MISCONFIGURED = Verdict.NEUTRAL, Verdict.MISCONFIGURED


@pytest.fixture
def make(clock):
    def make_breaker(spread=lambda: 0.0, **settings):
        return Breaker(BreakerSettings(**settings), clock.monotonic, spread)

    return make_breaker


def call(breaker, verdict, seconds=0.0):
    permit = breaker.start(LEASE)
    assert permit is not None, f"no leave in {breaker.state}"
    return breaker.finish(permit, verdict, seconds)


def opened(breaker):
    while breaker.state is State.CLOSED:
        call(breaker, FAILURE)
    return breaker


def half_opened(breaker, clock):
    clock.advance(opened(breaker).seconds_to_half_open())
    assert breaker.state is State.HALF_OPEN
    return breaker


def test_the_defaults_of_a_breaker():
    assert BreakerSettings() == BreakerSettings(
        failure_threshold=5,
        recovery_timeout=60.0,
        success_threshold=2,
        growth=2.0,
        max_recovery_timeout=300.0,
        jitter=0.0,
        failure_rate=None,
        window=60.0,
        minimum=20,
        slow_call=None,
        enabled=True,
    )


# the lease of a trial


def test_a_trial_that_the_operator_ended_holds_up_none_of_the_next_circuit(make, clock):
    breaker = half_opened(make(recovery_timeout=1.0), clock)
    assert breaker.start(60.0) is not None
    breaker.reset()
    assert half_opened(breaker, clock).start(LEASE) is not None


# closed


def test_exactly_the_fifth_failure_opens(make):
    breaker = make()
    assert breaker.reason is None
    assert [call(breaker, FAILURE) for _ in range(4)] == [None] * 4
    assert (breaker.state, breaker.consecutive_failures) == (State.CLOSED, 4)
    transition = call(breaker, FAILURE)
    assert transition == Transition("closed", "open", "5 consecutive failures")
    assert (breaker.state, breaker.consecutive_failures) == (State.OPEN, 5)
    assert breaker.reason == "5 consecutive failures"


def test_four_failures_and_a_success_never_open_however_often(make):
    breaker = make()
    for _ in range(50):
        for verdict in [FAILURE] * 4 + [SUCCESS]:
            assert call(breaker, verdict) is None
    assert (breaker.state, breaker.consecutive_failures) == (State.CLOSED, 0)


def test_neutral_outcomes_neither_count_nor_reset(make):
    breaker = make()
    for _ in range(4):
        call(breaker, FAILURE)
    for _ in range(100):
        assert call(breaker, NEUTRAL) is None
    assert (breaker.state, breaker.consecutive_failures) == (State.CLOSED, 4)
    call(breaker, FAILURE)
    assert breaker.state is State.OPEN


def test_a_misconfiguration_opens_at_once_and_says_so(make):
    breaker = make()
    assert call(breaker, MISCONFIGURED) == Transition("closed", "open", "misconfigured")
    assert (breaker.reason, breaker.seconds_to_half_open()) == ("misconfigured", 60.0)


def test_any_number_of_calls_may_be_under_way_while_closed(make):
    breaker = make()
    assert all(breaker.start(LEASE) for _ in range(1000))


def test_the_summary_is_for_a_person(make):
    breaker = make()
    call(breaker, FAILURE)
    assert breaker.summary() == "closed 1/5"


# open


def test_open_gives_no_leave_for_sixty_seconds(make, clock):
    breaker = opened(make())
    assert breaker.seconds_to_half_open() == 60.0
    clock.advance(59.5)
    assert breaker.seconds_to_half_open() == 0.5
    assert breaker.barred_by() is not None
    assert breaker.start(LEASE) is None
    clock.advance(0.5)
    assert breaker.barred_by() is None


def test_the_state_needs_no_traffic(make, clock):
    breaker = opened(make())
    clock.advance(60.0)
    assert breaker.state is State.HALF_OPEN
    assert breaker.seconds_to_half_open() is None


def test_asking_whether_it_would_start_takes_no_permit(make, clock):
    breaker = half_opened(make(), clock)
    assert [breaker.barred_by() for _ in range(3)] == [None] * 3
    assert breaker.start(LEASE) is not None


def test_the_wall_clock_is_never_asked(make, clock, monkeypatch):
    def jumped():
        raise AssertionError("a breaker asked for the wall clock")

    monkeypatch.setattr(clock, "time", jumped)
    monkeypatch.setattr("time.time", jumped)
    breaker = half_opened(make(), clock)
    call(breaker, SUCCESS)
    call(breaker, SUCCESS)
    assert breaker.state is State.CLOSED


# half open


def test_two_successes_close(make, clock):
    breaker = half_opened(make(), clock)
    assert call(breaker, SUCCESS) is None
    assert (breaker.state, breaker.consecutive_failures) == (State.HALF_OPEN, 0)
    assert call(breaker, SUCCESS) == Transition("half_open", "closed")
    assert (breaker.state, breaker.reason) == (State.CLOSED, None)


def test_a_failed_trial_opens_again(make, clock):
    breaker = half_opened(make(), clock)
    assert call(breaker, FAILURE) == Transition("half_open", "open", "the trial call failed")
    assert (breaker.state, breaker.consecutive_failures) == (State.OPEN, 6)


def test_a_failure_after_one_success_opens_again_and_both_successes_are_needed_anew(make, clock):
    breaker = half_opened(make(), clock)
    call(breaker, SUCCESS)
    call(breaker, FAILURE)
    assert (breaker.state, breaker.consecutive_failures) == (State.OPEN, 1)
    clock.advance(120.0)
    call(breaker, SUCCESS)
    assert breaker.state is State.HALF_OPEN


def test_a_misconfigured_trial_opens_again_with_its_reason(make, clock):
    breaker = half_opened(make(), clock)
    assert call(breaker, MISCONFIGURED) == Transition("half_open", "open", "misconfigured")


def test_one_trial_at_a_time(make, clock):
    breaker = half_opened(make(), clock)
    first = breaker.start(LEASE)
    assert [breaker.start(LEASE) for _ in range(100)] == [None] * 100
    breaker.finish(first, SUCCESS)
    assert breaker.start(LEASE) is not None


def test_a_lost_trial_holds_its_place_for_the_lease_and_no_longer(make, clock):
    breaker = half_opened(make(), clock)
    lost = breaker.start(LEASE)
    clock.advance(LEASE - 0.5)
    assert breaker.start(LEASE) is None
    clock.advance(0.5)
    second = breaker.start(LEASE)
    assert second is not None
    assert breaker.finish(lost, FAILURE) is None
    assert breaker.state is State.HALF_OPEN
    assert breaker.start(LEASE) is None, "the late result of the first set the second one free"
    breaker.finish(second, SUCCESS)
    call(breaker, SUCCESS)
    assert breaker.state is State.CLOSED


def test_a_late_trial_counts_while_no_other_took_its_place(make, clock):
    breaker = half_opened(make(), clock)
    late = breaker.start(LEASE)
    clock.advance(LEASE + 1.0)
    breaker.finish(late, FAILURE)
    assert breaker.state is State.OPEN


@pytest.mark.parametrize("give_back", ["neutral", "cancel"])
def test_a_trial_without_a_result_gives_its_permit_back_and_counts_as_nothing(
    make, clock, give_back
):
    breaker = half_opened(make(), clock)
    call(breaker, SUCCESS)
    for _ in range(10):
        permit = breaker.start(LEASE)
        if give_back == "cancel":
            breaker.cancel(permit)
        else:
            assert breaker.finish(permit, NEUTRAL) is None
    assert breaker.state is State.HALF_OPEN
    call(breaker, SUCCESS)
    assert breaker.state is State.CLOSED


def test_giving_a_permit_back_after_its_result_changes_nothing(make, clock):
    breaker = half_opened(make(), clock)
    done = breaker.start(LEASE)
    breaker.finish(done, SUCCESS)
    running = breaker.start(LEASE)
    breaker.cancel(done)
    assert breaker.start(LEASE) is None, "the second trial lost its place to the first one's end"
    breaker.finish(running, SUCCESS)
    assert breaker.state is State.CLOSED


# epochs


def test_a_late_failure_from_before_the_opening_does_not_open_again(make, clock):
    breaker = make()
    late = [breaker.start(LEASE) for _ in range(20)]
    opened(breaker)
    clock.advance(60.0)
    assert [breaker.finish(permit, FAILURE) for permit in late] == [None] * 20
    assert breaker.state is State.HALF_OPEN


def test_a_late_success_from_before_the_opening_does_not_close(make, clock):
    breaker = make()
    late = breaker.start(LEASE)
    half_opened(breaker, clock)
    breaker.finish(late, SUCCESS)
    call(breaker, SUCCESS)
    assert breaker.state is State.HALF_OPEN


def test_late_results_do_not_count_after_the_close(make, clock):
    breaker = make()
    late = [breaker.start(LEASE) for _ in range(10)]
    half_opened(breaker, clock)
    call(breaker, SUCCESS)
    call(breaker, SUCCESS)
    for permit in late:
        breaker.finish(permit, FAILURE)
    assert (breaker.state, breaker.consecutive_failures) == (State.CLOSED, 0)


def test_a_permit_of_another_epoch_is_worth_nothing(make):
    breaker = make()
    for number in range(10):
        assert breaker.finish(Permit(number, epoch=-1), FAILURE) is None
    assert breaker.consecutive_failures == 0


# the open time


def open_times(breaker, clock, times):
    opened(breaker)
    seen = []
    for _ in range(times):
        seen.append(breaker.seconds_to_half_open())
        clock.advance(seen[-1])
        call(breaker, FAILURE)
    return seen


def test_the_open_time_doubles_up_to_its_cap(make, clock):
    assert open_times(make(), clock, 6) == [60.0, 120.0, 240.0, 300.0, 300.0, 300.0]


def test_a_growth_of_one_keeps_the_open_time(make, clock):
    assert open_times(make(growth=1.0), clock, 4) == [60.0] * 4


def test_a_small_growth_reaches_the_cap_too(make, clock):
    assert open_times(make(growth=1.01), clock, 200)[-1] == 300.0


def test_a_huge_growth_is_capped_and_overflows_nothing(make, clock):
    assert open_times(make(growth=1e300), clock, 40)[1:] == [300.0] * 39


def test_a_close_forgets_the_growth(make, clock):
    breaker = make()
    open_times(breaker, clock, 3)
    clock.advance(breaker.seconds_to_half_open())
    call(breaker, SUCCESS)
    call(breaker, SUCCESS)
    assert opened(breaker).seconds_to_half_open() == 60.0


def test_a_recovery_timeout_above_the_cap_is_kept(make, clock):
    assert open_times(make(recovery_timeout=900.0), clock, 3) == [900.0] * 3


@pytest.mark.parametrize(("spread", "seconds"), [(-1.0, 54.0), (0.0, 60.0), (1.0, 66.0)])
def test_jitter_stays_within_its_share(make, spread, seconds):
    breaker = opened(make(spread=lambda: spread, jitter=0.1))
    assert breaker.seconds_to_half_open() == pytest.approx(seconds)


def test_without_a_spread_handed_in_there_is_no_jitter(clock):
    breaker = opened(Breaker(BreakerSettings(jitter=0.1), clock.monotonic))
    assert breaker.seconds_to_half_open() == 60.0


def test_jitter_does_not_grow_from_one_opening_to_the_next(make, clock):
    times = open_times(make(spread=lambda: 1.0, jitter=0.1), clock, 3)
    assert times == pytest.approx([66.0, 132.0, 264.0])


# the panic probe


def test_a_panic_probe_needs_an_open_circuit(make, clock):
    breaker = make()
    assert breaker.start_panic(LEASE) is None
    assert opened(breaker).start_panic(LEASE) is not None
    clock.advance(60.0)
    assert breaker.start_panic(LEASE) is None


def test_one_panic_probe_at_a_time(make):
    breaker = opened(make())
    assert breaker.start_panic(LEASE) is not None
    assert breaker.start_panic(LEASE) is None


def test_a_panic_probe_that_succeeds_is_the_first_half_open_success(make):
    breaker = opened(make())
    transition = breaker.finish(breaker.start_panic(LEASE), SUCCESS)
    assert transition == Transition("open", "half_open")
    assert breaker.state is State.HALF_OPEN
    assert call(breaker, SUCCESS) == Transition("half_open", "closed")


def test_a_panic_probe_closes_where_one_success_is_enough(make):
    breaker = opened(make(success_threshold=1))
    assert breaker.finish(breaker.start_panic(LEASE), SUCCESS) == Transition("open", "closed")


@pytest.mark.parametrize("verdict", [FAILURE, MISCONFIGURED])
def test_a_panic_probe_that_fails_leaves_the_open_time_as_it_was(make, clock, verdict):
    breaker = opened(make())
    clock.advance(20.0)
    assert breaker.finish(breaker.start_panic(LEASE), verdict) is None
    assert (breaker.state, breaker.seconds_to_half_open()) == (State.OPEN, 40.0)
    clock.advance(40.0)
    assert call(breaker, FAILURE) is not None
    assert breaker.seconds_to_half_open() == 120.0, "the probe must not count as an opening"


def test_a_panic_probe_that_fails_after_the_open_time_does_not_open_again(make, clock):
    breaker = opened(make())
    clock.advance(59.0)
    probe = breaker.start_panic(LEASE)
    clock.advance(2.0)
    assert breaker.start(LEASE) is None, "one permit at a time"
    breaker.finish(probe, FAILURE)
    assert breaker.state is State.HALF_OPEN
    assert breaker.start(LEASE) is not None


# the operator's hand


def test_isolated_is_out_until_reset(make, clock):
    breaker = make()
    running = breaker.start(LEASE)
    assert breaker.isolate() == Transition("closed", "isolated", "isolated by the operator")
    clock.advance(1e6)
    assert breaker.state is State.ISOLATED
    assert breaker.start(LEASE) is None
    assert breaker.start_panic(LEASE) is None
    assert breaker.finish(running, SUCCESS) is None
    assert breaker.seconds_to_half_open() is None
    assert breaker.reset() == Transition("isolated", "closed")
    assert breaker.start(LEASE) is not None


def test_disabled_never_opens(make):
    breaker = make()
    assert breaker.disable() == Transition("closed", "disabled")
    for _ in range(20):
        assert call(breaker, FAILURE) is None
        assert call(breaker, MISCONFIGURED) is None
    assert breaker.state is State.DISABLED


def test_reset_closes_an_open_circuit_with_clean_counters(make):
    breaker = opened(make())
    assert breaker.reset() == Transition("open", "closed")
    assert breaker.consecutive_failures == 0
    assert opened(breaker).seconds_to_half_open() == 60.0


def test_settings_that_switch_it_off_survive_a_reset(make):
    breaker = make(enabled=False)
    assert call(breaker, FAILURE) is None
    breaker.isolate()
    breaker.reset()
    assert breaker.state is State.DISABLED


# what is off by default


def test_a_failure_rate_opens_from_the_minimum_of_calls_on(make):
    breaker = make(failure_rate=0.5, minimum=20, failure_threshold=100)
    for _ in range(9):
        assert call(breaker, SUCCESS) is None
        assert call(breaker, FAILURE) is None
    assert call(breaker, SUCCESS) is None
    assert call(breaker, FAILURE) == Transition("closed", "open", "failure rate")


def test_a_failure_rate_below_its_bound_opens_nothing(make):
    breaker = make(failure_rate=0.5, minimum=20, failure_threshold=100)
    for _ in range(200):
        call(breaker, SUCCESS)
        call(breaker, SUCCESS)
        call(breaker, FAILURE)
    assert breaker.state is State.CLOSED


def test_a_failure_rate_forgets_what_is_older_than_its_window(make, clock):
    breaker = make(failure_rate=0.5, window=60.0, minimum=20, failure_threshold=100)
    for _ in range(19):
        call(breaker, FAILURE)
    clock.advance(60.0)
    assert call(breaker, FAILURE) is None
    for _ in range(18):
        assert call(breaker, FAILURE) is None
    assert call(breaker, FAILURE) is not None


def test_a_failure_rate_is_counted_over_all_the_seconds_of_its_window(make, clock):
    breaker = make(failure_rate=0.5, window=60.0, minimum=4, failure_threshold=100)
    told = []
    for verdict in [SUCCESS, SUCCESS, FAILURE, FAILURE]:
        told.append(call(breaker, verdict))
        clock.advance(1.0)
    assert told == [None, None, None, Transition("closed", "open", "failure rate")]


def test_the_window_of_a_failure_rate_slides_second_by_second(make, clock):
    shorter = make(failure_rate=0.5, window=3.0, minimum=4, failure_threshold=100)
    longer = make(failure_rate=0.5, window=4.0, minimum=4, failure_threshold=100)
    told = []
    for _ in range(4):
        assert call(shorter, FAILURE) is None
        told.append(call(longer, FAILURE))
        clock.advance(1.0)
    assert [t is not None for t in told] == [False, False, False, True]
    for _ in range(20):
        assert call(shorter, FAILURE) is None
        clock.advance(1.0)


def test_successes_alone_reach_no_failure_rate_however_they_are_spread(make, clock):
    breaker = make(failure_rate=0.5, minimum=4)
    for _ in range(20):
        assert call(breaker, SUCCESS) is None
        clock.advance(1.0)


def test_a_failure_leaves_the_window_with_its_own_second(make, clock):
    breaker = make(failure_rate=1.0, window=3.0, minimum=3, failure_threshold=100)
    told = []
    for verdict in [SUCCESS, FAILURE, FAILURE, FAILURE]:
        told.append(call(breaker, verdict))
        clock.advance(1.0)
    assert told == [None, None, None, Transition("closed", "open", "failure rate")]


def test_calls_within_one_second_are_counted_one_by_one(make, clock):
    breaker = make(failure_rate=0.6, window=60.0, minimum=5, failure_threshold=100)
    for verdict in [SUCCESS, FAILURE, SUCCESS, FAILURE]:
        assert call(breaker, verdict) is None
        clock.advance(0.25)
    assert call(breaker, FAILURE) == Transition("closed", "open", "failure rate")


def test_a_close_forgets_the_failure_rate(make, clock):
    breaker = make(failure_rate=0.5, minimum=4, failure_threshold=100, recovery_timeout=10.0)
    opened(breaker)
    clock.advance(10.0)
    for verdict in [SUCCESS, SUCCESS, FAILURE, FAILURE, FAILURE]:
        call(breaker, verdict)
    assert breaker.state is State.CLOSED
    breaker.reset()
    assert call(breaker, FAILURE) is None
    assert breaker.state is State.CLOSED


def test_a_call_whose_time_is_not_told_is_not_slow(make):
    breaker = make(slow_call=0.5)
    breaker.finish(breaker.start(LEASE), SUCCESS)
    assert breaker.consecutive_failures == 0


def test_neutral_outcomes_are_no_calls_to_a_failure_rate(make):
    breaker = make(failure_rate=0.5, minimum=20, failure_threshold=100)
    for _ in range(19):
        call(breaker, FAILURE)
    for _ in range(50):
        call(breaker, NEUTRAL)
    assert breaker.state is State.CLOSED


def test_a_slow_success_counts_as_a_failure_where_asked_for(make):
    breaker = make(slow_call=3.0)
    for _ in range(10):
        call(breaker, SUCCESS, seconds=3.0)
    assert breaker.consecutive_failures == 0
    for _ in range(5):
        call(breaker, SUCCESS, seconds=3.01)
    assert breaker.state is State.OPEN


def test_slowness_makes_a_failure_of_a_success_only(make):
    breaker = make(slow_call=3.0)
    for _ in range(10):
        call(breaker, NEUTRAL, seconds=9.0)
    assert breaker.consecutive_failures == 0
    assert call(breaker, MISCONFIGURED, seconds=9.0) == Transition(
        "closed", "open", "misconfigured"
    )


def test_slowness_is_no_failure_by_default(make):
    breaker = make()
    for _ in range(10):
        call(breaker, SUCCESS, seconds=1e6)
    assert breaker.consecutive_failures == 0
