"""`${scheme:name#key}`: what a file may refer to, and what is said of what cannot be had."""

from __future__ import annotations

import pytest

from sidecar.config import ConfigFaults, effective, load
from sidecar.config.references import Lack, Reference

TEXT = "providers: {t: {kind: text, %s}}\nchains: {sms: [t]}\n"
TOKEN = "canary-token-of-a-source"
THERE = {
    Reference("vault", "otp/text", "token"): TOKEN,
    Reference("vault", "otp/text"): '{"token": "canary-token-of-a-source"}',
    Reference("vault", "arn:with:colons/x", "a#b"): TOKEN,
    Reference("vault", "short"): "587",
    Reference("vault", "lines"): "canary-one\ncanary-two",
    Reference("vault", "bad"): "canary-not-a-number",
}


@pytest.fixture
def read(tmp_path, class_of):
    """Load a text; `read.asked` has what the sources were asked for, call by call."""
    asked = []

    def resolve(references, environ):
        asked.append(sorted(map(str, references)))
        read_text.environ = environ
        unknown = Lack("no such scheme", fault=True, schemes=("file", "vault"))
        return {
            one: THERE.get(one, Lack("is not there: create it"))
            if one.scheme == "vault"
            else unknown
            for one in references
        }

    def read_text(text, **environ):
        path = tmp_path / "my.yaml"
        path.write_text(text)
        return load(path, environ=environ, provider_class=class_of, resolve=resolve)

    read_text.asked = asked
    return read_text


@pytest.fixture
def faults_of(read, tmp_path):
    def do(text, **environ):
        with pytest.raises(ConfigFaults) as caught:
            read(text, **environ)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return do


def test_a_reference_stands_for_what_the_source_has(read):
    config = read(TEXT % "token: '${vault:otp/text#token}', sender: 'x-${vault:short}'")
    section = config.providers["t"]
    assert section.settings.token.get_secret_value() == TOKEN
    assert section.settings.sender == "x-587"
    assert {TOKEN, "587"} <= config.secrets
    assert config.references == section.references
    assert {str(one) for one in section.references} == {"vault:otp/text#token", "vault:short"}
    assert section.renewable


@pytest.mark.parametrize(
    ("inside", "value"),
    [("vault:otp/text", '{"token": "' + TOKEN + '"}'), ("vault:arn:with:colons/x#a#b", TOKEN)],
)
def test_a_name_may_have_colons_and_a_key_is_what_follows_the_first_hash(read, inside, value):
    config = read(TEXT % f"token: '${{{inside}}}', sender: s")
    assert config.providers["t"].settings.token.get_secret_value() == value


def test_all_references_of_a_file_are_asked_for_at_once(read):
    more = "u: {kind: text, token: '${vault:otp/text#token}', sender: '${vault:short}'}"
    text = TEXT % "token: '${vault:otp/text#token}', sender: s"
    read(text.replace("{t:", f"{{{more}, t:"), SOME="thing")
    assert read.asked == [["vault:otp/text#token", "vault:short"]]
    assert read.environ == {"SOME": "thing"}


def test_a_file_without_references_asks_nobody(read):
    config = read(TEXT % "token: '$${vault:otp/text}-${TOKEN}', sender: s", TOKEN="canary-1")
    assert read.asked == []
    assert config.references == frozenset()
    assert not config.providers["t"].renewable, "the process's own variables never change"


def test_a_file_and_a_dotenv_may_change_too(read, tmp_path):
    (tmp_path / ".env").write_text("BELOW=canary-below\n")
    (tmp_path / "token").write_text("canary-file")
    for value in ("${BELOW}", "${file:token}"):
        assert read(TEXT % f"token: '{value}', sender: s").providers["t"].renewable


def test_what_the_file_says_tells_a_new_secret_from_a_new_setting(read, tmp_path):
    text = TEXT % "token: '${file:token}', sender: s"
    (tmp_path / "token").write_text("canary-file-1")
    before = read(text).providers["t"]
    (tmp_path / "token").write_text("canary-file-2")
    after = read(text).providers["t"]
    assert before.settings != after.settings
    assert before.written == after.written
    assert read(text.replace("sender: s", "sender: r")).providers["t"].written != before.written
    assert "canary" not in repr(after)


def test_what_is_not_there_is_told_at_its_place(faults_of):
    assert faults_of(TEXT % "token: '${vault:none#k}', sender: s") == [
        (
            "my.yaml:1:36: providers.t.token: the secret `vault:none#k` is not there: create it, "
            "or mark the provider `optional: true`"
        )
    ]


def test_an_optional_provider_is_left_out_and_names_it(read):
    section = read(TEXT % "optional: true, token: '${vault:none#k}', sender: s").providers["t"]
    assert section.missing == ("vault:none#k",)
    assert section.settings is None
    assert {str(one) for one in section.references} == {"vault:none#k"}, "it is asked for again"


def test_outside_of_the_providers_nothing_excuses_it(faults_of):
    text = f"log: {{path: '${{vault:none}}'}}\n{TEXT % 'optional: true, key: k, sender: s'}"
    (fault,) = faults_of(text)
    assert fault == "my.yaml:1:13: log.path: the secret `vault:none` is not there: create it"


@pytest.mark.parametrize("optional", ["", ", optional: true"])
def test_an_unknown_scheme_is_a_fault_with_a_suggestion(faults_of, optional):
    (fault,) = faults_of(TEXT % f"token: '${{valut:otp/text}}', sender: s{optional}")
    assert fault == "my.yaml:1:36: providers.t.token: no such scheme - did you mean `vault`?"


@pytest.mark.parametrize("inside", ["Vault:x", "vault:", "VAULT:x", "9:x", "a b:x"])
def test_what_is_no_reference_is_not_understood(faults_of, read, inside):
    (fault,) = faults_of(TEXT % f"token: '${{{inside}}}', sender: s")
    assert "this variable is not understood" in fault
    assert "`${scheme:name}`" in fault
    assert read.asked == []


def test_without_sources_a_reference_is_a_fault(load_text):
    with pytest.raises(ConfigFaults, match=r"my.yaml:1:36: .* nothing here fetches secrets"):
        load_text(TEXT % "token: '${vault:x}', sender: s")


def test_a_value_is_in_no_fault(faults_of):
    (fault,) = faults_of(TEXT % "token: '${vault:lines}', sender: s")
    assert "the secret `vault:lines` holds a line break" in fault
    (fault,) = faults_of(f"log: {{retention: '${{vault:bad}}'}}\n{TEXT % 'key: k, sender: s'}")
    assert fault.startswith("my.yaml:1:18: log.retention: a duration is written like")
    assert "canary" not in fault


def test_nothing_that_a_source_gave_is_shown_however_short_it_is(read):
    text = TEXT % "token: '${vault:otp/text#token}', sender: '${vault:short}'"
    config = read(f"limits: {{queue: '${{vault:short}}'}}\n{text}")
    shown = effective(config)
    assert shown["providers"]["t"]["sender"] == shown["providers"]["t"]["token"] == "***"
    assert shown["limits"]["queue"] == "***"
    assert shown["limits"]["in_flight"] == 256
    assert shown["secrets"] == {"refresh": 300.0}
    assert shown["origins"]["providers.t.token"] == "vault otp/text#token"
    assert shown["origins"]["limits.queue"] == "vault short"
    assert shown["origins"]["secrets.refresh"] == "default"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("1s", 1.0), ("24h", 86400.0)])
def test_how_often_they_are_read_again(read, text, seconds):
    config = read(f"secrets: {{refresh: {text}}}\n{TEXT % 'key: k, sender: s'}")
    assert config.refresh == seconds


def test_not_more_than_once_a_second(faults_of):
    (fault,) = faults_of(f"secrets: {{refresh: 10ms}}\n{TEXT % 'key: k, sender: s'}")
    assert fault == "my.yaml:1:20: secrets.refresh: must be at least 1"
