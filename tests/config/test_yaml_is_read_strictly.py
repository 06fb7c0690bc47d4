"""What the reader refuses, each with its place; and what YAML 1.1 would have made of it."""

import pytest
import yaml

from sidecar.config import document
from sidecar.config.document import MAX_DEPTH, MAX_VALUES

BILLION_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{now}: &{now} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, now in zip("abcdefgh", "bcdefghi", strict=True)
)

REFUSED = {
    "empty": (b"", "my.yaml:1:1: the file is empty"),
    "comments only": (b"# nothing\n", "my.yaml:1:1: the file is empty"),
    "null": (b"---\n...\n", "my.yaml:1:1: the file is empty"),
    "a list": (b"\n- 1\n", "my.yaml:2:1: the file must be a mapping"),
    "a text": (b"hello\n", "my.yaml:1:1: the file must be a mapping"),
    "two documents": (b"a: 1\n---\nb: 1\n", "my.yaml:2:1: more than one document"),
    "latin-1": ("a: b\nc: \xe9\n".encode("latin-1"), "my.yaml:2:4: the file is not UTF-8"),
    "utf-16": ("a: b\n".encode("utf-16"), "my.yaml:1:1: the file is not UTF-8"),
    "too long": (b"#" * (256 * 1024 + 1), "my.yaml:1:1: the file is longer than 256 KiB"),
    "a NUL": (b"a: b\nc: d\x00\n", "my.yaml:2:5: a control character"),
    "an escape": (b"a: \x1b[31m\n", "my.yaml:1:4: a control character"),
    "a tab": (b"a:\n\tb: 1\n", "my.yaml:2:1: not valid YAML: indent with spaces, not with tabs"),
    "not closed": (b"a: [1, 2\n", "my.yaml:2:1: not valid YAML: "),
    "two colons": (b"a: b: c\n", "my.yaml:1:5: not valid YAML: mapping values are not allowed"),
    "an unquoted variable": (
        b"a: {b: ${C}}\n",
        "or '}'; inside { } and [ ] a variable needs quotes: \"${NAME}\"",
    ),
    "duplicate key": (
        b"a: 1\nb:\n  c: 1\n  c: 2\n",
        "my.yaml:4:3: duplicate key `c`, first in line 3",
    ),
    "duplicate at the top": (b"a: 1\n'a': 2\n", "my.yaml:2:1: duplicate key `a`, first in line 1"),
    "python object": (
        b"a: !!python/object/apply:os.system ['true']\n",
        "my.yaml:1:4: tags (`!...`) are not read here",
    ),
    "own tag": (b"a: !secret b\n", "my.yaml:1:4: tags (`!...`) are not read here"),
    "binary": (b"a: !!binary aGk=\n", "my.yaml:1:4: tags (`!...`) are not read here"),
    "set": (b"a: !!set {b}\n", "my.yaml:1:4: tags (`!...`) are not read here"),
    "typed scalar": (b"a: !!int x\n", "my.yaml:1:4: tags (`!...`) are not read here"),
    "merge key": (b"a: &a {b: 1}\nc:\n  <<: *a\n", "my.yaml:3:3: `<<` is not read here"),
    "boolean key": (b"a:\n  NO: 1\n", "my.yaml:2:3: a key must be a text: quote this key"),
    "number as key": (b"15: 1\n", "my.yaml:1:1: a key must be a text: quote this key"),
    "list as key": (b"? [a]\n: b\n", "my.yaml:1:3: a key must be a text: quote this key"),
    "unknown alias": (b"a: *nowhere\n", "my.yaml:1:4: an unknown alias"),
    "alias in itself": (b"a: &a [b, *a]\n", "my.yaml:1:11: an alias inside its own anchor"),
    "alias bomb": (BILLION_LAUGHS.encode(), "the aliases up to here stand for too much"),
    "too deep": (b"a: " + b"[" * 200_000, "my.yaml:1:35: nested more than 32 deep"),
    "too deep, in blocks": (
        "".join(f"{' ' * n}k:\n" for n in range(100)).encode(),
        "my.yaml:32:32: nested more than 32 deep",
    ),
    "octal": (b"a: 012345\n", "my.yaml:1:4: YAML reads this as another number"),
    "hexadecimal": (b"a: 0x10\n", "my.yaml:1:4: YAML reads this as another number"),
    "sexagesimal": (b"a: 190:20:30\n", "my.yaml:1:4: YAML reads this as another number"),
    "underscores": (b"a: 1_000\n", "my.yaml:1:4: YAML reads this as another number"),
    "infinity": (b"a: .inf\n", "my.yaml:1:4: YAML reads this as another number"),
    "not a number": (b"a: .NaN\n", "my.yaml:1:4: YAML reads this as another number"),
    "5000 digits": (b"a: " + b"9" * 5000, "my.yaml:1:4: YAML reads this as another number"),
    "too large a float": (b"a: 1.0e+999\n", "my.yaml:1:4: YAML reads this as another number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_fault_with_its_place(faults_of, case):
    data, expected = REFUSED[case]
    (fault,) = faults_of(data)
    assert expected in fault


def test_another_number_is_told_to_be_quoted(faults_of):
    (fault,) = faults_of("a: 012345\n")
    assert "quote this value" in fault


def test_independent_faults_of_the_reader_come_together(faults_of):
    found = faults_of("a: 012\nb: !x y\nb: 1\nNO: 2\n")
    assert [line.split(": ")[0] for line in found] == [
        "my.yaml:1:4",
        "my.yaml:2:4",
        "my.yaml:3:1",
        "my.yaml:4:1",
    ]


def test_many_values_are_refused_even_without_aliases(faults_of):
    (fault,) = faults_of("a:\n" + "- b\n" * MAX_VALUES)
    assert "stand for too much" in fault


def test_long_texts_may_not_be_multiplied(faults_of):
    (fault,) = faults_of(f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 20)}]\n")
    assert "stand for too much" in fault


def test_as_deep_as_may_be_is_read(tmp_path):
    text = "a: " + "[" * (MAX_DEPTH - 2) + "b" + "]" * (MAX_DEPTH - 2)
    parsed = document.parse(text.encode(), document.FaultLog("f"))
    assert parsed.value["a"]


READ = {
    "a: 1": 1,
    "a: -1.5": -1.5,
    "a: +15005550006": 15005550006,
    "a: yes": True,
    "a: Off": False,
    "a: ~": None,
    "a:": None,
    "a: 'NO'": "NO",
    'a: "012"': "012",
    "a: 2026-01-02": "2026-01-02",
    "a: 2026-01-02 03:04:05": "2026-01-02 03:04:05",
    "a: !!str 12": "12",
    "a: =": "=",
    "a: '<<'": "<<",
    "a: |\n  b\n  c\n": "b\nc\n",
    "b: &b [1]\na: *b": [1],
    "\ufeffa: b": "b",
    "%YAML 1.1\n---\na: b": "b",
}


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def each_parser(request, monkeypatch):
    monkeypatch.setattr(document, "_LOADER", getattr(yaml, request.param))


@pytest.mark.parametrize("text", READ)
@pytest.mark.usefixtures("each_parser")
def test_what_is_read(text):
    value = document.parse(text.encode(), document.FaultLog("f")).value["a"]
    assert value == READ[text]
    assert type(value) is type(READ[text])


@pytest.mark.parametrize(
    "case", ["duplicate key", "own tag", "alias in itself", "a tab", "too deep"]
)
@pytest.mark.usefixtures("each_parser")
def test_both_parsers_refuse_alike(faults_of, case):
    data, expected = REFUSED[case]
    assert expected in faults_of(data[:5000])[0]


def test_an_alias_has_the_places_of_its_anchor():
    parsed = document.parse(b"a: &a {b: 1}\nc: *a\n", document.FaultLog("f"))
    assert str(parsed.values["c", "b"]) == "1:11"
    assert parsed.value["c"] == {"b": 1}
