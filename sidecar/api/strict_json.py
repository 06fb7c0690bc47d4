"""JSON as RFC 8259 has it, and stricter: one object, of bounded depth, and no key twice."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from sidecar.api.problems import Problem

DEPTH_LIMIT = 32
_NESTED = frozenset({dict, list})
# A colon and a look back: there are fewer of them than spaces, which is a sixth of the time.
_SPACED_COLON = re.compile(rb":(?<=[ \t\n\r]:)")


def read_object(body: bytes) -> dict[str, Any]:
    """The object in `body`. Raises `Problem`: 400 where it is no JSON, 422 where it is no such one.

    RFC 8259 leaves open which value counts where a key is there twice; orjson takes the last. A
    message that somebody looked at with another reader could be another one than we send.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, "not_json", "the body is not valid JSON (RFC 8259, UTF-8)") from error
    if not isinstance(document, dict):
        raise Problem(422, "invalid", "the body must be a JSON object")
    # As many colons as keys: none was there twice, and no value has a key. No bracket: no list.
    if body.count(b":") == len(document) and body.find(b"[") < 0:
        return document
    keys = _count_keys(document, DEPTH_LIMIT)
    # Where every colon of a key follows its quote at once, there are as many keys as `":` at most:
    # with no more of those than keys were kept, none was there twice. That costs next to nothing.
    if body.count(b'":') != keys or _SPACED_COLON.search(body):
        twice = _repeated(_PAIRS.decode(body.decode()), "")
        if twice is not None:
            fault = {"pointer": twice, "detail": "is there more than once"}
            raise Problem(422, "invalid", f"{twice} {fault['detail']}", pointers=[fault])
    return document


def pointer_token(part: object) -> str:
    """One part of a JSON pointer (RFC 6901); at most 64 printable characters of an input."""
    text = "".join(c if c.isprintable() else "?" for c in str(part)[:64])
    return text.replace("~", "~0").replace("/", "~1")


def _count_keys(value: dict[str, Any] | list[Any], levels: int) -> int:
    """The keys of all objects in it. Raises `Problem` where it is nested deeper than `levels`."""
    if levels == 0:
        raise Problem(422, "invalid", f"the body is nested deeper than {DEPTH_LIMIT} levels")
    keys, inner = (len(value), value.values()) if isinstance(value, dict) else (0, value)
    for one in inner:
        if type(one) in _NESTED:
            keys += _count_keys(one, levels - 1)
    return keys


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written."""


# Numbers stay texts: Python refuses an integer of more than 4300 digits.
_PAIRS = json.JSONDecoder(object_pairs_hook=_Pairs, parse_int=str, parse_float=str)


def _repeated(value: Any, where: str) -> str | None:
    pairs = value if isinstance(value, _Pairs) else enumerate(value)
    seen = set()
    for key, inner in pairs:
        pointer = f"{where}/{pointer_token(key)}"
        if key in seen:
            return pointer
        seen.add(key)
        if isinstance(inner, list) and (found := _repeated(inner, pointer)) is not None:
            return found
    return None
