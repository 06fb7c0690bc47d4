"""What is counted of a delivery."""

from __future__ import annotations

import pytest

from sidecar.delivery.model import Attempt, Delivery, Outcome, SkipReason, Status
from sidecar.metrics import Metrics


def attempt(provider, outcome, reason=None):
    return Attempt(provider, "twilio", outcome, 1.0, 0.2, reason)


@pytest.fixture
def counted():
    metrics = Metrics()

    def count(*attempts, status=Status.ACCEPTED):
        metrics.delivery_ended(
            Delivery("m-1", "sms", "otp", status, 1.0, 1.5, attempts, recipient="+1******2671")
        )
        return {
            line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
            for line in metrics.page().decode().splitlines()
            if line.startswith("otp_")
        }

    return count


def test_requests_attempts_and_unknowns(counted):
    page = counted(attempt("one", Outcome.UNKNOWN), attempt("two", Outcome.ACCEPTED))
    assert page['otp_requests_total{channel="sms",status="accepted"}'] == 1
    assert page['otp_attempts_total{channel="sms",outcome="unknown",provider="one"}'] == 1
    assert page['otp_unknown_total{provider="one"}'] == 1
    assert page['otp_request_duration_seconds_sum{channel="sms",status="accepted"}'] == 0.5
    assert page['otp_attempt_duration_seconds_count{channel="sms",provider="two"}'] == 1


def test_a_failover_is_a_step_from_a_provider_that_was_counted_on(counted):
    page = counted(
        attempt("zero", Outcome.SKIPPED, SkipReason.NOT_CONFIGURED),
        attempt("one", Outcome.SKIPPED, SkipReason.CIRCUIT_OPEN),
        attempt("off", Outcome.SKIPPED, SkipReason.DISABLED),
        attempt("two", Outcome.UNAVAILABLE, "the connection was refused"),
        attempt("three", Outcome.ACCEPTED),
    )
    steps = {name for name in page if name.startswith("otp_failovers_total")}
    assert steps == {
        'otp_failovers_total{channel="sms",from="one",reason="circuit_open",to="two"}',
        'otp_failovers_total{channel="sms",from="two",reason="unavailable",to="three"}',
    }


def test_no_recipient_is_in_a_label(counted):
    assert "2671" not in str(counted(attempt("one", Outcome.ACCEPTED)))
