"""What `optional: true` and `enabled: false` excuse, and what they do not."""

import pytest

from sidecar.config import load
from sidecar.testing import ScriptedProvider

MAIL = "chains: {email: [mail]}\nproviders:\n  mail:\n"
KEYS = "    api_key: '${MAIL_KEY}'\n    sender: '${MAIL_SENDER}'\n"
SET = {"MAIL_KEY": "canary-key", "MAIL_SENDER": "a@b.example"}


def test_complete(load_text):
    section = load_text(f"{MAIL}    optional: true\n{KEYS}", **SET).providers["mail"]
    assert section.missing == ()
    assert section.settings.api_key.get_secret_value() == "canary-key"
    assert (section.name, section.kind, section.optional, section.enabled) == (
        "mail",
        "mail",
        True,
        True,
    )


@pytest.mark.parametrize("excuse", ["optional: true", "enabled: false", "optional: '${YES}'"])
@pytest.mark.parametrize("key", [{}, {"MAIL_KEY": ""}])
def test_variables_that_are_not_there(load_text, excuse, key):
    section = load_text(f"{MAIL}    {excuse}\n{KEYS}", YES="true", **key).providers["mail"]
    assert section.missing == ("MAIL_KEY", "MAIL_SENDER")
    assert section.settings is None


def test_a_secret_s_file_that_is_not_there(load_text):
    text = f"{MAIL}    optional: true\n    api_key: '${{file:/none/key}}'\n    sender: a@b\n"
    assert load_text(text).providers["mail"].missing == ("/none/key",)


def test_without_an_excuse_each_is_a_fault(faults_of):
    assert faults_of(f"{MAIL}{KEYS}", MAIL_KEY="") == [
        f"my.yaml:{line}:{column}: providers.mail.{key}: the variable `{name}` is {state}: set it "
        f"in the environment or in `.env`, or give a default, `${{{name}:-...}}`, or mark the "
        "provider `optional: true`"
        for line, column, key, name, state in [
            (4, 14, "api_key", "MAIL_KEY", "empty"),
            (5, 13, "sender", "MAIL_SENDER", "not set"),
        ]
    ]


def test_the_other_faults_of_an_optional_section_are_told(faults_of):
    found = faults_of(
        f"{MAIL}    optional: true\n{KEYS}    port: many\n    sendr: x\n    prot: '${{PORT}}'\n"
        "    pool: {size: 0, key: '${POOL_KEY}'}\n    breaker: {growth: 0}\n"
    )
    assert [fault.split(": ", 1)[1] for fault in found] == [
        "providers.mail.port: must be a whole number",
        "providers.mail.sendr: unknown key",
        "providers.mail.prot: unknown key",
        "providers.mail.pool.size: must be at least 1",
        "providers.mail.breaker.growth: must be at least 1",
    ]


def test_a_rule_over_several_keys_waits_for_the_variables(load_text):
    text = "chains: {sms: [text]}\nproviders: {text: {optional: true, sender: s, key: '${KEY}'}}\n"
    assert load_text(text).providers["text"].missing == ("KEY",)


@pytest.mark.parametrize("key", ["kind", "optional", "enabled"])
def test_what_decides_must_be_known(faults_of, key):
    (fault,) = faults_of(
        f"chains: {{sms: [console]}}\nproviders:\n  console:\n    {key}: '${{NONE}}'\n"
    )
    assert fault.startswith(
        f"my.yaml:4:{7 + len(key)}: providers.console.{key}: the variable `NONE`"
    )


def test_what_the_plugin_itself_misses(load_text, faults_of):
    text = "chains: {sms: [needy]}\nproviders:\n  needy: {optional: '${OPTIONAL:-false}'}\n"
    assert load_text(text, OPTIONAL="true").providers["needy"].missing == ("NEEDY_ROLE",)
    assert load_text(text, OPTIONAL="true").providers["needy"].settings is None
    assert faults_of(text) == [
        (
            "my.yaml:3:3: providers.needy: the environment lacks what it needs: NEEDY_ROLE, "
            "or mark the provider `optional: true`"
        )
    ]
    assert load_text(text, NEEDY_ROLE="r").providers["needy"].missing == ()


def test_dotenv_serves_the_plugin_s_own_question(load_text):
    config = load_text("chains: {sms: [needy]}\nproviders: {needy: }\n", dotenv="NEEDY_ROLE=r\n")
    assert config.providers["needy"].missing == ()


def test_a_plugin_that_fails_when_asked(faults_of):
    found = faults_of("chains: {sms: [crashing]}\nproviders:\n  crashing:\n")
    assert found == [
        "my.yaml:3:3: providers.crashing: the plugin failed when asked what it needs: RuntimeError"
    ]


def test_a_section_without_keys_is_its_name(load_text):
    section = load_text("chains: {sms: [console]}\nproviders:\n  console:\n").providers["console"]
    assert (section.kind, section.enabled, section.timeout) == ("console", True, 4.0)


def test_the_breaker_is_the_file_s_with_the_provider_s_own_keys_on_top(load_text):
    config = load_text(
        "breaker: {failure_threshold: 7, growth: 3}\nchains: {sms: [a]}\nproviders:\n"
        "  a: {kind: console, breaker: {growth: 1, jitter: 0.1}}\n  b: {kind: console}\n"
        "  c: {kind: mail, optional: true, api_key: '${K}', sender: a@b, breaker: {window: 5s}}\n"
    )
    a, b, c = (config.providers[name].breaker for name in "abc")
    assert (a.failure_threshold, a.growth, a.jitter) == (7, 1.0, 0.1)
    assert (b.failure_threshold, b.growth, b.jitter) == (7, 3.0, 0.0)
    assert (c.failure_threshold, c.growth, c.window) == (7, 3.0, 5.0)


def test_the_order_of_the_file_is_kept(load_text):
    names = ["zeta", "alpha", "mid"]
    sections = "".join(f"  {name}: {{kind: console}}\n" for name in names)
    config = load_text(f"chains: {{sms: [mid, zeta]}}\nproviders:\n{sections}")
    assert list(config.providers) == names
    assert config.chains["sms"].providers == ("mid", "zeta")


def test_a_plugin_is_asked_for_only_if_it_is_named(tmp_path):
    asked = []

    def provider_class(kind):
        asked.append(kind)
        return ScriptedProvider

    path = tmp_path / "my.yaml"
    path.write_text(
        "chains: {sms: [a, b]}\nproviders: {a: {kind: scripted}, b: {kind: scripted}}\n"
    )
    load(path, environ={}, provider_class=provider_class)
    assert asked == ["scripted"]
