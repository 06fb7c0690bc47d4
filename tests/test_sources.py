"""Schemes by entry point: loaded by name, and no other plugin gets any code run."""

from __future__ import annotations

import sys

import pytest

from sidecar import SecretSource
from sidecar.config.references import Lack, Reference
from sidecar.registry import Registry
from sidecar.sources import Sources

MODULE = """
from sidecar import NoSecret, SecretSource, hookimpl

class Vault(SecretSource):
    scheme = "acme-vault"

    def fetch(self, name, *, timeout):
        return f"canary-{name}"

@hookimpl
def register_secret_sources():
    return [Vault]
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution on the path, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def put(name, text=MODULE, scheme="acme-vault"):
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[sidecar.secrets]\n{scheme} = {module}\n")

    yield put
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and name.startswith("keeper"):
            del sys.modules[name]


@pytest.fixture
def of():
    return Sources(lambda _: None).of


def test_a_scheme_is_loaded_by_its_name_and_nothing_else_is(install, of):
    install("keeper-one")
    install("keeper-two", "raise SystemExit", scheme="acme-other")
    found = of("acme-vault")
    assert issubclass(found, SecretSource)
    assert found.__module__ == "keeper_one"
    assert of("acme-vault") is found
    assert "keeper_two" not in sys.modules


def test_the_registry_answers_for_a_file(install):
    install("keeper-three")
    registry, wanted = Registry(), Reference("acme-vault", "x")
    assert registry.resolve({wanted}, {}) == {wanted: "canary-x"}
    assert registry.troubles({wanted}) == {}


def test_who_asks_for_nothing_gets_nothing_built():
    registry = Registry()
    assert registry.troubles(frozenset()) == {}
    assert "safe" not in vars(registry)


def test_an_unknown_scheme_names_those_there_are_and_whose_they_are(install, of):
    install("keeper-four")
    lack = of("acme-valt")
    assert lack.fault
    assert lack.reason == (
        "no installed plugin offers secrets of the scheme `acme-valt`; there are `file`, "
        "`acme-vault` of keeper-four, `aws-sm` of otp-sidecar-aws"
    )
    assert set(lack.schemes) == {"file", "acme-vault", "aws-sm"}


def test_where_no_plugin_is_installed_it_says_so(of, monkeypatch):
    monkeypatch.setattr("sidecar.sources.entry_points", lambda **_: ())
    assert "nor of another one: install the plugin, or use `${file:/path}`" in of("vault").reason


def test_a_scheme_that_was_installed_since_is_found(install, of):
    assert isinstance(of("acme-vault"), Lack)
    install("keeper-late")
    assert not isinstance(of("acme-vault"), Lack)


def test_two_who_offer_one_scheme_are_refused(install, of):
    install("keeper-five")
    install("keeper-six")
    assert "offered twice, by keeper-five and keeper-six; uninstall one" in of("acme-vault").reason


BROKEN = {
    "raises": ("raise ValueError('canary')", "cannot be loaded: ValueError at "),
    "exits": ("raise SystemExit('canary')", "cannot be loaded: SystemExit at "),
    "imports": ("import acme_none", "cannot be loaded: ModuleNotFoundError: acme_none"),
    "no hook": ("", "brings no such source: its `register_secret_sources` must return"),
    "nothing": (MODULE.replace("[Vault]", "[]"), "brings no such source"),
    "another": (MODULE.replace('"acme-vault"', '"acme"'), "brings no such source"),
    "abstract": (MODULE.replace("def fetch", "def get"), "brings no such source"),
    "no class": (MODULE.replace("[Vault]", "[Vault({})]"), "brings no such source"),
}


@pytest.mark.parametrize(("text", "why"), BROKEN.values(), ids=BROKEN)
def test_a_plugin_that_cannot_be_used_is_named(install, of, text, why, request):
    name = f"keeper-broken-{request.node.callspec.id.replace(' ', '-')}"
    install(name, text)
    lack = of("acme-vault")
    assert lack.fault
    assert f"`acme-vault` ({name}) {why}" in lack.reason
    assert "canary" not in lack.reason
