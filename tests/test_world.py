"""From settings to links and chains: nothing that a file says is lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.config import load
from sidecar.delivery.breaker import State
from sidecar.delivery.policy import OnRejected, OnUnknown, Panic
from sidecar.registry import Registry
from sidecar.testing import ManualClock
from sidecar.world import build_world

TEXT = """
limits: {deadline: 7s, in_flight: 9, in_flight_per_provider: 3, queue: 5, queue_wait: 2s}
log: {path: x.db, unavailable: degrade, keys: 1h}
breaker: {failure_threshold: 4, jitter: 0.1}
providers:
  one: {kind: console, timeout: 2s, breaker: {recovery_timeout: 5s, slow_call: 1s}}
  two: {kind: console, breaker: {enabled: false}}
  spare: {kind: console, enabled: false}
  twilio: {optional: true, account_sid: "${NO_SUCH}", auth_token: "${NOR_THIS}", sender: "+1555"}
chains:
  sms:
    providers: [twilio, one, two]
    on_unknown: stop
    on_rejected: failover
    panic: off
    max_unknown_failovers: 0
  email: [two, one]
"""


@pytest.fixture
def world(tmp_path: Path):
    path = tmp_path / "providers.yaml"
    path.write_text(TEXT)
    config = load(path, environ={}, provider_class=Registry().provider_class)
    return build_world(config, ManualClock())


def test_the_limits_and_the_routes(world):
    routes = world.routes()
    assert (routes.deadline, routes.keep_keys, routes.degrade) == (7.0, 3600.0, True)
    limits = world.room.limits
    assert (limits.in_flight, limits.in_flight_per_provider) == (9, 3)
    assert (limits.queue, limits.queue_wait) == (5, 2.0)


def test_a_link_is_shared_by_the_chains_that_name_it(world):
    sms, email = world.chains["sms"], world.chains["email"]
    assert [link.name for link in sms.links] == ["twilio", "one", "two"]
    assert [link.name for link in email.links] == ["two", "one"]
    assert sms.links[1] is email.links[1]


def test_the_policy_of_a_chain(world):
    policy = world.chains["sms"].policy
    assert (policy.on_unknown, policy.on_rejected) == (OnUnknown.STOP, OnRejected.FAILOVER)
    assert (policy.panic, policy.max_unknown_failovers) == (Panic.OFF, 0)
    assert world.chains["email"].policy.on_unknown is OnUnknown.FAILOVER


def test_a_providers_own_numbers_and_the_files(world):
    one, two = world.links["one"], world.links["two"]
    assert (one.timeout, two.timeout) == (2.0, 4.0)
    assert one.breaker.settings.failure_threshold == 4
    assert (one.breaker.settings.recovery_timeout, one.breaker.settings.slow_call) == (5.0, 1.0)
    assert one.breaker.settings.jitter == 0.1
    assert two.breaker.state is State.DISABLED


def test_what_is_off_or_lacks_something_is_there_and_skipped(world):
    assert world.links["spare"].would_skip() == "disabled"
    twilio = world.links["twilio"]
    assert twilio.would_skip() == "not_configured"
    assert twilio.missing == ("NO_SUCH", "NOR_THIS")


# From one version of the file to the next

PAIR = """
providers:
  ses: {region: us-east-1, sender: a@example.com}
  smtp: {host: mail.example.com, username: u, password: "${PASSWORD}", sender: a@example.com}
chains: {email: [ses, smtp]}
"""
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "canary-1", "PASSWORD": "canary-2"}


@pytest.fixture
def versions(tmp_path: Path):
    """Build a version of the file after another; `versions(text, VARIABLE=value)`."""
    registry, clock, built = Registry(), ManualClock(), []

    def build(text=PAIR, **changed):
        path = tmp_path / "providers.yaml"
        path.write_text(text)
        environ = {**KEYS, **changed}
        config = load(path, environ=environ, provider_class=registry.provider_class)
        built.append(build_world(config, clock, built[-1] if built else None))
        return built[-1]

    return build


def kept(before, after):
    return {n for n in after.links if before.links[n].provider is after.links[n].provider}


def test_what_did_not_change_is_the_very_same(versions):
    before, after = versions(), versions(PAIR.replace("[ses, smtp]", "[smtp, ses]"))
    assert kept(before, after) == {"ses", "smtp"}
    assert all(before.links[name] is after.links[name] for name in after.links)
    assert [link.name for link in after.chains["email"].links] == ["smtp", "ses"]


def test_a_variable_that_the_text_uses_renews_whoever_uses_it(versions):
    before, after = versions(), versions(PASSWORD="canary-3")
    assert kept(before, after) == {"ses"}


def test_a_variable_that_an_sdk_reads_by_itself_renews_that_provider(versions):
    before, after = versions(), versions(AWS_SECRET_ACCESS_KEY="canary-4")
    assert kept(before, after) == {"smtp"}
    assert after.links["ses"].breaker is not before.links["ses"].breaker


def test_a_variable_that_nobody_reads_renews_nobody(versions):
    before, after = versions(), versions(EDITOR="vi")
    assert kept(before, after) == {"ses", "smtp"}


def test_the_breaker_goes_over_unless_its_own_settings_change(versions):
    before = versions()
    slower = versions(PAIR.replace("username: u", "username: u, timeout: 2s"))
    assert slower.links["smtp"].breaker is before.links["smtp"].breaker
    assert slower.links["smtp"].standing is before.links["smtp"].standing
    assert (before.links["smtp"].timeout, slower.links["smtp"].timeout) == (4.0, 2.0)
    stricter = versions("breaker: {failure_threshold: 2}\n" + PAIR)
    assert kept(slower, stricter) == {"ses", "smtp"}
    assert stricter.links["smtp"].breaker is not slower.links["smtp"].breaker
    assert stricter.links["smtp"].breaker.settings.failure_threshold == 2


def test_the_same_name_for_another_kind_is_another_provider(versions):
    before = versions()
    ses = "{region: us-east-1, sender: a@example.com}"
    after = versions(PAIR.replace(ses, "{kind: console}"))
    assert kept(before, after) == {"smtp"}
    assert after.links["ses"].kind == "console"
