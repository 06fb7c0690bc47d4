"""Whatever is wrong with a value, the error's text does not repeat it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CANARY = "hunter2-canary"
MAIL = "chains: {email: [mail]}\nproviders:\n  mail:\n"

WRONG = [
    "api_key: [{v}]",
    "api_key: {{{v}: {v}}}",
    "port: {v}",
    "tls: {v}",
    "linger: {v}",
    "timeout: {v}",
    "optional: {v}",
    "enabled: {v}",
    "kind: {v}",
    "sender: {v}",
    "max_price: {v}",
    "pool: {v}",
    "pool: {{key: [{v}], size: {v}}}",
    "breaker: {v}",
    "breaker: {{growth: {v}}}",
    "nonsense: {v}",
]
SECTIONS = [
    "version: {v}",
    "environment: {v}",
    "server: {v}",
    "server: {{listen: {v}}}",
    "server: {{allowed_hosts: [' ', {v}/]}}",
    "log: {{durability: {v}}}",
    "limits: {{queue: {v}}}",
    "chains: {{email: {v}}}",
    "chains: {{email: [{v}]}}",
    "chains: {{email: {{providers: [mail], panic: {v}}}}}",
]


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_value_in_a_provider(faults_of, line):
    body = line.format(v='"${CANARY}"')
    found = faults_of(f"{MAIL}    {body}\n    sender2: x\n", CANARY=CANARY)
    assert found
    assert CANARY not in "\n".join(found)


@pytest.mark.parametrize("line", SECTIONS)
def test_a_wrong_value_elsewhere(faults_of, line):
    body = line.format(v='"${CANARY}"')
    found = faults_of(f"{body}\nproviders: {{x: {{}}}}\n", CANARY=CANARY)
    assert CANARY not in "\n".join(found)


@pytest.mark.parametrize("value", [CANARY, f"{CANARY}'\"", f"{CANARY}\\n"])
def test_a_literal_secret_in_a_validator_s_own_words(faults_of, value):
    # The plugin's message repeats the sender, and the sender is the secret's own text.
    quoted = '"' + value.replace('"', '\\"') + '"'
    found = faults_of(f"{MAIL}    api_key: {quoted}\n    sender: {quoted}\n")
    assert CANARY not in "\n".join(found)


def test_a_secret_in_a_line_that_is_not_yaml(faults_of):
    found = faults_of(f"{MAIL}    api_key: {CANARY}: {CANARY}\n")
    assert CANARY not in "\n".join(found)


def test_a_secret_in_a_duplicate(faults_of):
    found = faults_of(f"{MAIL}    api_key: {CANARY}\n    api_key: {CANARY}\n")
    assert CANARY not in "\n".join(found)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    secret=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=6, max_size=40),
    line=st.sampled_from(WRONG),
)
def test_any_secret(faults_of, secret, line):
    # Beside it stands what no message of ours has, so that finding it means it was repeated.
    body = line.format(v='"${CANARY}"')
    given = f"\u2603{secret}\u2603"
    found = "\n".join(faults_of(f"{MAIL}    {body}\n    sender2: x\n", CANARY=given))
    assert "\u2603" not in found
