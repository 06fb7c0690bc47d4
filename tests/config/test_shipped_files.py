"""The files that are shipped load with the real plugins, and the schema is the derived one."""

import json
import os
import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml
from dotenv.parser import parse_stream
from jsonschema import Draft7Validator

from sidecar import ConfigError, Secret
from sidecar.config import load, schema, starter
from sidecar.hookspecs import PROJECT
from sidecar.registry import Registry

ROOT = Path(__file__).parents[2]
EXAMPLES = [
    "providers.yaml",
    "config/production.yaml",
    "config/two-twilio-accounts.yaml",
    "config/sms-by-end-user-messaging.yaml",
]
ENVIRON = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-secret",
    "SES_SENDER": "codes@example.com",
    "EUM_ORIGINATION_IDENTITY": "pool-0123456789abcdef",
    "SENDGRID_API_KEY": "SG.canary-sendgrid",
    "SENDGRID_SENDER": "codes@example.com",
    "SMTP_HOST": "mail.example.com",
    "SMTP_USERNAME": "user",
    "SMTP_PASSWORD": "canary-smtp",
    "SMTP_SENDER": "codes@example.com",
    **{
        f"TWILIO_{account}{name}": value
        for account in ("", "EU_", "US_")
        for name, value in {
            "ACCOUNT_SID": "AC" + "0" * 32,
            "AUTH_TOKEN": "canary-twilio",
            "SENDER": "+15005550006",
        }.items()
    },
}


@pytest.fixture(autouse=True)
def no_account_of_this_machine(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def read(tmp_path, registry):
    """Load a shipped file from a directory of its own, its secret files beside it."""

    def do(name, environ, change=lambda text: text):
        for secret in ("sendgrid-api-key", "twilio-auth-token"):
            (tmp_path / secret).write_text("canary-file\n")
        text = (ROOT / name).read_text().replace("/run/secrets/", f"{tmp_path}/")
        path = tmp_path / Path(name).name
        path.write_text(change(text))
        return load(path, environ=environ, provider_class=registry.provider_class)

    return do


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_loads_with_the_real_plugins(read, name):
    config = read(name, ENVIRON)
    assert config.chains
    assert {
        one: section.missing for one, section in config.providers.items() if section.missing
    } == {}
    assert all(section.settings is not None for section in config.providers.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_fits_the_schema(name):
    derived = json.loads((ROOT / "config/providers.schema.json").read_text())
    value = yaml.safe_load((ROOT / name).read_text())
    assert [error.message for error in Draft7Validator(derived).iter_errors(value)] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_names_the_schema_in_its_first_line(name):
    first = (ROOT / name).read_text().splitlines()[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert ((ROOT / name).parent / found[1]).resolve() == ROOT / "config/providers.schema.json"


def test_the_starter_runs_without_any_variable(read):
    config = read("providers.yaml", {"AWS_EC2_METADATA_DISABLED": "true"})
    ready = [name for name, section in config.providers.items() if not section.missing]
    assert ready == ["console"]
    assert config.providers["twilio"].missing == (
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "TWILIO_SENDER",
    )
    assert all("console" in chain.providers for chain in config.chains.values())


def test_the_starter_is_refused_in_production_because_of_console(read):
    with pytest.raises(ConfigError, match="`console` is for development only") as caught:
        read("providers.yaml", {**ENVIRON, "OTP_SIDECAR_ENV": "production"})
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize(
    ("written", "misspelt", "expected"),
    [
        ("\n  sendgrid:\n", "\n  sendgird:\n", "did you mean `sendgrid`?"),
        ("kind: sendgrid", "kind: sendgird", "did you mean `sendgrid`?"),
        ("ses, sendgrid, smtp", "ses, sendgird, smtp", "did you mean `sendgrid`?"),
        ("api_key:", "api_kye:", "did you mean `api_key`?"),
        ("account_sid:", "acount_sid:", "did you mean `account_sid`?"),
        ("on_unknown:", "on_unkown:", "did you mean `on_unknown`?"),
        ("retention:", "retension:", "did you mean `retention`?"),
    ],
)
def test_a_misspelt_key_of_the_starter_is_pointed_at(read, tmp_path, written, misspelt, expected):
    with pytest.raises(ConfigError) as caught:
        read("providers.yaml", {}, lambda text: text.replace(written, misspelt))
    lines = (tmp_path / "providers.yaml").read_text().splitlines()
    told = [fault for fault in caught.value.faults if expected in str(fault)]
    assert len(told) == 1
    wrong = misspelt.strip().split(", ")[-2 if "," in misspelt else 0].removeprefix("kind: ")
    assert lines[told[0].line - 1][told[0].column - 1 :].startswith(wrong)


def test_production_needs_every_one_of_its_variables(read):
    with pytest.raises(ConfigError) as caught:
        read("config/production.yaml", {"AWS_EC2_METADATA_DISABLED": "true"})
    names = set(re.findall(r"the variable `(\w+)`", str(caught.value)))
    text = (ROOT / "config/production.yaml").read_text()
    assert names == set(re.findall(r"\$\{(\w+)\}", text))


def test_production_is_production_without_console(read):
    config = read("config/production.yaml", ENVIRON)
    assert config.environment == "production"
    assert not any(section.cls.development_only for section in config.providers.values())
    assert not any(section.optional for section in config.providers.values())


def test_two_accounts_are_two_instances_of_one_kind(read):
    config = read(
        "config/two-twilio-accounts.yaml", {**ENVIRON, "TWILIO_US_AUTH_TOKEN": "canary-other"}
    )
    eu, us = (config.providers[name] for name in ("twilio-eu", "twilio-us"))
    assert eu.cls is us.cls
    assert (eu.kind, us.kind) == ("twilio", "twilio")
    assert eu.settings.auth_token == Secret("canary-twilio")
    assert us.settings.auth_token == Secret("canary-other")
    assert config.secrets == {"canary-twilio", "canary-other"}


def test_the_installed_starter_is_the_file_at_the_top():
    assert starter().encode() == (ROOT / "providers.yaml").read_bytes()


def test_the_committed_schema_is_the_derived_one(registry):
    classes = [registry.provider_class(found.name) for found in entry_points(group=PROJECT)]
    committed = json.loads((ROOT / "config/providers.schema.json").read_text())
    assert committed == schema(classes), "run `make schema`"


def test_the_example_of_the_environment_lists_what_the_starter_reads():
    text = (ROOT / ".env.example").read_text()
    listed = set(re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE))
    read = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "providers.yaml").read_text()))
    assert read - {"NAME"} <= listed
    with (ROOT / ".env.example").open() as stream:
        assert not [line for line in parse_stream(stream) if line.error]


def test_the_example_of_the_environment_turns_nothing_on(read, tmp_path):
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    config = read("providers.yaml", {"AWS_EC2_METADATA_DISABLED": "true"})
    assert [name for name, one in config.providers.items() if not one.missing] == ["console"]
