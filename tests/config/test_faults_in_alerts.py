"""The section `alerts`: what it takes, what it refuses, and what it never shows."""

from __future__ import annotations

import pytest

from harness.webhooks import KEY, OLD_KEY, secret_of
from sidecar.config import effective

SMS = "chains: {sms: [console]}\nproviders: {console: }\n"
SECRET, OLD = secret_of(KEY), secret_of(OLD_KEY)
HOW = "`echo whsec_$(openssl rand -base64 32)` makes one"
ADDRESS = "must be an address such as https://host/path, without a user, a password or a fragment"

FAULTS = {
    "no secret": (
        "{webhook: https://a.example/}",
        "1:9: alerts.secret: `webhook` needs it: what is sent there is signed",
    ),
    "plain http": (
        f"{{secret: {SECRET}, webhook: http://a.example/}}",
        (
            "1:{webhook}: alerts.webhook: must begin with https://; `allow_private: true` admits "
            "http:// to a loopback or private address"
        ),
    ),
    "another scheme": ("{webhook: ftp://a.example/}", f"1:19: alerts.webhook: {ADDRESS}"),
    "no host": ("{webhook: 'https:///x'}", f"1:19: alerts.webhook: {ADDRESS}"),
    "no address": ("{webhook: 7}", f"1:19: alerts.webhook: {ADDRESS}"),
    "a port that is none": ("{webhook: 'https://a:b/'}", f"1:19: alerts.webhook: {ADDRESS}"),
    "a password": ("{webhook: 'https://u:p@a.example/'}", f"1:19: alerts.webhook: {ADDRESS}"),
    "a fragment": ("{webhook: 'https://a.example/#x'}", f"1:19: alerts.webhook: {ADDRESS}"),
    "a space": ("{webhook: 'https://a.example/ x'}", f"1:19: alerts.webhook: {ADDRESS}"),
    "a secret in plain words": (
        "{secret: canary-in-plain-words-0000000}",
        f"1:18: alerts.secret: must begin with `whsec_`, followed by base64: {HOW}",
    ),
    "a secret that is no base64": (
        "{secret: whsec_canary-no-base64}",
        f"1:18: alerts.secret: must be base64 after `whsec_`: {HOW}",
    ),
    "a secret that is too short": (
        "{secret: whsec_Y2FuYXJ5LXNob3J0}",
        f"1:18: alerts.secret: must be of 24 to 64 bytes: {HOW}",
    ),
    "one of several": (
        f"{{secret: [{SECRET}, canary-in-plain-words]}}",
        f"1:18: alerts.secret: must begin with `whsec_`, followed by base64: {HOW}",
    ),
    "too many": (
        f"{{secret: [{', '.join([SECRET] * 6)}]}}",
        "1:18: alerts.secret: must be 5 at most",
    ),
    "a number": (
        "{secret: 123456}",
        "1:18: alerts.secret: must be a text, or a list of texts while one is replaced",
    ),
    "too often": ("{fallback_after: 1s}", "1:26: alerts.fallback_after: must be at least 60"),
    "unknown": ("{webhok: x}", "1:10: alerts.webhok: unknown key - did you mean `webhook`?"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults(faults_of, case):
    text, expected = FAULTS[case]
    place = 9 + text.find("http://") if "{webhook}" in expected else 0
    found = faults_of(f"alerts: {text}\n{SMS}")
    assert found == [f"my.yaml:{expected.replace('{webhook}', str(place))}"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "{webhook: null, secret: null}",
        "{webhook: '${NONE:-}', secret: '${NONE:-}'}",
        f"{{secret: {SECRET}}}",
        f"{{webhook: 'https://a.example', secret: {SECRET}}}",
        f"{{webhook: 'https://a.example/x?y=z', secret: [{SECRET}, {OLD}], fallback_after: 2h}}",
        f"{{webhook: 'http://127.0.0.1:9/x', allow_private: true, secret: {SECRET}}}",
        "{webhook: 'https://[::1]:9/x', allow_private: true, secret: '${SECRET}'}",
    ],
)
def test_what_is_taken(load_text, text):
    load_text(f"alerts: {text}\n{SMS}", SECRET=SECRET)


def test_a_secret_that_the_environment_lacks(faults_of):
    text = "alerts: {webhook: 'https://a.example', secret: '${NONE}'}\n"
    (fault,) = faults_of(text + SMS)
    assert "the variable `NONE` is not set" in fault


def test_the_secrets_are_shown_to_nobody(load_text, tmp_path):
    (tmp_path / "hook").write_text("https://a.example/canary-in-the-path\n")
    config = load_text(
        f"alerts: {{webhook: '${{file:hook}}', secret: ['${{NEW}}', {OLD}]}}\n{SMS}", NEW=SECRET
    )
    assert {SECRET, OLD} <= config.secrets
    shown = effective(config)
    assert shown["alerts"] == {
        "webhook": "***",
        "secret": ["***", "***"],
        "allow_private": False,
        "fallback_after": 3600.0,
    }
    assert shown["origins"]["alerts.secret[0]"] == "env NEW"
    assert shown["origins"]["alerts.secret[1]"].startswith("my.yaml:1:")
    assert "canary" not in f"{config!r}{config.alerts!r}{config.alerts}"


def test_one_secret_has_its_place(load_text):
    shown = effective(load_text(f"alerts:\n  secret: {SECRET}\n{SMS}"))
    assert shown["origins"]["alerts.secret[0]"] == "my.yaml:2:11"
