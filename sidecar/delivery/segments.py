"""How many parts an SMS is billed as: GSM 03.38 (3GPP TS 23.038) or UCS-2, whole or joined.

A text that fits the GSM-7 alphabet has 160 septets in one part, 153 in each of several; any other
text is UCS-2 with 70 UTF-16 units, or 67. An extension character costs two septets, and neither
its escape nor a surrogate pair is split between two parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")


@dataclass(frozen=True, slots=True)
class Segments:
    """`units` are septets in GSM-7 and UTF-16 code units in UCS-2; `count` is the billed parts."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    count: int


def count_segments(text: str) -> Segments:
    """Count the parts of `text`; an empty text is one part."""
    if _BASIC.issuperset(text):  # as nearly always: a septet for each character
        return Segments("GSM-7", len(text), 1 if len(text) <= 160 else -(-len(text) // 153))
    if all(c in _BASIC or c in _EXTENSION for c in text):
        return _count("GSM-7", [2 if c in _EXTENSION else 1 for c in text], 160, 153)
    return _count("UCS-2", [2 if ord(c) > 0xFFFF else 1 for c in text], 70, 67)


def _count(
    encoding: Literal["GSM-7", "UCS-2"], widths: list[int], whole: int, joined: int
) -> Segments:
    units = sum(widths)
    if units <= whole:
        return Segments(encoding, units, 1)
    count, room = 1, joined
    for width in widths:
        if width > room:
            count, room = count + 1, joined
        room -= width
    return Segments(encoding, units, count)
