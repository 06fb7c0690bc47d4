"""References to secrets that a plugin fetches: `${scheme:name}`, `${scheme:name#key}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from sidecar.config.faults import printable

VARIABLE = re.compile(r"\$\$|\$\{([^{}]*)\}|\$\{")
"""What is replaced in a text."""
_SCHEME = "[a-z][a-z0-9-]{0,31}"


class Reference(NamedTuple):  # a dataclass would cost every start half a millisecond
    """One secret: `name` is the source's own, `key` a key of the JSON object in it."""

    scheme: str
    name: str
    key: str | None = None

    def __str__(self) -> str:
        """How a person is told of it, `aws-sm:otp/twilio#auth_token`; it holds no value."""
        key = "" if self.key is None else f"#{printable(self.key)}"
        return f"{self.scheme}:{printable(self.name)}{key}"


class Lack(NamedTuple):
    """Why a reference has no value; `reason` is safe to show.

    With a `fault` it is written wrongly, and nothing excuses it: `schemes` are those there are.
    """

    reason: str
    fault: bool = False
    schemes: tuple[str, ...] = ()


Answers = Mapping[Reference, str | Lack]
Resolve = Callable[[Collection[Reference], Mapping[str, str]], Answers]
"""Gives the values of references, in a bounded time; the second is the environment."""


def reference_in(inside: str) -> Reference | None:
    """The reference between `${` and `}`; None for a variable, a file, and what is neither."""
    scheme, _, named = inside.partition(":")
    if named[:1] in ("", "-") or scheme == "file" or not re.fullmatch(_SCHEME, scheme):
        return None
    name, mark, key = named.partition("#")
    return Reference(scheme, name, key if mark else None)


def references_in(value: Any) -> Iterator[Reference]:
    """Every reference in the texts of a file's values."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from references_in(inner)
    elif isinstance(value, str) and "$" in value:
        for found in VARIABLE.finditer(value):
            if (reference := reference_in(found[1] or "")) is not None:
                yield reference
