"""The parts together: what time alone brings, and what a reload changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.alerting import at_rest, bad, good
from sidecar.alerts.bureau import FLUSH, LOOK_EVERY, Bureau
from sidecar.alerts.desk import CALM
from sidecar.alerts.lookout import QUIET
from sidecar.config import load
from sidecar.delivery.breaker import Breaker, BreakerSettings
from sidecar.delivery.link import Link
from sidecar.delivery.model import Attempt, Delivery, Outcome, Status
from sidecar.metrics import Metrics
from sidecar.registry import Registry
from sidecar.testing import ScriptedProvider

TEXT = """
providers: {one: {kind: console}, two: {kind: console}}
chains: {sms: [one, two], email: [one, two]}
"""


class Office:
    """A bureau over one provider, `one`."""

    def __init__(self, config, clock):
        self.config = config
        self.clock = clock
        self.metrics = Metrics()
        breaker = Breaker(BreakerSettings(), clock.monotonic)
        self.links = [Link("one", "scripted", ScriptedProvider("one"), breaker, clock)]
        self.bureau = Bureau(config, lambda: self.links, clock, self.metrics)

    def delivered(self, by, channel="sms"):
        failed = [Attempt("one", "scripted", Outcome.UNAVAILABLE, 0.0)] if by != "one" else []
        attempts = (*failed, Attempt(by, "scripted", Outcome.ACCEPTED, 0.0))
        self.bureau.lookout.delivery_ended(
            Delivery("m-1", channel, "otp", Status.ACCEPTED, 0.0, 1.0, attempts)
        )

    def open_circuit(self):
        breaker = self.links[0].breaker
        for _ in range(5):
            breaker.finish(breaker.start(1.0), "failure")
        self.bureau.lookout.circuit_changed("one", "open")

    def active(self):
        return [(case.alert.event, case.alert.subject) for case in self.bureau.active()]

    async def later(self, seconds):
        """Let time pass; both tasks wait again when they have looked."""
        await at_rest(self.clock, 2)
        self.clock.advance(seconds)
        await at_rest(self.clock, 2)


@pytest.fixture
async def office(tmp_path, clock, logged):
    path = tmp_path / "providers.yaml"
    path.write_text(TEXT)
    config = load(path, environ={}, provider_class=Registry().provider_class)
    one = Office(config, clock)
    one.bureau.start()
    yield one
    await one.bureau.close()


@pytest.fixture
def posted(office, monkeypatch):
    """What goes to the webhook."""
    found = []
    office.bureau._desk._post = lambda alert, at: found.append((alert.subject, alert.resolved))
    return found


async def test_a_fallback_is_over_without_another_send(office):
    office.delivered("two")
    office.delivered("one")
    assert office.active() == [("fallback", "sms")]
    for _ in range(int(QUIET / LOOK_EVERY) - 1):
        await office.later(LOOK_EVERY)
    assert office.active() == [("fallback", "sms")]
    await office.later(LOOK_EVERY)
    assert office.active() == []


async def test_what_was_held_back_is_sent_without_another_word(office, posted):
    office.bureau.tell(bad())
    office.bureau.tell(good())
    office.bureau.tell(bad())
    assert posted == [("twilio", False), ("twilio", True)]
    await office.later(CALM)
    assert posted[2:] == [("twilio", False)]


async def test_a_reload_resolves_what_is_no_more(office):
    office.open_circuit()
    office.delivered("two")
    office.delivered("two", channel="email")
    assert len(office.active()) == 3
    office.links.clear()
    office.bureau.renew(replace(office.config, chains={"sms": office.config.chains["sms"]}))
    assert office.active() == [("fallback", "sms")]


async def test_a_reload_resolves_the_circuit_of_what_is_in_no_chain_any_more(office):
    office.open_circuit()
    assert office.active() == [("circuit_open", "one")]
    without = office.config.chains["sms"].model_copy(update={"providers": ("two",)})
    both = office.config.chains["email"]
    office.bureau.renew(replace(office.config, chains={"sms": without, "email": both}))
    assert office.active() == [("circuit_open", "one")], "the mails still go there"
    office.bureau.renew(replace(office.config, chains={"sms": without}))
    assert office.active() == []


async def test_a_reload_brings_another_patience(office):
    soon = office.config.alerts.model_copy(update={"fallback_after": 60.0})
    office.bureau.renew(replace(office.config, alerts=soon))
    office.delivered("two")
    office.delivered("one")
    await office.later(QUIET)
    assert office.active() == []
    office.delivered("two")
    assert office.active() == [("fallback", "sms")]


async def test_the_gauge_counts_what_is_active(office):
    office.bureau.tell(bad())
    office.bureau.tell(bad("sns"))
    page = office.metrics.page().decode()
    assert "\notp_alerts_active 2.0\n" in page
    assert '\notp_alerts_total{event="circuit_open"} 2.0\n' in page


@pytest.mark.parametrize(("drain", "seconds"), [(20.0, FLUSH), (0.0, FLUSH / 2)])
async def test_a_hurry_lies_within_the_end_of_the_process(office, monkeypatch, drain, seconds):
    found = []
    monkeypatch.setattr(office.bureau._courier, "hurry", found.append)
    office.bureau.hurry(drain)
    assert found == [seconds]
