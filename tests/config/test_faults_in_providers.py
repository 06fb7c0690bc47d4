"""Unknown, missing and ill-typed keys of a provider: the line that a person reads."""

import pytest

GOOD = "    api_key: abcdef\n    sender: a@b.example\n"

PROVIDERS = {
    "unknown kind": (
        "kind: mial\n",
        "4:11: providers.m.kind: no installed plugin serves kind `mial`",
    ),
    "unknown kind by name": (None, "3:3: providers.m: no installed plugin serves kind `m`"),
    "kind is a number": (
        "kind: 3\n",
        (
            "4:11: providers.m.kind: the kind of a plugin is written in lower-case letters, "
            "digits, `-` and `_`"
        ),
    ),
    "missing key": ("kind: mail\n    api_key: abcdef\n", "3:3: providers.m.sender: is missing"),
    "unknown key": (
        f"kind: mail\n{GOOD}    sendr: x\n",
        "7:5: providers.m.sendr: unknown key",
    ),
    "unknown and near": (
        f"kind: mail\n{GOOD}    prot: 25\n",
        "7:5: providers.m.prot: unknown key - did you mean `port`?",
    ),
    "unknown in a nested section": (
        f"kind: mail\n{GOOD}    pool: {{siez: 2}}\n",
        "7:12: providers.m.pool.siez: unknown key - did you mean `size`?",
    ),
    "ill-typed": (
        f"kind: mail\n{GOOD}    port: many\n",
        "7:11: providers.m.port: must be a whole number",
    ),
    "ill-typed and optional": (
        f"kind: mail\n{GOOD}    max_price: cheap\n",
        "7:16: providers.m.max_price: must be a number",
    ),
    "phone number": (
        "kind: mail\n    api_key: abcdef\n    sender: +15005550006\n",
        "6:13: providers.m.sender: must be a text: quote this value, YAML reads it as a number",
    ),
    "Norway": (
        "kind: mail\n    api_key: abcdef\n    sender: NO\n",
        (
            "6:13: providers.m.sender: must be a text: quote this value, YAML reads it as "
            "true or false"
        ),
    ),
    "a key without a value": (
        "kind: mail\n    api_key: abcdef\n    sender:\n",
        "6:12: providers.m.sender: must be a text",
    ),
    "too short": (
        "kind: mail\n    api_key: ab\n    sender: a@b.example\n",
        "5:14: providers.m.api_key: must have at least 3 characters",
    ),
    "its own validator": (
        "kind: mail\n    api_key: abcdef\n    sender: nobody\n",
        "6:13: providers.m.sender: 'nobody' is not an e-mail address",
    ),
    "line break": (
        'kind: mail\n    api_key: "abc\\r\\nX: y"\n    sender: a@b.example\n',
        "5:14: providers.m.api_key: must not contain line breaks or other control characters",
    ),
    "enumeration": (
        f"kind: mail\n{GOOD}    tls: startls\n",
        (
            "7:10: providers.m.tls: must be `starttls`, `implicit` or `none` - did you mean "
            "`starttls`?"
        ),
    ),
    "enumeration read as a boolean": (
        f"kind: mail\n{GOOD}    tls: no\n",
        "7:10: providers.m.tls: must be `starttls`, `implicit` or `none`",
    ),
    "timeout": (
        f"kind: mail\n{GOOD}    timeout: 31\n",
        "7:14: providers.m.timeout: must be at most 30",
    ),
    "own breaker": (
        f"kind: mail\n{GOOD}    breaker: {{growth: 0.5}}\n",
        "7:23: providers.m.breaker.growth: must be at least 1",
    ),
}


@pytest.mark.parametrize("case", PROVIDERS)
def test_providers(faults_of, case):
    section, expected = PROVIDERS[case]
    body = f"    {section}" if section else ""
    found = faults_of(f"chains: {{email: [m]}}\nproviders:\n  m:\n{body}")
    assert found == [f"my.yaml:{expected}"]


def test_a_provider_that_is_no_mapping(faults_of):
    found = faults_of("chains: {sms: [console]}\nproviders: {console: [kind]}\n")
    assert found == ["my.yaml:2:22: providers.console: must be a mapping of keys to values"]


def test_a_provider_s_name(faults_of):
    found = faults_of('chains: {sms: ["a.b"]}\nproviders: {"a.b": {kind: console}}\n')
    assert found == [
        "my.yaml:2:13: providers.a.b: a name has letters, digits, `-` and `_`, 64 at most"
    ]


def test_a_rule_over_several_keys_stands_at_the_provider(faults_of):
    found = faults_of("chains: {sms: [text]}\nproviders:\n  text: {sender: s}\n")
    assert found == ["my.yaml:3:3: providers.text: give `token` or `key`"]


def test_production_refuses_what_is_for_development(faults_of):
    found = faults_of(
        "environment: ${ENV}\nproviders:\n  console:\n  shown: {kind: console, enabled: false}\n"
        "chains: {sms: [console]}\n",
        ENV="production",
    )
    assert found == [
        f"my.yaml:{line}:3: providers.{name}: `{name}` is for development only, and `environment` "
        "is production: remove it, here and from the chains"
        for line, name in ((3, "console"), (4, "shown"))
    ]


def test_too_many_providers(faults_of):
    text = "".join(f"  p{n}: {{kind: console}}\n" for n in range(201))
    (found,) = faults_of(f"chains: {{sms: [p0]}}\nproviders:\n{text}")
    assert found == "my.yaml:203:3: providers.p200: more than 200 providers"
