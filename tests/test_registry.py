"""Kinds by entry point: loaded by name, refused with one line."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from sidecar.delivery.errors import ConfigError, PluginNotFound
from sidecar.registry import Registry

MODULE = """
from sidecar import Provider, ProviderConfig, Receipt, hookimpl

class Acme(Provider):
    kind, channels, Config = "acme", frozenset({"sms"}), ProviderConfig

    async def send(self, message, *, timeout):
        return Receipt("a-1")

@hookimpl
def register_providers():
    return [Acme]
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution on the path, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(name, kind="acme", text=MODULE):
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[sidecar.providers]\n{kind} = {module}\n")

    return put


def test_a_kind_is_loaded_by_its_name(install):
    install("acme-sms-1")
    found = Registry().provider_class("acme")
    assert (found.kind, found.__module__) == ("acme", "acme_sms_1")


def test_one_module_may_serve_two_kinds(install, tmp_path):
    two = MODULE.replace("return [Acme]", "return [Acme, type('B', (Acme,), {'kind': 'acme-b'})]")
    install("acme-both", text=two)
    points = tmp_path / "acme_both-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text() + "acme-b = acme_both\n")
    registry = Registry()
    kinds = [registry.provider_class(kind).kind for kind in ("acme", "acme-b")]
    assert kinds == ["acme", "acme-b"]


def test_the_distributions_are_looked_through_once(install, monkeypatch):
    looks = []

    def looked(**wanted):
        looks.append(wanted)
        return entry_points(**wanted)

    monkeypatch.setattr("sidecar.registry.entry_points", looked)
    install("acme-sms-1")
    registry = Registry()
    for kind in ("acme", "console", "twilio"):
        registry.provider_class(kind)
    assert len(looks) == 1


def test_a_kind_that_was_installed_since_is_found(install):
    registry = Registry()
    with pytest.raises(PluginNotFound, match="`acme-late`"):
        registry.provider_class("acme-late")
    install("acme-late", "acme-late", MODULE.replace('"acme"', '"acme-late"'))
    assert registry.provider_class("acme-late").kind == "acme-late"


def test_an_unknown_kind_gets_a_suggestion():
    with pytest.raises(PluginNotFound, match="did you mean `twilio`"):
        Registry().provider_class("twillio")
    with pytest.raises(PluginNotFound, match="installed: console, "):
        Registry().provider_class("zzz")


def test_two_distributions_for_one_kind_are_refused_and_named(install):
    install("acme-one")
    install("acme-two")
    with pytest.raises(ConfigError, match="twice, by acme-one and acme-two"):
        Registry().provider_class("acme")


@pytest.mark.parametrize(
    "text",
    ["import no_such_module_at_all", "raise SystemExit", "x = 1", MODULE.replace('"acme"', '"b"')],
    ids=["import error", "exit", "no hook", "another kind"],
)
def test_a_plugin_that_breaks_its_contract_is_named_in_one_line(install, text):
    install(f"acme-broken-{abs(hash(text)) % 10**8}", text=text)
    with pytest.raises(ConfigError, match="acme") as caught:
        Registry().provider_class("acme")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("return [Acme]", "return Acme", "returns the class Acme itself, and must return a list"),
        ("return [Acme]", "return None", "returns NoneType, and must return a list"),
        ('frozenset({"sms"})', '"sms"', r"class Acme has a text as its `channels`: write .*'sms'"),
    ],
)
def test_a_slip_of_a_plugin_is_told_as_its_own(install, before, after, told):
    name = f"acme-slip-{abs(hash(after)) % 10**8}"
    install(name, text=MODULE.replace(before, after))
    with pytest.raises(ConfigError, match=rf"\({name}\) cannot be used: its .*{told}") as caught:
        Registry().provider_class("acme")
    assert "registry.py" not in str(caught.value)


RETYPED = MODULE.replace(
    "class Acme(Provider):",
    "class Own(ProviderConfig):\n    timeout: str = 'x'\n\nclass Acme(Provider):",
).replace('frozenset({"sms"}), ProviderConfig', 'frozenset({"sms"}), Own')


def test_a_config_may_not_give_a_common_key_another_type(install):
    install("acme-retyped", text=RETYPED)
    with pytest.raises(ConfigError, match=r"gives `timeout`, .* another type"):
        Registry().provider_class("acme")


def test_a_config_may_give_a_common_key_another_default(install):
    install("acme-patient", text=RETYPED.replace("timeout: str = 'x'", "timeout: float = 9.0"))
    assert Registry().provider_class("acme").kind == "acme"


def test_the_default_file_imports_no_sdk(request):
    script = """
import os, sys
from pathlib import Path
from sidecar.config import load
from sidecar.registry import Registry
load(Path("providers.yaml"), environ={}, provider_class=Registry().provider_class)
print(sorted({"aiosmtplib", "boto3", "botocore", "sendgrid", "twilio"} & set(sys.modules)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout == "[]\n"


def test_an_installed_plugin_that_is_not_named_gets_no_code_run(install, tmp_path):
    install("acme-spy", text="raise AssertionError('imported')")
    registry = Registry()
    assert "acme" in [entry.name for entry in registry.installed()]
    assert registry.provider_class("console").kind == "console"
