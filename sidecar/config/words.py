"""pydantic's errors in plain words, and never with the value that was wrong: it may be a secret."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from sidecar.config.faults import KeyPath
from sidecar.config.section import ELSEWHERE

SHORTEST_SECRET = 4
"""A shorter text is not struck out of a plugin's message: it would strike half of the words."""
_MESSAGE_LIMIT = 200

_TEXT = "must be a text"
_WHOLE = "must be a whole number"
_NUMBER = "must be a number"
_LIST = "must be a list"
_MAPPING = "must be a mapping of keys to values"
_URL = "must be an address such as https://host"
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "unknown key",
    "string_type": _TEXT,
    "path_type": _TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must have the form {pattern}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "url_type": _URL,
    "url_parsing": _URL,
    "url_scheme": _URL,
}
_QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class Problem:
    """One error: its path below the section, words for it, and what its name might have been."""

    path: KeyPath
    message: str
    wrong: str | None = None
    choices: tuple[str, ...] = ()
    about_key: bool = False
    missing: bool = False


def problems(
    error: ValidationError, model: type[BaseModel], given: Any, hidden: Collection[str]
) -> Iterator[Problem]:
    """What `error` says of `given`, one problem a path. `hidden` are texts not to be repeated."""
    found: dict[KeyPath, Problem] = {}
    for detail in error.errors(include_url=False):
        problem = _problem(detail, model, given, hidden)
        # A union names a path once for each of its members.
        found.setdefault(problem.path, problem)
    # A list whose entries are wrong is called too short besides: the deeper fault tells it all.
    above = {path[:end] for path in found for end in range(len(path))}
    return (problem for path, problem in found.items() if path not in above)


def _problem(
    detail: ErrorDetails, model: type[BaseModel], given: Any, hidden: Collection[str]
) -> Problem:
    kind, path = detail["type"], _within(given, detail["loc"])
    match kind:
        case "missing":
            return Problem(detail["loc"], _WORDS[kind], missing=True)
        case "extra_forbidden":
            name = str(path[-1])
            keys = tuple(_keys(model, path[:-1], given))
            return Problem(path, _WORDS[kind], name, keys, about_key=True)
        case "literal_error" | "enum":
            return _one_of(path, detail)
        case _ if kind == ELSEWHERE:
            return Problem((*path, detail["ctx"]["key"]), detail["msg"])
    return Problem(path, _words(detail, hidden))


def _words(detail: ErrorDetails, hidden: Collection[str]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    words = _WORDS.get(kind)
    if words is None:
        told = str(context["error"]) if "error" in context else detail["msg"]
        return scrub(told.replace("Input should", "should", 1), hidden)
    if words is _TEXT and isinstance(detail["input"], bool | int | float):
        return f"{_TEXT}: quote this value, YAML reads it as {_what(detail['input'])}"
    if kind in {"string_too_short", "too_short"} and context.get("min_length") == 1:
        return "must not be empty"
    if kind in {"too_short", "too_long"} and isinstance(detail["input"], str):
        words = _WORDS[f"string_{kind}"]
    return words.format_map(context)


def _what(value: object) -> str:
    return "true or false" if isinstance(value, bool) else "a number"


def _one_of(path: KeyPath, detail: ErrorDetails) -> Problem:
    choices = tuple(_QUOTED.findall(detail.get("ctx", {}).get("expected", "")))
    wrong = detail["input"] if isinstance(detail["input"], str) else None
    return Problem(path, f"must be {listed(choices)}", wrong, choices)


def listed(names: Iterable[str]) -> str:
    """`a`, `b` or `c`."""
    *most, last = [f"`{name}`" for name in names] or ["something else"]
    return f"{', '.join(most)} or {last}" if most else last


def scrub(text: str, hidden: Iterable[str]) -> str:
    """A stranger's words on one line, without the texts that are not to be repeated."""
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) >= SHORTEST_SECRET:
            text = text.replace(value, "***").replace(repr(value)[1:-1], "***")
    return " ".join(text.split())[:_MESSAGE_LIMIT]


def _within(given: Any, loc: KeyPath) -> KeyPath:
    """The part of a pydantic location that is really there; the rest names members of unions."""
    path: list[str | int] = []
    for step in loc:
        try:
            given = given[step]
        except (KeyError, IndexError, TypeError):
            break
        path.append(step)
    return tuple(path)


def _keys(model: type[BaseModel], path: KeyPath, given: Any) -> Iterator[str]:
    """The keys that the model at `path` knows and that are still free."""
    section: type[BaseModel] | None = model
    for step in path:
        given = given[step]
        field = section.model_fields.get(str(step)) if section else None
        section = next(models_in(field.annotation), None) if field else None
    if section is not None:
        names = (info.alias or name for name, info in section.model_fields.items())
        yield from (name for name in names if name not in given)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The settings models that an annotation names, `X | None` and lists included."""
    return (found for found in _types(annotation) if issubclass(found, BaseModel))


def secret_texts(
    model: type[BaseModel], given: Any, path: KeyPath = ()
) -> Iterator[tuple[KeyPath, str]]:
    """The texts in `given`, with their paths, that stand where `model` has a secret."""
    if not isinstance(given, Mapping):
        return
    for name, info in model.model_fields.items():
        key = info.alias or name
        value = given.get(key)
        if any(issubclass(found, SecretStr) for found in _types(info.annotation)):
            yield from leaves(value, (*path, key))
        for section in models_in(info.annotation):
            yield from secret_texts(section, value, (*path, key))


def leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every scalar below `value` as a text, with its path; nothing for nulls."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            yield from leaves(item, (*path, key))
    elif value is not None:
        yield path, str(value)


def _types(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for part in get_args(annotation):
        yield from _types(part)
