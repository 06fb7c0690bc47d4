"""The canonical line is the one that structlog's chain would write, whichever way it takes."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sidecar import logs
from sidecar.canonical import CanonicalLine
from sidecar.delivery.model import Attempt, Delivery, Outcome, Status, Transition
from sidecar.ids import about_request

SECRETS = [
    "canary-secret",
    'cänary"sec\\ret\n',
    "0123456789abcdef",
    "canary/sec+ret",
    "CANARY\x7f\x01",
]


@pytest.fixture
def out(monkeypatch):
    redactor = logs.Redactor()
    redactor.add(SECRETS)
    monkeypatch.setattr(logs, "redactor", redactor)
    stream = io.StringIO()
    logs.configure(stream=stream)
    yield stream
    about_request.set({})
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()
    logging.captureWarnings(capture=False)


def delivery(*attempts, status=Status.ACCEPTED, **more):
    given = {"recipient": "+1******2671", "recipient_hash": "ab12cd34", "segments": 1, **more}
    return Delivery("m-1", "sms", "otp", status, 1.0, 1.31234, attempts, **given)


def test_its_keys_and_their_order(out):
    about_request.set({"request_id": "r-1"})
    refused = Attempt("sns", "sns", Outcome.UNAVAILABLE, 1.0, reason="refused", provider_code="E1")
    CanonicalLine().delivery_ended(
        delivery(refused, Attempt("twilio", "twilio", Outcome.ACCEPTED, 1.0), logged=False)
    )
    line = json.loads(out.getvalue())
    assert line.pop("ts").endswith("Z")
    assert list(line.items()) == [
        ("level", "info"),
        ("event", "delivery"),
        ("id", "m-1"),
        ("channel", "sms"),
        ("purpose", "otp"),
        ("outcome", "accepted"),
        ("provider", "twilio"),
        ("attempts", ["sns: unavailable, refused, E1", "twilio: accepted"]),
        ("seconds", 0.3123),
        ("segments", 1),
        ("cost", None),
        ("recipient", "+1******2671"),
        ("recipient_hash", "ab12cd34"),
        ("logged", False),
        ("request_id", "r-1"),
    ]


def test_what_was_not_accepted_is_a_warning_and_a_circuit_has_a_line_of_its_own(out):
    opened = Transition("closed", "open", "5 consecutive failures")
    failed = Attempt("one", "twilio", Outcome.UNAVAILABLE, 1.0, transition=opened)
    CanonicalLine().delivery_ended(delivery(failed, status=Status.FAILED))
    told, circuit = map(json.loads, out.getvalue().splitlines())
    assert (told["level"], told["provider"]) == ("warning", None)
    assert (circuit["level"], circuit["event"], circuit["after"]) == ("warning", "circuit", "open")


TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.builds(
        "{}{}{}".format,
        st.text('aA"\\\n', max_size=3),
        st.sampled_from([*SECRETS, "x" * 1001, *("6331" * 3, "Y2FuYXJ5LXNlY3JldA==")]),
        st.text('aA"\\\n', max_size=3),
    ),
)
FACTS = st.dictionaries(
    st.sampled_from(["id", "more", "request_id", "trace_id"]),
    st.one_of(st.integers(-5, 5), st.none(), TEXTS, st.lists(TEXTS), st.dictionaries(TEXTS, TEXTS)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["info", "warning"]), FACTS, TEXTS)
@example("info", {"id": 'a "cänary"sec\\ret\n'}, "r-1")
def test_the_short_way_writes_what_the_long_one_does(out, level, facts, request_id):
    about_request.set({"request_id": request_id})

    def line():
        told = json.loads(out.getvalue())
        out.seek(0)
        out.truncate()
        del told["ts"]
        return list(told.items())

    logs.tell(level, "delivery", dict(facts))
    short = line()
    getattr(structlog.get_logger(), level)("delivery", **facts)
    assert short == line()


def test_the_short_way_is_taken(out, monkeypatch):
    monkeypatch.setattr(structlog, "get_logger", None)
    logs.tell("info", "delivery", {"id": "m-1"})
    assert json.loads(out.getvalue())["id"] == "m-1"


def test_without_our_chain_structlog_has_the_last_word(out):
    with structlog.testing.capture_logs() as told:
        logs.tell("warning", "delivery", {"id": "m-1"})
    assert told == [{"event": "delivery", "id": "m-1", "log_level": "warning"}]
    assert out.getvalue() == ""
