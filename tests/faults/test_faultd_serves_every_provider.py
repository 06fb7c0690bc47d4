"""The daemon, healthy: every plugin takes it for its vendor, over plain TCP and over TLS."""

from __future__ import annotations

from hashlib import sha256

import pytest

from faultd.client import CHANNELS
from harness.process import EMAIL, PHONE
from harness.providers import config

KINDS = list(CHANNELS)


@pytest.fixture(scope="module")
def sidecars(faultd, begin):
    """One for each channel, with all its kinds in the chain; no circuit ever opens."""
    for kind in KINDS:
        faultd.add(f"{kind}_secure", kind)
    texts = {}
    for channel in ("email", "sms"):
        kinds = [kind for kind in KINDS if CHANNELS[kind] == channel]
        sections = [faultd.section(kind) for kind in kinds]
        sections += [faultd.section(f"{kind}_secure", tls=True) for kind in kinds]
        texts[channel] = config(channel, *sections, more="breaker: {enabled: false}")
    return {channel: begin(text) for channel, text in texts.items()}


@pytest.mark.parametrize("tls", ["", "_secure"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_send_is_accepted_and_stands_in_the_ledger(faultd, sidecars, kind, tls):
    channel, name = CHANNELS[kind], f"{kind}{tls}"
    others = [one for one in faultd.providers if one != name]
    for one in others:
        faultd.set(one, "refuse")
    before = len(faultd.ledger())
    text = f"Täglich 482913 für {name}\n.\n#ref-{name}"
    answer = sidecars[channel].send(channel, text=text)
    assert answer.status == 200
    assert answer.trail[-1] == (name, "accepted")
    (record,) = faultd.ledger(since=before)
    assert record["id"] == answer.json["provider_message_id"]
    assert record["provider"] == name
    assert record["recipient"] == (EMAIL if channel == "email" else PHONE)
    assert record["sha256"] == sha256(text.encode()).hexdigest()
    assert record["correlation"] == f"ref-{name}"
    assert record["lost"] is False
    assert faultd.counts(name)["requests"] >= 1
