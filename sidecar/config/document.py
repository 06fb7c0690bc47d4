"""YAML under a strict reader: bounded, without surprises, and every value keeps its place.

Only maps, lists and plain scalars are read. What YAML 1.1 would quietly make into something else
(`012345`, `1:30`, `<<`, `!!tags`, a key named `NO`) is a fault that says what to write.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from sidecar.config.faults import FaultLog, KeyPath, Place, printable

MAX_BYTES = 256 * 1024
"""A longer file is refused, unread."""
MAX_DEPTH = 32
MAX_VALUES = 10_000
"""Values in the whole file, each alias counted as what it stands for."""
MAX_TEXT = 1024 * 1024
"""Characters of all texts together, counted likewise."""

# The events of libyaml and of PyYAML's own parser are the same; libyaml is about 15 times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.resolver.Resolver()
_TAG = "tag:yaml.org,2002:"
# What YAML 1.1 allows would be a shorter rule, and takes 7 ms to compile.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]"
)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})")
_DECIMAL = re.compile(r"[-+]?[0-9]{0,30}\.[0-9]{0,30}(?:[eE][-+]?[0-9]{1,3})?")
_BOOLEANS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}


@dataclass(slots=True)
class Document:
    """A file's values, and the places of its keys and values by path."""

    value: dict[str, Any] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)

    def place(self, path: KeyPath) -> Place:
        """Where the value at `path` stands, or the nearest that encloses it."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place())

    def key_place(self, path: KeyPath) -> Place:
        """Where the key of `path` stands; its value's place for an item of a list."""
        return self.keys.get(path) or self.place(path)


@dataclass(slots=True)
class _Node:
    place: Place
    content: Any  # a scalar, a list of nodes, or a dict of text to (key's place, node)


def parse(data: bytes, faults: FaultLog) -> Document:
    """Read one document whose top is a mapping. Raises `ConfigFaults`."""
    text = _decode(data, faults)
    composer = _Composer(text, faults)
    try:
        root = composer.document()
    except yaml.YAMLError as error:
        _syntax_fault(error, text, faults)
        root = None
    faults.raise_any()
    document = Document()
    if root is None or root.content is None:
        faults.add(Place(), "the file is empty; `otp-sidecar config init` prints a starter")
    elif not isinstance(root.content, dict):
        faults.add(root.place, "the file must be a mapping: `providers:`, `chains:` and so on")
    else:
        document.value = _Flattener(document, faults).value(root, ())
    faults.raise_any()
    return document


def _decode(data: bytes, faults: FaultLog) -> str:
    if len(data) > MAX_BYTES:
        faults.add(Place(), "the file is longer than 256 KiB")
        faults.raise_any()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", "replace")
        faults.add(_place_after(before), "the file is not UTF-8")
        faults.raise_any()
        raise
    found = _UNPRINTABLE.search(text)
    if found is not None:
        faults.add(_place_after(text[: found.start()]), "a control character is not allowed here")
        faults.raise_any()
    return text


def _place_after(text: str) -> Place:
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
    return Place(len(lines), len(lines[-1]) + 1)


def _syntax_fault(error: yaml.YAMLError, text: str, faults: FaultLog) -> None:
    mark = getattr(error, "problem_mark", None)
    place = Place() if mark is None else Place(mark.line + 1, mark.column + 1)
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    message = f"not valid YAML: {getattr(error, 'problem', None) or 'cannot be read'}"
    if line[place.column - 1 : place.column] == "\t":
        message = "not valid YAML: indent with spaces, not with tabs"
    elif "${" in line:
        message += '; inside { } and [ ] a variable needs quotes: "${NAME}"'
    faults.add(place, message)


class _Composer:
    """Builds nodes from the parser's events.

    The events come one by one, so a nest too deep is left before the parser has read on: libyaml
    needs minutes for 250,000 open brackets.
    """

    def __init__(self, text: str, faults: FaultLog) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._faults = faults
        self._anchors: dict[str, _Node | None] = {}

    def document(self) -> _Node | None:
        root: _Node | None = None
        for event in self._events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            if root is not None:
                self._stop(_place(event), "more than one document in the file")
            root = self._node(next(self._events), 1)
        return root

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        place = _place(event)
        if depth > MAX_DEPTH:
            self._stop(place, f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        self._check_tag(event, place)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = None
        node = _Node(place, self._content(event, place, depth))
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _content(self, event: yaml.Event, place: Place, depth: int) -> Any:
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._entries(depth)
        return self._scalar(event, place)

    def _items(self, depth: int) -> list[_Node]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _entries(self, depth: int) -> dict[str, tuple[Place, _Node]]:
        entries: dict[str, tuple[Place, _Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if self._is_key(event, key, entries):
                entries[key.content] = (key.place, value)
        return entries

    def _is_key(self, event: yaml.Event, key: _Node, entries: dict[str, Any]) -> bool:
        if not isinstance(key.content, str):
            self._faults.add(key.place, "a key must be a text: quote this key")
        elif key.content == "<<" and getattr(event, "implicit", (False,))[0]:
            self._faults.add(key.place, "`<<` is not read here: write the keys out")
        elif key.content in entries:
            first = entries[key.content][0]
            name = printable(key.content)
            self._faults.add(key.place, f"duplicate key `{name}`, first in line {first.line}")
        else:
            return True
        return False

    def _alias(self, event: yaml.AliasEvent, place: Place) -> _Node:
        name = str(event.anchor)
        node = self._anchors.get(name)
        if node is None:
            inside = name in self._anchors
            self._stop(place, "an alias inside its own anchor" if inside else "an unknown alias")
        assert node is not None
        return node

    def _check_tag(self, event: yaml.Event, place: Place) -> None:
        tag = getattr(event, "tag", None)
        own = "str"
        if isinstance(event, yaml.CollectionStartEvent):
            own = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
        if tag not in {None, "!", _TAG + own}:
            self._faults.add(place, "tags (`!...`) are not read here: remove the tag")

    def _scalar(self, event: Any, place: Place) -> str | int | float | bool | None:
        text: str = event.value
        if not event.implicit[0]:
            return text
        match _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)).removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return _BOOLEANS[text.lower()]
            case "int" if _INTEGER.fullmatch(text):
                return int(text)
            case "float" if _DECIMAL.fullmatch(text) and math.isfinite(float(text)):
                return float(text)
            case "int" | "float":
                self._faults.add(
                    place,
                    "YAML reads this as another number than it looks: quote this value, "
                    "or write it as a plain decimal number",
                )
        return text

    def _stop(self, place: Place, message: str) -> None:
        self._faults.add(place, message)
        self._faults.raise_any()


class _Flattener:
    """Makes plain values of nodes, aliases written out, and notes every place."""

    def __init__(self, document: Document, faults: FaultLog) -> None:
        self._document = document
        self._faults = faults
        self._values = self._text = 0

    def value(self, node: _Node, path: KeyPath) -> Any:
        self._values += 1
        self._text += len(node.content) if isinstance(node.content, str) else 0
        if self._values > MAX_VALUES or self._text > MAX_TEXT or len(path) >= MAX_DEPTH:
            self._faults.add(node.place, "the aliases up to here stand for too much")
            self._faults.raise_any()
        self._document.values[path] = node.place
        if isinstance(node.content, dict):
            return {key: self._entry(entry, (*path, key)) for key, entry in node.content.items()}
        if isinstance(node.content, list):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.content)]
        return node.content

    def _entry(self, entry: tuple[Place, _Node], path: KeyPath) -> Any:
        place, node = entry
        self._document.keys[path] = place
        return self.value(node, path)


def _place(event: yaml.Event) -> Place:
    assert event.start_mark is not None
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)
