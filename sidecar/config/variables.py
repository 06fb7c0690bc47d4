"""`${NAME}`, `${NAME:-default}`, `${file:/path}`, `${scheme:name}` and `$$` inside texts.

They are expanded after parsing.

What they stand for is always a text, never YAML: a value cannot bring keys or lists of its own.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream

from sidecar.config.document import MAX_TEXT, Document
from sidecar.config.faults import FaultLog, KeyPath, Place, printable
from sidecar.config.files import Seen, look
from sidecar.config.references import VARIABLE, Answers, Lack, Reference, reference_in

FILE_LIMIT = 64 * 1024
"""Bytes of a `.env` and of a secret's file; longer ones are refused."""

_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_BARE = re.compile(r"\$[A-Z_][A-Z0-9_]*", re.ASCII)
_UNUSABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_HOLDS_CONTROL = "holds a line break or another control character"
_HOW = (
    "write `${NAME}`, `${NAME:-default}`, `${file:/path}`, `${scheme:name}`, "
    "or `$$` for a dollar sign"
)


@dataclass(frozen=True, slots=True)
class Environment:
    """The process's variables with those of `.env` beneath; `directory` is the configuration's.

    `seen` gathers the files that are read.
    """

    values: Mapping[str, str]
    process: Mapping[str, str]
    directory: Path
    seen: Seen

    def origin(self, name: str) -> str:
        return f"env {name}" if name in self.process else f".env {name}"


def read_environment(
    directory: Path, process: Mapping[str, str], seen: Seen, faults: FaultLog
) -> Environment:
    """Read `.env` in `directory`, if there is one; a line that cannot be read is a fault."""
    path = directory / ".env"
    seen[path] = look(path)
    beneath: dict[str, str] = {}
    try:
        text = _read(path)
    except FileNotFoundError:
        text = ""
    except (OSError, ValueError) as error:
        faults.add(Place(), _why_unreadable(error), file=str(path))
        text = ""
    for line in parse_stream(io.StringIO(text)):
        if line.error:
            place = Place(line.original.line)
            faults.add(place, "not a line of the form NAME=value", file=str(path))
            break
        if line.key is None or line.value is None:
            continue
        if "=" in line.key or "\0" in line.key + line.value:  # no process can be given it
            place = Place(line.original.line)
            faults.add(place, "holds a name or a value that no variable can have", file=str(path))
            break
        beneath[line.key] = line.value
    return Environment({**beneath, **process}, process, directory, seen)


@dataclass(frozen=True, slots=True)
class Gap:
    """A variable without a value, or a secret's file that is not there. `name` names it."""

    path: KeyPath
    name: str
    message: str


@dataclass(slots=True)
class Expansion:
    """The values with every variable replaced.

    A text that could not be made stays as it was and its path stands in `holes`. `origins` has the
    paths whose value came from outside the file, `outside` those values, `secrets` the contents of
    files and what sources gave. `renewable` has the paths whose value may change while the process
    runs, and `references` what each text asked sources for.
    """

    value: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    holes: set[KeyPath] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    renewable: set[KeyPath] = field(default_factory=set)
    references: dict[KeyPath, set[Reference]] = field(default_factory=dict)


def expand(
    document: Document, environment: Environment, answers: Answers, faults: FaultLog
) -> Expansion:
    """Replace the variables in every text. A gap is no fault yet: `optional` may excuse it.

    `answers` has a word for every reference in the document.
    """
    expander = _Expander(document, environment, answers, faults)
    expander.result.value = expander.mapping(document.value, ())
    return expander.result


class _NoValue(Exception):
    """Something was noted for this text; it has no value."""


class _Expander:
    def __init__(
        self, document: Document, environment: Environment, answers: Answers, faults: FaultLog
    ) -> None:
        self.result = Expansion()
        self._document = document
        self._environment = environment
        self._answers = answers
        self._faults = faults
        self._files: dict[str, str | Exception] = {}
        self._length = 0

    def mapping(self, value: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
        return {key: self._value(item, (*path, key)) for key, item in value.items()}

    def _value(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return self.mapping(value, path)
        if isinstance(value, list):
            return [self._value(item, (*path, i)) for i, item in enumerate(value)]
        return self._text(value, path) if isinstance(value, str) and "$" in value else value

    def _text(self, text: str, path: KeyPath) -> str:
        parts: list[str] = []
        origins: list[str] = []
        whole, end = True, 0
        if _BARE.fullmatch(text):  # sent to a vendor as it is, it would be a key that nobody knows
            self._fault(path, "is no variable without braces: write `${NAME}`, or `$$` for a `$`")
            whole = False
        for found in VARIABLE.finditer(text):
            parts.append(text[end : found.start()])
            end = found.end()
            try:
                parts.append(self._replacement(found, path, origins))
            except _NoValue:
                whole = False
        if not whole:
            self.result.holes.add(path)
            return text
        if origins:
            self.result.origins[path] = ", ".join(dict.fromkeys(origins))
        return "".join([*parts, text[end:]])

    def _replacement(self, found: re.Match[str], path: KeyPath, origins: list[str]) -> str:
        if found[0] == "$$":
            return "$"
        inside = found[1] or ""
        scheme, _, name = inside.partition(":")
        if scheme == "file" and name and not name.startswith("-"):
            origins.append(f"file {printable(name)}")
            self.result.renewable.add(path)
            return self._bounded(self._file(name, path), path)
        if (reference := reference_in(inside)) is not None:
            origins.append(str(reference).replace(":", " ", 1))
            return self._bounded(self._referred(reference, path), path)
        match = _NAME.fullmatch(inside)
        if match is None:
            raise self._fault(path, f"this variable is not understood: {_HOW}")
        return self._bounded(self._variable(match[1], match[2], path, origins), path)

    def _variable(self, name: str, default: str | None, path: KeyPath, origins: list[str]) -> str:
        value = self._environment.values.get(name, "")
        if not value and default is not None:
            return default.replace("$$", "$")
        if not value:
            raise self._gap(path, name, self._unset(name))
        if _UNUSABLE.search(value):
            raise self._fault(path, f"the variable `{name}` {_HOLDS_CONTROL}")
        self.result.outside.add(value)
        origins.append(self._environment.origin(name))
        if name not in self._environment.process:
            self.result.renewable.add(path)
        return value

    def _unset(self, name: str) -> str:
        state = "empty" if name in self._environment.values else "not set"
        return (
            f"the variable `{name}` is {state}: set it in the environment or in `.env`, "
            f"or give a default, `${{{name}:-...}}`"
        )

    def _file(self, name: str, path: KeyPath) -> str:
        if name not in self._files:
            path_of_it = self._environment.directory / name
            self._environment.seen[path_of_it] = look(path_of_it)
            self._files[name] = _secret(path_of_it)
        content, shown = self._files[name], printable(name)
        if isinstance(content, FileNotFoundError | NotADirectoryError):
            raise self._gap(path, shown, f"the file `{shown}` is not there")
        if isinstance(content, Exception):
            raise self._fault(path, f"the file `{shown}` {_why_unreadable(content)}")
        if not content:
            raise self._gap(path, shown, f"the file `{shown}` is empty")
        self.result.secrets.add(content)
        self.result.outside.add(content)
        return content

    def _referred(self, reference: Reference, path: KeyPath) -> str:
        self.result.renewable.add(path)
        self.result.references.setdefault(path, set()).add(reference)
        answer = self._answers[reference]
        if isinstance(answer, str):
            self.result.secrets.add(answer)
            self.result.outside.add(answer)
            if _UNUSABLE.search(answer):
                raise self._fault(path, f"the secret `{reference}` {_HOLDS_CONTROL}")
            return answer
        if not answer.fault:
            raise self._gap(path, str(reference), f"the secret `{reference}` {answer.reason}")
        self._refuse(path, answer, reference.scheme)
        raise _NoValue

    def _bounded(self, value: str, path: KeyPath) -> str:
        self._length += len(value)
        if self._length > MAX_TEXT:
            self._fault(path, "the variables up to here stand for too much text")
            self._faults.raise_any()
        return value

    def _gap(self, path: KeyPath, name: str, message: str) -> _NoValue:
        self.result.gaps.append(Gap(path, name, message))
        return _NoValue()

    def _refuse(self, path: KeyPath, lack: Lack, scheme: str) -> None:
        place, choices = self._document.place(path), lack.schemes
        self._faults.add(place, lack.reason, path, wrong=scheme, choices=choices)

    def _fault(self, path: KeyPath, message: str) -> _NoValue:
        self._faults.add(self._document.place(path), message, path)
        return _NoValue()


def _secret(path: Path) -> str | Exception:
    """The file's text without its one trailing newline, or why there is none."""
    try:
        text = _read(path)
    except (OSError, ValueError) as error:
        return error
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    return ValueError(_HOLDS_CONTROL) if _UNUSABLE.search(text) else text


def _read(path: Path) -> str:
    # Without O_NONBLOCK a named pipe would hold up the start for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:  # Path takes no descriptor
            data = file.read(FILE_LIMIT + 1)
    finally:
        os.close(descriptor)
    if len(data) > FILE_LIMIT:
        raise ValueError("is longer than 64 KiB")
    return data.decode("utf-8-sig")


def _why_unreadable(error: Exception) -> str:
    match error:
        case UnicodeDecodeError():
            return "is not UTF-8"
        case OSError():
            return f"cannot be read: {error.strerror or type(error).__name__}"
    return str(error)
