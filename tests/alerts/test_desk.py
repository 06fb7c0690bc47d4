"""What is told again is silent, what is over is told, and what flaps is held back."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.alerting import bad, good
from sidecar import logs
from sidecar.alerts import Alert
from sidecar.alerts.desk import ACTIVE, CALM, FACTS, WORDS, Desk


class Told:
    """A desk, and what it did with what it was told."""

    def __init__(self, clock, logged):
        self.sent = []
        self.opened = Counter()
        self.logged = logged
        self.desk = Desk(
            clock,
            lambda alert, at: self.sent.append((alert, at)),
            lambda e: self.opened.update([e]),
        )

    def tell(self, *alerts):
        for alert in alerts:
            self.desk.tell(alert)

    def posts(self):
        return [(alert.subject, alert.resolved) for alert, _ in self.sent]

    def lines(self):
        return [(line["event"], line["subject"]) for line in self.logged]


@pytest.fixture
def told(clock, logged):
    return Told(clock, logged)


def test_an_alert_is_written_counted_and_sent(told, clock):
    told.tell(bad(facts={"times": 5}), bad("sns", level="error"))
    assert told.logged == [
        {
            "event": "alert",
            "log_level": "warning",
            "alert": "circuit_open",
            "subject": "twilio",
            "summary": "twilio is bad",
            "facts": {"times": 5},
        },
        {
            "event": "alert",
            "log_level": "error",
            "alert": "circuit_open",
            "subject": "sns",
            "summary": "sns is bad",
            "facts": {},
        },
    ]
    assert told.posts() == [("twilio", False), ("sns", False)]
    assert told.sent[0][1] == clock.time()
    assert told.opened == {"circuit_open": 2}
    assert [(case.alert.subject, case.since) for case in told.desk.active()] == [
        ("twilio", clock.time()),
        ("sns", clock.time()),
    ]


def test_told_again_while_it_is_active_it_is_silent(told, clock):
    for _ in range(1000):
        told.tell(bad())
        clock.advance(60.0)
    assert told.posts() == [("twilio", False)]
    assert told.lines() == [("alert", "twilio")]
    assert told.opened == {"circuit_open": 1}
    assert len(told.desk) == 1


def test_the_same_word_of_another_subject_is_another_alert(told):
    told.tell(bad("50%", "budget"), bad("80%", "budget"), bad("80%", "quota"))
    assert len(told.sent) == 3


def test_what_is_over_is_told_once_with_how_long_it_lasted(told, clock):
    told.tell(bad())
    clock.advance(90.0)
    told.tell(good(facts={"now": "closed"}), good())
    assert told.posts() == [("twilio", False), ("twilio", True)]
    assert told.logged[1:] == [
        {
            "event": "alert_resolved",
            "log_level": "info",
            "alert": "circuit_open",
            "subject": "twilio",
            "summary": "twilio is good again",
            "facts": {"now": "closed"},
            "lasted": 90.0,
        }
    ]
    assert told.sent[1][1] == clock.time()
    assert told.desk.active() == []


def test_what_was_never_bad_is_not_good_again(told):
    told.tell(good(), bad("sns"), good("twilio"), good("sns", "budget"))
    assert told.posts() == [("sns", False)]
    assert told.lines() == [("alert", "sns")]


def test_what_flaps_is_written_each_time_and_sent_once_in_five_minutes(told, clock):
    began = clock.monotonic()
    while clock.monotonic() - began < 3 * CALM:
        told.tell(bad())
        clock.advance(5.0)
        told.desk.look()
        told.tell(good())
        clock.advance(5.0)
        told.desk.look()
    assert len(told.logged) == 2 * 90
    assert told.posts() == [("twilio", False), ("twilio", True)] * 3
    assert told.desk.active() == []


def test_what_was_held_back_and_stays_is_sent_when_the_calm_is_over(told, clock):
    told.tell(bad(), good())
    clock.advance(CALM - 10.0)
    told.tell(bad())
    since = clock.time()
    clock.advance(9.0)
    told.desk.look()
    assert len(told.sent) == 2
    clock.advance(1.0)
    told.desk.look()
    told.desk.look()
    assert told.posts()[2:] == [("twilio", False)]
    assert told.sent[2][1] == since, "when it happened, not when it was sent"
    told.tell(good())
    assert told.posts()[3:] == [("twilio", True)]


def test_the_end_has_the_level_of_the_beginning(told):
    told.tell(bad(level="error"), good())
    assert [alert.level for alert, _ in told.sent] == ["error", "error"]
    assert told.logged[1]["log_level"] == "info"


def test_after_the_calm_it_is_sent_at_once(told, clock):
    told.tell(bad(), good())
    clock.advance(CALM)
    told.tell(bad())
    assert told.posts() == [("twilio", False), ("twilio", True), ("twilio", False)]


def test_the_memory_is_bounded_and_the_oldest_is_forgotten(told, clock):
    told.tell(*(bad(f"p{n}") for n in range(10 * ACTIVE)))
    assert len(told.desk) == ACTIVE
    assert told.desk.active()[0].alert.subject == f"p{9 * ACTIVE}"
    told.tell(good("p0"))
    assert len(told.sent) == 10 * ACTIVE
    told.tell(*(good(f"p{n}") for n in range(10 * ACTIVE)))
    assert len(told.desk) == 0
    assert len(told.desk._calm_until) == ACTIVE


def test_of_what_ended_the_latest_are_remembered(told, clock):
    told.tell(bad(), good())
    told.tell(*(alert for n in range(ACTIVE - 2) for alert in (bad(f"p{n}"), good(f"p{n}"))))
    clock.advance(CALM)
    told.tell(bad(), good(), bad("new"), good("new"), bad("newer"), good("newer"))
    before = len(told.sent)
    told.tell(bad(), bad("p0"))
    assert told.posts()[before:] == [("p0", False)], "the other one ended just now"


def test_no_secret_leaves_it(told, monkeypatch):
    monkeypatch.setattr(logs, "redactor", type(logs.redactor)())
    secret = "canary-alert-secret"
    logs.redactor.add([secret])
    told.tell(
        Alert(
            "x",
            f"a {secret}",
            f"b {secret}",
            facts={"c": secret},
        )
    )
    (alert, _), (case,) = told.sent[0], told.desk.active()
    assert alert.subject == "a ***"
    assert alert.summary == case.alert.summary == "b ***"
    assert alert.facts == {"c": "***"}
    assert "canary" not in str(told.logged)


def test_words_and_facts_are_cut_to_size(told):
    told.tell(
        Alert("Odd.Word!", "s" * 9999, "w" * 9999, facts={f"f{n}": "v" * 9999 for n in range(99)})
    )
    ((alert, _),) = told.sent
    assert alert.event == "odd_word_"
    assert len(alert.subject) == len(alert.summary) == len(alert.facts["f0"]) == WORDS
    assert len(alert.facts) == FACTS


def test_facts_that_change_later_do_not_change_what_was_told(told):
    facts = {"n": 1}
    told.tell(bad(facts=facts))
    facts["n"] = 2
    assert told.sent[0][0].facts == {"n": 1}
