"""One spelling for texts that mean the same to a reader: digits, letters, what stands between."""

from __future__ import annotations

import re
from unicodedata import category, digit, normalize

BETWEEN = b" ()-./_"
"""What may stand between the digits of a number."""
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_POINTS = "\u00b7\u2022\u2027\u2219\u22c5\u30fb\uff65"
_KEYCAP = "\ufe0e\ufe0f\u20e3"
"""Makes a sign of a digit."""


def plain(text: str) -> str:
    """The text with digits, letters, spaces and dashes of other widths as they usually are."""
    return _NOT_ASCII.sub(lambda one: _usual(one[0]), text)


def _usual(character: str) -> str:
    if character in _DASHES:
        return "-"
    if character in _POINTS:
        return "."
    # Cf is what nobody sees: where a line may end, which way it runs.
    if category(character) == "Cf" or character in _KEYCAP:
        return ""
    number = digit(character, None)
    # Each by itself: of accents in a row, `normalize` takes the square of their number in time.
    return normalize("NFKC", character) if number is None else str(number)


def ungrouped(text: str) -> str:
    """The text without what may stand between the digits of a number, far sooner than by `re`."""
    text = text.replace("-", "").replace(" ", "").replace(".", "").replace("_", "")
    return text.replace("(", "").replace(")", "").replace("/", "")
