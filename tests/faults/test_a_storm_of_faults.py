"""Every provider of every kind breaks at random while sends and replays run at once."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from faultd.client import CHANNELS
from harness import oracle
from harness.process import wait_for
from harness.rig import Rig

SEED = 20_26
ROUNDS = 8
AT_ONCE = 8
FAULTS = {
    "http": [
        ("status", {"code": 503}),
        ("status", {"code": 500}),
        ("auth", {}),
        ("reset", {}),
        ("eof", {"at": "connect"}),
        ("lost", {"how": "reset"}),
        ("lost", {"how": "eof"}),
        ("lost", {"probability": 1.0}),
        ("lost", {"probability": 1.0}),
        ("truncate", {}),
        ("big", {}),
        ("answer", {"body": "html"}),
        ("redirect", {}),
        ("reject", {"probability": 0.2}),
        ("slow", {"delay": 0.2}),
        ("refuse", {}),
    ],
    "smtp": [
        ("reply", {"at": "rcpt"}),
        ("reply", {"at": "dot", "text": "554 5.7.1 filtered"}),
        ("auth", {}),
        ("eof", {"at": "greeting"}),
        ("lost", {"how": "eof"}),
        ("lost", {"probability": 1.0}),
        ("truncate", {}),
        ("reject", {"probability": 0.2}),
        ("slow", {"delay": 0.2}),
        ("refuse", {}),
    ],
}
QUICK = "breaker: {recovery_timeout: 300ms, growth: 1}\nlimits: {deadline: 6s}"


@pytest.fixture(scope="module")
def rigs(faultd, begin):
    """A chain of all kinds for each channel, in one sidecar."""
    chains = {"sms": [], "email": []}
    for kind, channel in CHANNELS.items():
        for number in (1, 2):
            faultd.add(f"storm_{kind}_{number}", kind)
            chains[channel].append(f"storm_{kind}_{number}")
    sections = [faultd.section(name, timeout=2) for names in chains.values() for name in names]
    lines = [f"  {channel}: {names}" for channel, names in chains.items()]
    text = "\n".join([QUICK, "providers:", *(f"  {one}" for one in sections), "chains:", *lines])
    sidecar = begin(text + "\n")
    made = [Rig(faultd, sidecar, channel, names, deadline=6.0) for channel, names in chains.items()]
    for rig in made:
        rig.recover()
    return made


def break_some(faultd, rig, chance):
    """Another fault, or none, for each provider; it strikes at random."""
    for name in rig.chain:
        faultd.heal(name)
        kind = faultd.providers[name]["kind"]
        if chance.random() < 0.8:
            fault, options = chance.choice(FAULTS["smtp" if kind == "smtp" else "http"])
            strikes = {"probability": 0.6, "seed": chance.randrange(1000)}
            faultd.set(name, fault, **{**strikes, **options} if fault != "refuse" else options)


def test_every_invariant_holds_and_the_service_heals(faultd, rigs):
    chance = random.Random(SEED)
    with ThreadPoolExecutor(AT_ONCE) as callers:
        for _ in range(ROUNDS):
            for rig in rigs:
                break_some(faultd, rig, chance)
            calls = [callers.submit(rig.send) for _ in range(AT_ONCE) for rig in rigs]
            sents = [call.result() for call in calls]
            both = [(rig, sents[number::2][:3]) for number, rig in enumerate(rigs)]
            again = [callers.submit(rig.send, one) for rig, some in both for one in some]
            for call in again:
                call.result()
    seen = {outcome for rig in rigs for sent in rig.sents for _, outcome in sent.answer.trail}
    assert seen >= {"accepted", "unknown", "unavailable", "misconfigured", "skipped"}
    faultd.heal()
    for rig in rigs:
        assert rig.breaches() == []
        wait_for(lambda rig=rig: is_well_after_a_send(rig), "every circuit the chain can close")
        assert rig.send().answer.trail == [(rig.chain[0], "accepted")]
        # One further down the chain may be open still, and half open between two questions.
        wait_for(lambda rig=rig: "open" not in states(rig), "the circuits to be at rest")
        assert list(oracle.wrong_gauges(rig.sidecar)) == []


def is_well_after_a_send(rig):
    rig.send()
    return rig.circuit(rig.chain[0])["state"] == "closed"


def states(rig):
    chains = rig.sidecar.call("GET", "/health").json["chains"].values()
    return {one["circuit"]["state"] for chain in chains for one in chain["providers"]}
