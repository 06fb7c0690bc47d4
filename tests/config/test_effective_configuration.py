"""`config show`: everything that is in effect, where it came from, and no secret."""

import hashlib
import json
from dataclasses import FrozenInstanceError

import pytest
import yaml
from pydantic import ValidationError

from sidecar.config import effective

SECRETS = ["canary-literal", "canary-env", "canary-dotenv", "canary-file", "canary-pool"]


@pytest.fixture
def config(load_text, tmp_path):
    (tmp_path / "token").write_text("canary-file\n")
    return load_text(
        "environment: ${STAGE:-staging}\n"
        "log: {path: '${DIR}/x.db'}\n"
        "breaker: {growth: 3}\n"
        "providers:\n"
        "  one: {kind: mail, api_key: canary-literal, sender: 'a@${HOST}', breaker: {window: 5s}}\n"
        "  two: {kind: mail, api_key: '${KEY}', sender: a@b, pool: {key: canary-pool}}\n"
        "  three: {kind: text, token: '${file:token}', sender: s}\n"
        "  four: {kind: text, token: '${BELOW}', sender: '${file:token}'}\n"
        "  five: {kind: mail, optional: true, api_key: '${NONE}', sender: a@b}\n"
        "  six: {kind: mail, optional: true, api_key: canary-literal, sender: '${NONE}'}\n"
        "chains:\n"
        "  email: [one, two]\n"
        "  sms: {providers: [three], panic: off}\n",
        dotenv="DIR=/var\nBELOW=canary-dotenv\n",
        HOST="b.example",
        KEY="canary-env",
    )


ORIGINS = {
    "version": "default",
    "environment": "my.yaml:1:14",
    "server.listen": "default",
    "server.allowed_hosts": "default",
    "log.path": ".env DIR",
    "log.retention": "default",
    "breaker.growth": "my.yaml:3:19",
    "breaker.window": "default",
    "providers.one.kind": "my.yaml:5:15",
    "providers.one.sender": "env HOST",
    "providers.one.port": "default",
    "providers.one.breaker.window": "my.yaml:5:85",
    "providers.one.breaker.growth": "my.yaml:3:19",
    "providers.one.breaker.jitter": "default",
    "providers.two.api_key": "env KEY",
    "providers.two.pool.key": "my.yaml:6:65",
    "providers.three.token": "file token",
    "providers.four.token": ".env BELOW",
    "providers.five.timeout": "default",
    "chains.email.providers[1]": "my.yaml:12:16",
    "chains.email.panic": "default",
    "chains.sms.providers[0]": "my.yaml:13:21",
    "chains.sms.panic": "my.yaml:13:36",
}


@pytest.mark.parametrize("path", ORIGINS)
def test_where_a_value_came_from(config, path):
    assert config.origins[path] == ORIGINS[path]


def test_every_value_has_an_origin(config):
    def leaves(value, path):
        if isinstance(value, dict) and value:
            return [x for k, v in value.items() for x in leaves(v, f"{path}.{k}" if path else k)]
        if isinstance(value, list) and value:
            return [x for i, v in enumerate(value) for x in leaves(v, f"{path}[{i}]")]
        return [path]

    shown = effective(config)
    origins = shown.pop("origins")
    assert [path for path in leaves(shown, "") if ".missing[" not in path] == list(origins)


def test_the_defaults_are_shown(config):
    shown = effective(config)
    assert shown["version"] == 1
    assert shown["environment"] == "staging"
    assert shown["server"]["listen"] == "127.0.0.1:8780"
    assert shown["log"]["retention"] == 30 * 86400
    assert shown["limits"] == {
        "deadline": 10.0,
        "in_flight": 256,
        "in_flight_per_provider": 64,
        "queue": 256,
        "queue_wait": 1.0,
    }
    assert shown["chains"]["sms"] == {
        "providers": ["three"],
        "on_unknown": "failover",
        "on_rejected": "stop",
        "panic": "off",
        "max_unknown_failovers": 1,
        "order": "declared",
    }
    assert shown["providers"]["one"]["tls"] == "starttls"


def test_what_is_missing_is_shown(config):
    assert effective(config)["providers"]["five"]["missing"] == ["NONE"]


def test_secrets_are_struck_out(config):
    providers = effective(config)["providers"]
    assert providers["one"]["api_key"] == "***"
    assert providers["two"]["pool"]["key"] == "***"
    assert providers["four"]["sender"] == "***", "what a file holds is a secret wherever it stands"
    printed = f"{yaml.safe_dump(effective(config))}{config!r}{config.providers!r}{config}"
    assert not [secret for secret in SECRETS if secret in printed]


def test_it_can_be_dumped_and_read_back(config):
    shown = effective(config)
    assert yaml.safe_load(yaml.safe_dump(shown)) == shown
    assert json.loads(json.dumps(shown)) == shown


def test_what_is_shown_can_be_loaded_again(load_text):
    shown = effective(load_text("chains: {sms: [console]}\nproviders: {console: }\n"))
    del shown["origins"]
    again = effective(load_text(yaml.safe_dump(shown)))
    assert {key: again[key] for key in shown} == shown


def test_secrets_are_registered(config):
    assert config.secrets == frozenset(SECRETS)


def test_the_digest_is_of_the_bytes(load_text, tmp_path):
    config = load_text("chains: {sms: [console]}\nproviders: {console: }\n")
    data = (tmp_path / "my.yaml").read_bytes()
    assert config.digest == hashlib.sha256(data).hexdigest()[:12]
    assert config.path == tmp_path / "my.yaml"


def test_nothing_of_it_can_be_changed(config):
    with pytest.raises(FrozenInstanceError):
        config.environment = "production"
    with pytest.raises(FrozenInstanceError):
        config.providers["one"].timeout = 1.0
    with pytest.raises(ValidationError):
        config.server.drain = 1.0
    for mapping in (config.providers, config.chains, config.origins, config.environ):
        with pytest.raises(TypeError):
            mapping["x"] = None
