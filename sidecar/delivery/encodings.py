"""What a text may mean to somebody who decodes it: quoted for a URL or HTML, in hex, in base64."""

from __future__ import annotations

import re
from binascii import a2b_base64, a2b_hex
from collections.abc import Iterator
from html import unescape
from string import ascii_letters, digits, hexdigits
from urllib.parse import unquote

# Few codes and no recipient are shorter once they are encoded: four digits; the same with
# one thing between them; whatever is longer. Written out: `{4}` takes four times as long.
_HEX_OF_TEXT = re.compile(f"{4 * '3[0-9]'}|{5 * '[23][0-9A-Fa-f]'}|{6 * '[2-7][0-9A-Fa-f]'}")
_HEX = re.compile(r"[0-9A-Fa-f]{8,}")
_BASE64 = re.compile(r"[0-9A-Za-z+/]{8,}")
_URL_SAFE = str.maketrans("-_", "+/")
_LEGIBLE = re.compile(rb"[ -~]{4,}")
_ID = re.compile(r"[A-Z]{0,2}[0-9a-f-]*")
"""What most ids are made of, and no base64 of digits: each third one begins with M, N or O."""


def only(kept: bytes, other: bytes = b" ") -> bytes:
    """A table for `bytes.translate`, which is many times as fast as a regular expression."""
    return bytes(one if one in kept else other[0] for one in range(256))


_IN_HEX = only(hexdigits.encode(), b"0")
_IN_BASE64 = only((ascii_letters + digits + "+/-_").encode(), b"A").translate(
    bytes.maketrans(b"-_", b"+/")
)


def in_every_way(words: str, *, few_capitals: bool) -> bytes:
    """`words`, and all that hex and base64 may make of them, wherever in them it begins.

    What is no digit of theirs is read as zeros, so no run has to be looked for; the spaces at the
    end make every start come out even. In base64 there is a capital among what each third digit or
    letter of a code makes, and among what an `@` makes wherever it stands; two at the beginning
    alone, as of Twilio's ids, make no code but one with letters in it (`few_capitals`).
    """
    said = words.ljust((len(words) + 7) & -4).encode()
    hexed = said.translate(_IN_HEX)
    ways = said + a2b_hex(hexed + hexed[1:-1])
    if said[2 if few_capitals else 0 :].islower():
        return ways
    based = said.translate(_IN_BASE64)
    return ways + a2b_base64(based + based[1:-3] + based[2:-2] + based[3:-1])


def decoded(words: str) -> Iterator[str]:
    """Whatever `words` may mean to somebody who decodes them once."""
    is_hex = _HEX_OF_TEXT.search(words) is not None
    if not is_hex and _ID.fullmatch(words):
        return
    if "%" in words:
        yield unquote(words)
    if "&" in words:
        yield unescape(words)
    for run in _HEX.findall(words) if is_hex else ():
        for start in (0, 1):
            yield from _legible(bytes.fromhex(run[start : len(run) - (len(run) - start) % 2]))
    for run in _BASE64.findall(words.translate(_URL_SAFE)):
        if not run.islower():  # a word
            for start in range(4):
                whole = (len(run) - start) // 4 * 4
                tail = {2: "==", 3: "="}.get((len(run) - start) % 4, "")
                yield from _legible(a2b_base64(run[start : start + whole + 3 * bool(tail)] + tail))


def _legible(data: bytes) -> Iterator[str]:
    if found := _LEGIBLE.findall(data):
        yield b"\n".join(found).decode("ascii")
