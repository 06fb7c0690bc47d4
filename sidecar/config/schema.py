"""The JSON schema of the file, derived from the models and from every plugin's own settings.

Draft 7, because that is what yaml-language-server reads.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sidecar.config.model import ChainSection, Root
from sidecar.config.providers import NAME
from sidecar.config.section import Section
from sidecar.delivery.provider import Provider

Schema = dict[str, Any]

_DEFINITIONS = "#/definitions/"
_VARIABLE: Schema = {"$ref": f"{_DEFINITIONS}variable"}
_CONSTRAINED = {"pattern", "minLength", "maxLength", "format"}
_NAMES = {"pattern": f"^{NAME.pattern}$"}


def schema(classes: Sequence[type[Provider[Any]]]) -> Schema:
    """The schema of a file that may name these provider classes' kinds, and no others."""
    by_kind = {cls.kind: cls for cls in sorted(classes, key=lambda cls: cls.kind)}
    sections = Section.__subclasses__()
    models: list[type[BaseModel]] = [*sections]
    models += dict.fromkeys(cls.Config for cls in by_kind.values())
    references, drawn = models_json_schema(
        [(model, "validation") for model in models], ref_template=_DEFINITIONS + "{model}"
    )
    drawn_as = {model: _name_of(references[model, "validation"]) for model in models}
    for section in sections:
        _describe(drawn["$defs"][drawn_as[section]]["properties"], section)
    definitions = {name: _draft7(one) for name, one in drawn["$defs"].items()}
    for kind, cls in by_kind.items():
        definitions[f"kind_{kind}"] = _of_kind(kind, cls, definitions[drawn_as[cls.Config]])
    for cls in by_kind.values():
        definitions.pop(drawn_as[cls.Config], None)
    definitions["variable"] = _variable()
    definitions["provider"] = _provider(tuple(by_kind))
    root = definitions.pop(drawn_as[Root])
    root["properties"]["providers"] |= _providers(tuple(by_kind))
    root["properties"]["chains"] |= _chains(drawn_as[ChainSection])
    for name in ("server", "log", "limits", "breaker", "alerts", "preflight", "secrets"):
        section = root["properties"][name]
        section["anyOf"] = [*section.pop("allOf"), {"type": "null"}]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "OTP Sidecar configuration",
        **root,
        "definitions": _used(definitions, root),
    }


def _describe(properties: dict[str, Schema], section: type[Section]) -> None:
    """Give each property the docstring that stands below its field."""
    (written,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(written, ast.ClassDef)
    for field, below in pairwise(written.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=text)):
                told = {**properties[name], "description": text}
                properties[name] = dict(sorted(told.items()))


def _name_of(reference: Mapping[str, str]) -> str:
    return reference["$ref"].removeprefix(_DEFINITIONS)


def _used(definitions: Mapping[str, Schema], root: Schema) -> dict[str, Schema]:
    """The definitions that the root leads to, sorted."""
    used: dict[str, Schema] = {}
    waiting = _references(root)
    while waiting:
        name = waiting.pop()
        if name not in used:
            used[name] = definitions[name]
            waiting |= _references(used[name])
    return dict(sorted(used.items()))


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_references, node))
    if not isinstance(node, dict):
        return set()
    own = {_name_of(node)} if isinstance(node.get("$ref"), str) else set()
    return own.union(*map(_references, node.values()))


def _variable() -> Schema:
    return {
        "description": "a text with `${NAME}`, `${NAME:-default}`, `${file:/path}` or "
        "`${scheme:name#key}` in it",
        "type": "string",
        "pattern": r"\$\{[^{}]+\}",
    }


def _of_kind(kind: str, cls: type[Provider[Any]], drawn: Schema) -> Schema:
    """One kind's settings: all that its plugin takes, and `kind` itself, which may be absent."""
    described = _summary(cls.Config) or _summary(cls)
    return {
        **drawn,
        **({"description": described} if described else {}),
        "properties": {**drawn["properties"], "kind": {"const": kind}},
        "required": [key for key in drawn.get("required", []) if key != "kind"],
    }


def _summary(documented: type) -> str | None:
    text = documented.__doc__ if "__doc__" in vars(documented) else None
    return " ".join(text.split()) if text else None


def _provider(kinds: tuple[str, ...]) -> Schema:
    """A section that names its kind; where a variable names it, nothing more can be told here."""
    known = [{"enum": list(kinds)}] if kinds else []
    judged = [
        {
            "if": {"required": ["kind"], "properties": {"kind": {"const": kind}}},
            "then": {"$ref": f"{_DEFINITIONS}kind_{kind}"},
        }
        for kind in kinds
    ]
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"anyOf": [*known, _VARIABLE]}},
        **({"allOf": judged} if judged else {}),
    }


def _providers(kinds: tuple[str, ...]) -> Schema:
    """Sections by name; one whose name is a kind may leave `kind`, or everything, out."""
    named = {"$ref": f"{_DEFINITIONS}provider"}
    properties = {
        kind: {
            "if": {"type": "object", "required": ["kind"]},
            "then": named,
            "else": {"anyOf": [{"$ref": f"{_DEFINITIONS}kind_{kind}"}, {"type": "null"}]},
        }
        for kind in kinds
    }
    return {"properties": properties, "additionalProperties": named, "propertyNames": _NAMES}


def _chains(section: str) -> Schema:
    short = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    chain = {"anyOf": [short, {"$ref": _DEFINITIONS + section}]}
    return {"additionalProperties": chain, "propertyNames": _NAMES, "minProperties": 1}


def _draft7(node: Any) -> Any:
    """What pydantic drew, in draft 7's words, with a variable wherever a value is constrained."""
    if isinstance(node, list):
        return [_draft7(item) for item in node]
    if not isinstance(node, dict):
        return node
    drawn = {key: _within(key, value) for key, value in node.items() if key != "title"}
    if "anyOf" in drawn:
        drawn["anyOf"] = _choices(drawn["anyOf"])
    if "$ref" in drawn and len(drawn) > 1:
        # Draft 7 passes over whatever stands beside a `$ref`.
        drawn = {"allOf": [{"$ref": drawn.pop("$ref")}], **drawn}
    return _or_variable(drawn) if _is_constrained(drawn) else drawn


def _within(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: _draft7(one) for name, one in value.items()}
    return value if key in {"default", "enum", "const", "examples", "required"} else _draft7(value)


def _choices(options: list[Schema]) -> list[Schema]:
    """The options without nesting; where any text will do, a variable needs no word of its own."""
    flat = [inner for one in options for inner in (one.get("anyOf", [one]))]
    told = [one for n, one in enumerate(flat) if one not in flat[:n]]
    return [one for one in told if one != _VARIABLE] if {"type": "string"} in told else told


def _is_constrained(drawn: Schema) -> bool:
    if drawn.get("type") in {"integer", "number", "boolean"} or drawn.keys() & {"enum", "const"}:
        return True
    return drawn.get("type") == "string" and bool(drawn.keys() & _CONSTRAINED)


def _or_variable(drawn: Schema) -> Schema:
    told: Schema = {key: drawn.pop(key) for key in ("default", "description") if key in drawn}
    return {"anyOf": [drawn, _VARIABLE], **told}
