"""What is counted reads as if prometheus_client had counted it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from sidecar.delivery.model import Outcome
from sidecar.tallies import Durations, Tally

LABELS = ["channel", "provider", "outcome"]
BOUNDS = (0.01, 0.1, 1, 2.5, 10)
VALUES = st.tuples(
    st.sampled_from(["sms", "email"]),
    st.sampled_from(["twilio", 'a "b"\\\n', "é"]),
    st.sampled_from(Outcome),
)
SECONDS = st.one_of(st.sampled_from([0, *BOUNDS]), st.floats(0, 1e6))


def page(registry):
    """The text format; when a series was created is left out, that it was is not."""
    return re.sub(r"(?m)^(\w+_created.* )\S+$", r"\1when", generate_latest(registry).decode())


@given(st.lists(st.tuples(VALUES, SECONDS), max_size=30))
def test_the_page_is_prometheus_clients_own_to_the_byte(events):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally("x_sends", "Sends.", LABELS, ours)
    durations = Durations("x_seconds", "Time.", LABELS, BOUNDS, ours)
    counter = Counter("x_sends", "Sends.", LABELS, registry=theirs)
    histogram = Histogram("x_seconds", "Time.", LABELS, buckets=BOUNDS, registry=theirs)
    for values, seconds in events:
        tally.add(*values)
        durations.observe(seconds, *values)
        counter.labels(*values).inc()
        histogram.labels(*values).observe(seconds)
    assert page(ours) == page(theirs)


def test_a_series_says_when_it_was_created():
    registry = CollectorRegistry()
    tally = Tally("x_sends", "Sends.", ["channel"], registry)
    tally.add("sms")
    created = registry.get_sample_value("x_sends_created", {"channel": "sms"})
    tally.add("sms")
    assert registry.get_sample_value("x_sends_created", {"channel": "sms"}) == created > 1.7e9


@pytest.mark.parametrize(("wish", "told"), [("true", False), ("1", False), ("no", True)])
def test_whoever_wants_no_created_series_has_none(wish, told):
    program = """
from prometheus_client import CollectorRegistry, generate_latest
from sidecar.tallies import Durations, Tally
registry = CollectorRegistry()
Tally("x_sends", "Sends.", ["channel"], registry).add("sms")
Durations("x_seconds", "Time.", ["channel"], [1.0], registry).observe(0.5, "sms")
print(generate_latest(registry).decode())
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PROMETHEUS_DISABLE_CREATED_SERIES": wish},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "x_sends_total" in ran.stdout
    assert ("_created" in ran.stdout) is told
