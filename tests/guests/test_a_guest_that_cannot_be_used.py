"""G6: a plugin that is missing, broken or breaks the contract: one line with its name, exit 78."""

from __future__ import annotations

import signal

import pytest

from harness import guests
from harness.process import run_command, wait_for
from harness.providers import config

HOOK = "\n@hookimpl\ndef register_providers(): return [Acme]\n"
ACME = "class Acme(Guest):\n    kind = 'acme'\n"
SEND = "    async def send(self, message, *, timeout): return Receipt('1')\n"


def module(text):
    return guests.HEAD + text + HOOK


BROKEN = {
    "import error": ("import no_such_module_at_all", "no_such_module_at_all"),
    "syntax error": ("def broken(:\n", "SyntaxError"),
    "exit at import": ("raise SystemExit('line one\\nline two')", "SystemExit at "),
    "base exception at import": ("raise type('Odd', (BaseException,), {})", "Odd"),
    "long words": ("raise ValueError('word ' * 10000)", "acme_guest.py:1"),
    "mute error": (
        "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
        "Mute",
    ),
    "no hook": ("x = 1", "register_providers"),
    "nothing registered": (
        guests.HEAD + "@hookimpl\ndef register_providers(): return None",
        "NoneType",
    ),
    "no provider": (module("class Acme: kind = 'acme'"), "brings no provider"),
    "an instance": (module("Acme = 7"), "brings no provider"),
    "another kind": (module("class Acme(Guest): kind = 'other'"), "brings no provider"),
    "no kind": (module("class Acme(Guest): pass"), "brings no provider"),
    "no send": (
        module(
            "class Acme(Provider):\n    kind, channels = 'acme', frozenset({'sms'})\n"
            "    Config = ProviderConfig\n"
        ),
        "Acme lacks `send`",
    ),
    "another send": (module(ACME + "    async def send(self, message): pass"), "`send`"),
    "wrong Config": (module(f"{ACME}    Config = dict\n"), "ProviderConfig"),
    "no Config": (
        module(f"class Acme(Provider):\n    kind, channels = 'acme', {{'sms'}}\n{SEND}"),
        "ProviderConfig",
    ),
    "no channels": (
        module(f"class Acme(Provider):\n    kind, Config = 'acme', ProviderConfig\n{SEND}"),
        "channels",
    ),
    "a price that is a float": (
        module(f"from sidecar import Tariff\n{ACME}    tariff = Tariff('message', 0.01)\n"),
        "Decimal",
    ),
    "newer contract": (module(f"{ACME}    contract = 2\n"), "contract 2"),
    "missing() raises": (
        module(f"{ACME}    @classmethod\n    def missing(cls, *a): raise SystemExit(3)\n"),
        "SystemExit",
    ),
    "missing() gives nothing": (
        module(f"{ACME}    @classmethod\n    def missing(cls, *a): return None\n"),
        "TypeError",
    ),
    "settings that raise": (
        module(
            "from pydantic import model_validator\n"
            "class C(ProviderConfig):\n    @model_validator(mode='after')\n"
            "    def no(self): raise SystemExit(3)\n"
            f"{ACME}    Config = C\n"
        ),
        "SystemExit",
    ),
}


def run(tmp_path, environ, found, command="run"):
    text = config("sms", "acme: {}").replace("\nproviders", "providers")
    (tmp_path / "providers.yaml").write_text(text)
    return run_command(tmp_path, {**environ, **found}, command)


def refused(ended, *words):
    """It ended with 78 and said so in one line that holds these words."""
    assert ended.returncode == 78
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("providers.yaml:2:")
    assert len(line) < 600
    for word in words:
        assert word in line


@pytest.mark.parametrize("fault", BROKEN)
def test_a_plugin_that_breaks_its_contract_is_refused_by_name(tmp_path, environ, fault):
    text, words = BROKEN[fault]
    found = guests.install_module(tmp_path, text, "acme", name="acme_guest")
    refused(run(tmp_path, environ, found), "acme", words)


def test_a_plugin_that_is_not_installed_is_named_with_those_that_are(tmp_path, environ):
    refused(run(tmp_path, environ, {}), "acme", "console")


def test_two_plugins_of_one_kind_are_both_named(tmp_path, environ):
    for name in ("acme_one", "acme_two"):
        found = guests.install(tmp_path, ACME, "acme", name=name)
    refused(run(tmp_path, environ, found), "acme_one", "acme_two")


def test_a_plugin_that_names_the_contract_there_is_may_serve(tmp_path, environ):
    found = guests.install(tmp_path, f"{ACME}    contract = 1\n", "acme")
    ended = run(tmp_path, environ, found, "check")
    assert (ended.returncode, ended.stderr) == (0, "")


TALKS = """
from pydantic import SecretStr
from sidecar import ConfigError

class Settings(ProviderConfig):
    api_key: SecretStr

class Acme(Guest):
    kind, Config = 'acme', Settings
    def __init__(self, name, config):
        raise ConfigError(f'the key {config.api_key.get_secret_value()} is of another region')
"""


def test_what_it_says_at_a_reload_is_shown_without_its_secret(start, tmp_path):
    found = guests.install(tmp_path, TALKS, "acme")
    sidecar = start("providers: {console: {}}\nchains: {sms: [console]}\n", **found)
    sidecar.config.write_text(config("sms", "acme: {api_key: canary-acme-key-0001}"))
    sidecar.process.send_signal(signal.SIGHUP)
    wait_for(lambda: sidecar.events("reload_failed"), "the reload")
    shown = sidecar.call("GET", "/health").json["config"]["reload_error"]
    assert shown == "the key *** is of another region"
