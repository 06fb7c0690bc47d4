"""Striking secrets out of what is told, however they are spelt there."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from html import escape
from threading import Lock
from typing import Any
from urllib.parse import quote

FIELD_LIMIT = 1_000
"""Characters of one field; longer ones are cut."""
SHORTEST_SECRET = 6
"""A shorter secret is not struck out: it would strike half of every line."""

RETIRED = 100
"""Secrets no longer in use that are still struck out: with each, every line takes longer."""

_ESCAPE = re.compile(r"%[0-9A-F]{2}")

# The characters of lines, from the rarest to the most frequent; whatever is not here is rarer.
_USUAL = 'TZzjkx*wq+yvgb9f8h7m6us54l3do2rin_pc{}[]at.-1e0:, "'

# Hardly in any line but one with a secret in it; of a price's capitals only the rest.
_SELDOM = frozenset("ABCFGHIJKLMNOPQVWXY%\\")

Event = MutableMapping[str, Any]


class Redactor:
    """Strikes registered secrets out of every text of an event, however they are spelt there."""

    def __init__(self) -> None:
        self._secrets: dict[str, set[str]] = {}  # each with its spellings, the latest last
        self._in_use: dict[str, set[str]] = {}
        self._adding = Lock()
        self._pattern: re.Pattern[str] | None = None
        self._glance = re.compile(r"(?!)")
        self._signs: Sequence[str] = ()

    def add(self, secrets: Iterable[str], source: str = "config") -> None:
        """Register the secrets that `source` has now, beside all those before.

        Rotated ones may still turn up: the `RETIRED` latest are kept of those that no source has
        any more. Of many it takes a tenth of a second and more; it may be called from any thread.
        """
        with self._adding:
            self._add({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, source)

    def add_tokens(self, tokens: Iterable[str]) -> None:
        """Register the tokens of callers, which change beside the configuration."""
        self.add(tokens, "tokens")

    def _add(self, secrets: set[str], source: str) -> None:
        self._in_use[source] = secrets
        new = secrets - self._secrets.keys()
        for secret in secrets:
            self._secrets[secret] = (
                _spellings(secret) if secret in new else self._secrets.pop(secret)
            )
        if not new:
            return
        in_use = set().union(*self._in_use.values())
        retired = [secret for secret in self._secrets if secret not in in_use]
        for secret in retired[: max(0, len(retired) - RETIRED)]:
            del self._secrets[secret]
        words = set().union(*self._secrets.values())
        longest_first = map(re.escape, sorted(words, key=len, reverse=True))
        spelt = {*words, *(json.dumps(word, ensure_ascii=False)[1:-1] for word in words)}
        self._glance, self._signs = _glance_at(spelt), _signs_of(spelt)
        self._pattern = re.compile("|".join(longest_first))

    def passes(self, text: str) -> bool:
        """Whether a text, or a line of JSON, surely holds nothing to change: nearly all do."""
        if len(text) > FIELD_LIMIT:
            return False
        for sign in self._signs:
            if sign in text:
                return self._glance.search(text) is None
        return True

    def clean(self, text: str) -> str:
        """The text without a registered secret, cut to `FIELD_LIMIT`."""
        if self.passes(text):
            return text
        if self._pattern is not None:
            text = self._pattern.sub("***", text)
        return text if len(text) <= FIELD_LIMIT else f"{text[:FIELD_LIMIT]}..."

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        if self.passes("\0".join(_texts(event.values()))):
            return event
        for key, value in event.items():
            event[key] = self._cleaned(value)
        return event

    def _cleaned(self, value: Any) -> Any:
        match value:
            case str():
                return self.clean(value)
            case dict():
                return {key: self._cleaned(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self._cleaned(inner) for inner in value]
        return value


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """Every text in `values`, those in mappings and sequences too."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from _texts(value.values())
        elif isinstance(value, list | tuple):
            yield from _texts(value)


def _spellings(secret: str) -> set[str]:
    """A secret as such, quoted for a URL, for HTML and for JSON, in hex, and inside base64.

    `Authorization: Basic` is base64 of `user:secret`: the characters that the secret alone decides
    differ with the length of what stands before it, modulo 3.
    """
    raw = secret.encode("utf-8", "replace")
    found = {secret, raw.hex(), raw.hex().upper()}
    for ascii_only in (True, False):
        text = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        found |= {text, text.replace("/", r"\/")}  # PHP escapes the slash
    for quotes in (True, False):
        text = escape(secret, quote=quotes)
        decimal = text.replace("&#x27;", "&#39;")
        found |= {text, decimal, decimal.replace("&quot;", "&#34;")}  # PHP's, Go's
    for safe in ("", "/", "!'()*"):  # a path's; JavaScript's
        text = quote(raw, safe=safe)
        for spaced in (text, text.replace("%20", "+")):
            found |= {spaced, _ESCAPE.sub(lambda one: one[0].lower(), spaced)}
    for before in range(3):
        whole = (before + len(raw)) * 8 // 6
        inside = base64.b64encode(bytes(before) + raw)[-(-before * 8 // 6) : whole].decode()
        found |= {inside, inside.replace("+", "-").replace("/", "_")}
    return found


def _signs_of(words: Iterable[str]) -> Sequence[str]:
    """Of each of `words` something that stands in it: a few characters do for nearly all of them.

    To ask for one of them takes a fiftieth of the time of a search by `re`.
    """
    left, signs = set(words), []
    while seldom := Counter(sign for word in left for sign in _SELDOM.intersection(word)):
        signs.append(max(seldom, key=lambda sign: (seldom[sign], sign)))
        left = {word for word in left if signs[-1] not in word}
    return (*signs, *left)


def _glance_at(words: Iterable[str]) -> re.Pattern[str]:
    """Finds something wherever one of `words` stands, and seldom else.

    A search looks at every place of a line where one of its words could begin. So each is looked
    for from its rarest character on: of an upper-case letter there is hardly one in a line.
    """
    tails = {word[_rarest(word) :] for word in words}
    return re.compile("|".join(map(re.escape, sorted(tails))))


def _rarest(word: str) -> int:
    # Four characters at least are left: fewer would be found too often.
    return min(range(len(word) - 3), key=lambda place: _USUAL.find(word[place]))
