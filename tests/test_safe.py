"""The secrets that sources gave: beside each other, in a bounded time, and kept when in doubt."""

from __future__ import annotations

import threading
from typing import ClassVar

import pytest

from sidecar import NoSecret, SecretSource
from sidecar.config.references import Lack, Reference
from sidecar.safe import AT_ONCE, LONGEST, Safe

TOKEN = "canary-token-0001"


def ref(name, key=None, scheme="vault"):
    return Reference(scheme, name, key)


class Vault(SecretSource):
    scheme = "vault"
    texts: ClassVar[dict] = {}
    asked: ClassVar[list] = []
    built: ClassVar[list] = []

    def __init__(self, environ):
        super().__init__(environ)
        self.built.append(dict(environ))

    def fetch(self, name, *, timeout):
        self.asked.append(name)
        assert 0 < timeout <= 10.0
        text = self.texts.get(name, NoSecret("is not there: create it"))
        if callable(text):
            text = text()
        if isinstance(text, BaseException):
            raise text
        return text


@pytest.fixture
def vault():
    Vault.texts, Vault.asked, Vault.built = {"otp": TOKEN}, [], []
    return Vault


@pytest.fixture
def safe(vault):
    return Safe(lambda scheme: vault if scheme == "vault" else Lack("no such scheme", fault=True))


def test_what_was_fetched_is_kept(safe, vault):
    for _ in range(2):
        assert safe.resolve({ref("otp")}, {}) == {ref("otp"): TOKEN}
    assert vault.asked == ["otp"]
    assert len(vault.built) == 1


def test_two_keys_of_a_secret_are_one_question(safe, vault):
    vault.texts["otp"] = '{"a": "canary-a", "b": "canary-b"}'
    wanted = {ref("otp", "a"), ref("otp", "b")}
    assert safe.resolve(wanted, {}) == {ref("otp", "a"): "canary-a", ref("otp", "b"): "canary-b"}
    assert vault.asked == ["otp"]


def test_many_are_fetched_beside_each_other(safe, vault):
    together = threading.Barrier(AT_ONCE, timeout=10)
    names = [f"n{n}" for n in range(2 * AT_ONCE)]
    vault.texts |= {name: lambda: together.wait() >= 0 and TOKEN for name in names}
    found = safe.resolve({ref(name) for name in names}, {})
    assert set(found.values()) == {TOKEN}
    assert sorted(vault.asked) == sorted(names)


def test_a_source_that_hangs_is_left_behind_and_not_asked_twice(vault):
    safe, go = Safe(lambda _: vault, timeout=0.2), threading.Event()
    vault.texts["slow"] = lambda: go.wait(10) and TOKEN
    for _ in range(2):
        found = safe.resolve({ref("otp"), ref("slow")}, {})
        assert found[ref("otp")] == TOKEN
        assert found[ref("slow")].reason.startswith("was not there within 0 s")
    assert vault.asked.count("slow") == 1
    (hanging,) = [thread for thread in threading.enumerate() if thread.name == "secrets"]
    go.set()
    hanging.join(10)
    assert safe.resolve({ref("slow")}, {}) == {ref("slow"): TOKEN}


TELLS = "canary-in-an-error"
LACKING = {
    "nothing": ("", None, "is empty"),
    "a newline": ("\n", None, "is empty"),
    "bytes": (b"canary", None, "is no text: the plugin returned bytes"),
    "long": ("x" * (LONGEST + 1), None, "is longer than 64 KiB"),
    "own words": (NoSecret("is away:\n\x1b ask later"), None, "is away: ask later"),
    "many words": (NoSecret("x" * 1000), None, "x" * 300),
    "an error": (ValueError(TELLS), None, "cannot be had: the plugin raised ValueError"),
    "an exit": (SystemExit(TELLS), None, "cannot be had: the plugin raised SystemExit"),
    "no JSON": (TELLS, "k", "is no JSON object, so it has no `k`: make it one, or leave out"),
    "a list": (f'["{TELLS}"]', "k", "is no JSON object, so it has no `k`"),
    "a nest": ("[" * 60_000, "k", "is no JSON object, so it has no `k`"),
    "another key": (f'{{"{TELLS}": "{TELLS}"}}', "k", "has no key `k`: add it"),
    "a number": ('{"k": 739184}', "k", "has no text under `k`, but a number: quote it"),
    "true": ('{"k": true}', "k", "has no text under `k`, but true or false"),
    "null": ('{"k": null}', "k", "has no text under `k`, but null"),
    "a mapping": (f'{{"k": {{"{TELLS}": 1}}}}', "k", "has no text under `k`, but a mapping"),
    "an empty text": ('{"k": ""}', "k", "has nothing under `k`"),
}


@pytest.mark.parametrize(("text", "key", "why"), LACKING.values(), ids=LACKING)
def test_why_there_is_none_and_never_what_is_there(safe, vault, text, key, why):
    vault.texts["otp"] = text
    (lack,) = safe.resolve({ref("otp", key)}, {}).values()
    assert lack.reason.startswith(why)
    assert not lack.fault
    assert TELLS not in lack.reason
    assert safe.troubles({ref("otp", key)}) == {str(ref("otp", key)): lack.reason}


@pytest.mark.parametrize(("text", "value"), [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n")])
def test_one_trailing_newline_is_trimmed_as_of_a_file(safe, vault, text, value):
    vault.texts["otp"] = text
    assert safe.resolve({ref("otp")}, {}) == {ref("otp"): value}


def test_what_is_lacking_is_asked_for_again(safe, vault):
    assert isinstance(safe.resolve({ref("new")}, {})[ref("new")], Lack)
    vault.texts["new"] = TOKEN
    assert safe.resolve({ref("new")}, {}) == {ref("new"): TOKEN}
    assert safe.troubles({ref("new")}) == {}


def test_a_scheme_that_nobody_offers_is_looked_for_each_time(safe, vault):
    for _ in range(2):
        assert safe.resolve({ref("x", scheme="other")}, {})[ref("x", scheme="other")].fault
    assert vault.asked == []


def test_a_source_that_cannot_be_built_lacks_everything(vault):
    class Broken(vault):
        def __init__(self, environ):
            raise ValueError(TELLS)

    found = Safe(lambda _: Broken).resolve({ref("otp")}, {})
    assert found[ref("otp")].reason == "cannot be had: the plugin raised ValueError"


def test_another_environment_is_another_source(safe, vault):
    for environ in ({"R": "1"}, {"R": "1"}, {"R": "2"}):
        safe.resolve({ref("otp")}, environ)
        safe.expire({ref("otp")})
    assert vault.built == [{"R": "1"}, {"R": "2"}]


# Reading again


def test_a_refresh_tells_whether_a_value_in_use_has_changed(safe, vault):
    vault.texts["otp"] = '{"k": "canary-1", "other": "x"}'
    used = {ref("otp", "k")}
    safe.resolve(used, {})
    assert not safe.refresh(used)
    vault.texts["otp"] = '{"k": "canary-1", "other": "y"}'
    assert not safe.refresh(used)
    vault.texts["otp"] = '{"k": "canary-2", "other": "y"}'
    assert safe.refresh(used)
    assert safe.resolve(used, {}) == {ref("otp", "k"): "canary-2"}
    assert vault.asked == ["otp"] * 4


def test_a_refresh_that_fails_keeps_the_value_and_tells_why(safe, vault):
    safe.resolve({ref("otp")}, {})
    vault.texts["otp"] = NoSecret("is throttled")
    assert not safe.refresh({ref("otp")})
    assert safe.resolve({ref("otp")}, {}) == {ref("otp"): TOKEN}
    assert safe.troubles({ref("otp")}) == {"vault:otp": "is throttled"}
    vault.texts["otp"] = TOKEN
    assert not safe.refresh({ref("otp")})
    assert safe.troubles({ref("otp")}) == {}


def test_what_was_lacking_and_is_there_is_a_change(safe, vault):
    safe.resolve({ref("new")}, {})
    assert not safe.refresh({ref("new")})
    vault.texts["new"] = TOKEN
    assert safe.refresh({ref("new")})


def test_what_is_expired_is_asked_for_once_more(safe, vault):
    safe.resolve({ref("otp")}, {})
    vault.texts["otp"] = "canary-token-0002"
    safe.expire({ref("otp")})
    for _ in range(2):
        assert safe.resolve({ref("otp")}, {}) == {ref("otp"): "canary-token-0002"}
    assert vault.asked == ["otp", "otp"]


# What a reviewer proved


def test_a_constructor_that_exits_ends_nothing():
    class Leaves(SecretSource):
        scheme = "vault"

        def __init__(self, environ):
            raise SystemExit(0)

        def fetch(self, name, *, timeout):
            raise AssertionError

    one = Reference("vault", "a", None)
    answer = Safe(lambda _: Leaves).resolve([one], {})[one]
    assert isinstance(answer, Lack)


def test_rubbish_does_not_take_the_place_of_what_was_good():
    texts = iter(['{"key": "good"}', "<html>", '{"other": "x"}', '{"key": "new"}'])

    class Changes(SecretSource):
        scheme = "vault"

        def fetch(self, name, *, timeout):
            return next(texts)

    safe, one = Safe(lambda _: Changes), Reference("vault", "a", "key")
    seen = [safe.resolve([one], {})[one]]
    for _ in range(3):
        changed = safe.refresh([one])
        seen.append(safe.resolve([one], {})[one])
        assert changed == (seen[-1] != seen[-2])
        assert bool(safe.troubles([one])) == (seen[-1] == "good")
    assert seen == ["good", "good", "good", "new"]


def test_other_variables_have_everything_read_anew():
    class Regional(SecretSource):
        scheme = "vault"

        def fetch(self, name, *, timeout):
            return self.environ["REGION"]

    safe, one = Safe(lambda _: Regional), Reference("vault", "a", None)
    assert [safe.resolve([one], {"REGION": r})[one] for r in ("one", "two")] == ["one", "two"]
