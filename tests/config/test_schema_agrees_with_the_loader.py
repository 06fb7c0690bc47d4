"""What an editor is told and what the loader takes are the same thing."""

import pytest
import yaml
from jsonschema import Draft7Validator

from sidecar import ConfigError
from sidecar.config import schema

MAIL = "api_key: abcdef, sender: a@b"


@pytest.fixture
def validator(classes):
    derived = schema(classes)
    Draft7Validator.check_schema(derived)
    return Draft7Validator(derived)


GOOD = [
    "chains: {sms: [console]}\nproviders: {console: }",
    "chains: {sms: [console]}\nproviders: {console: {}}\nserver:\nlog:\nlimits:\nbreaker:",
    f"chains: {{email: [mail]}}\nproviders: {{mail: {{{MAIL}}}}}",
    f"chains: {{email: [m]}}\nproviders: {{m: {{kind: mail, {MAIL}}}}}",
    "chains: {sms: [mail]}\nproviders: {mail: {kind: text, sender: s, key: k}}",
    "chains: {sms: [c]}\nproviders: {c: {kind: '${KIND:-console}'}}",
    (
        f"chains: {{email: [mail]}}\nproviders: {{mail: {{{MAIL}, port: '${{PORT:-25}}',"
        " tls: '${TLS:-none}',"
        " optional: '${OPTIONAL:-true}', timeout: 2, linger: 250ms, max_price: '${PRICE:-1.5}',"
        " breaker: {growth: '${GROWTH:-1}', window: 5m}, pool: {size: 4}}}"
    ),
    (
        "chains: {email: {providers: [console], on_unknown: '${X:-stop}', panic: 'off'}}\n"
        "providers: {console: }\n"
    ),
    (
        "version: 1\nenvironment: '${STAGE:-staging}'\n"
        "server: {listen: 'unix:/run/x', ops_listen: null, token_file: /run/t, allowed_hosts: [a],"
        " allow_non_loopback: true, drain_delay: 1s, drain: 5}\n"
        "log: {path: x.db, durability: full, unavailable: degrade, retention: 30d, keys: 24h}\n"
        "limits: {deadline: 10s, in_flight: 1, in_flight_per_provider: 1, queue: 0}\n"
        "breaker: {enabled: true, failure_rate: 0.5, slow_call: 3s}\n"
        "alerts: {webhook: null, secret: null, allow_private: '${X:-true}', fallback_after: 2h}\n"
        "preflight: {interval: 5m, timeout: 10}\n"
        "chains: {sms: [console]}\nproviders: {console: }"
    ),
]
GOOD += [
    f"chains: {{sms: [console]}}\nproviders: {{console: {{preflight: {mode}}}}}\npreflight: "
    for mode in ("observe", "skip", "'off'")
]
BAD = [
    "chains: {sms: [console]}\nproviders: {console: }\nalerts: {webhok: x}",
    "chains: {sms: [console]}\nproviders: {console: }\nalerts: {webhook: 7}",
    "chains: {sms: [console]}\nproviders: {console: }\nalerts: {secret: {a: b}}",
    "chains: {sms: [console]}\nproviders: {console: }\nalerts: []",
    "version: 1",
    "chains: {sms: [console]}\nproviders: {console: }\npreflight: {every: 5m}",
    "chains: {sms: [console]}\nproviders: {console: {preflight: sometimes}}",
    "chains: {}",
    "chains: {sms: []}",
    "chains: {sms: console}",
    "chains: {sms: {panic: probe}}",
    "chains: {sms: {providers: [console], panik: probe}}\nproviders: {console: }",
    "chains: {sms: {providers: [console], panic: prob}}\nproviders: {console: }",
    "chains: {'s m s': [console]}\nproviders: {console: }",
    "chains: {sms: [console]}\nproviders: {console: }\nsevrer: {}",
    "chains: {sms: [console]}\nproviders: {console: }\nserver: {lissten: x}",
    "chains: {sms: [console]}\nproviders: {console: }\nlog: {durability: fulll}",
    "chains: {sms: [console]}\nproviders: {console: }\nlog: []",
    "chains: {sms: [console]}\nproviders: {console: }\nlimits: {queue: many}",
    "chains: {sms: [console]}\nproviders: {console: }\nlimits: {queue: -1}",
    "chains: {sms: [console]}\nproviders: {console: }\nversion: 2",
    "chains: {sms: [console]}\nproviders: {console: }\nenvironment: prod",
    "chains: {sms: [c]}\nproviders: {c: }",
    "chains: {sms: [c]}\nproviders: {c: {}}",
    "chains: {sms: [c]}\nproviders: {c: {kind: consol}}",
    "chains: {sms: [console]}\nproviders: {console: {colour: red}}",
    "chains: {sms: [console]}\nproviders: {console: {kind: console, colour: red}}",
    "chains: {sms: [console]}\nproviders: {console: {breaker: {growht: 1}}}",
    "chains: {email: [mail]}\nproviders: {mail: {api_key: abcdef}}",
    "chains: {email: [m]}\nproviders: {m: {kind: mail, api_key: abcdef}}",
    f"chains: {{email: [mail]}}\nproviders: {{mail: {{{MAIL}, port: many}}}}",
    f"chains: {{email: [mail]}}\nproviders: {{mail: {{{MAIL}, port: 0}}}}",
    f"chains: {{email: [mail]}}\nproviders: {{mail: {{{MAIL}, tls: ssl}}}}",
    f"chains: {{email: [mail]}}\nproviders: {{mail: {{{MAIL}, pool: {{sizes: 1}}}}}}",
    "chains: {email: [mail]}\nproviders: {mail: {api_key: abcdef, sender: +15005550006}}",
]


@pytest.mark.parametrize("text", GOOD)
def test_both_take_it(load_text, validator, text):
    load_text(text)
    assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize("text", BAD)
def test_both_refuse_it(load_text, validator, text):
    with pytest.raises(ConfigError):
        load_text(text)
    assert not validator.is_valid(yaml.safe_load(text))


def test_keys_are_described(classes):
    derived = schema(classes)
    server = derived["definitions"]["Server"]["properties"]
    assert "unix:/run" in server["listen"]["description"]
    assert server["drain"]["description"] == "After that: how long to wait for what is in flight."
    assert derived["definitions"]["kind_mail"]["description"] == "A mail account."
    undescribed = [
        f"{name}.{key}"
        for name in ("Server", "Log", "Limits", "Alerts", "Preflight", "ChainSection")
        for key, one in derived["definitions"][name]["properties"].items()
        if "description" not in one
    ]
    assert undescribed == []


def test_it_does_not_depend_on_the_order_of_the_classes(classes):
    assert schema(classes) == schema(classes[::-1])


def test_every_definition_is_used(classes):
    derived = schema(classes)
    text = repr(derived)
    assert [n for n in derived["definitions"] if f"#/definitions/{n}'" not in text] == []


def test_without_any_kind_it_is_still_a_schema():
    Draft7Validator.check_schema(schema([]))
