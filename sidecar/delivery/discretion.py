"""What a provider says of a message, without the message: no recipient, no code, no secret.

Plugins are asked for words of their own, and a careless one passes a vendor's text on; some
gateways make their message ids out of the number. What is said here ends in rows, lines and
answers, so it is looked at once, where it comes in.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Callable, Iterator
from html import unescape
from urllib.parse import unquote

from sidecar.delivery.model import Message

WITHHELD = "withheld"
"""Stands in the place of words that repeat the recipient or the code."""
SHORTEST_CODE, LONG_CODE, SHORTEST_RECIPIENT = 4, 6, 6
_MAYBE_CODES = re.compile(rf"[0-9]{{{SHORTEST_CODE},}}|[A-Z0-9-]{{{LONG_CODE},}}")
_DIGIT = re.compile(r"[0-9]")
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])[ ().\-/]{1,2}(?=[0-9])")
_NATIONAL = 9
"""Digits at a number's end that are its owner's, whatever the country's code in front of them."""

# Few codes and no recipient are shorter once they are encoded.
_HEX_OF_TEXT = re.compile(r"(?:3[0-9]){4}|(?:[2-7][0-9A-Fa-f]){6}")
_HEX = re.compile(r"[0-9A-Fa-f]{8,}")
_BASE64 = re.compile(r"[0-9A-Za-z+/]{8,}")
_URL_SAFE = str.maketrans("-_", "+/")
_ID = re.compile(r"[A-Z]{0,2}[0-9a-f-]*")
"""What most ids are made of, and no base64 of digits: each third one begins with M, N or O."""
_LEGIBLE = re.compile(rb"[ -~]{4,}")

Strike = Callable[[str], str]


def repeats(words: str, message: Message) -> bool:
    """Whether `words` hold the recipient of `message`, or a code of its text.

    Quoted for a URL or for HTML, in hex and in base64 too: some gateways make ids that way.
    """
    if _repeats(words, message):
        return True
    if _ID.fullmatch(words) and _HEX_OF_TEXT.search(words) is None:
        return False  # as of nearly every message
    return any(_repeats(text, message) for text in _decoded(words))


def _repeats(words: str, message: Message) -> bool:
    return holds_recipient(words, message.to) or _holds_code(words, message.text)


def _decoded(words: str) -> Iterator[str]:
    """Whatever `words` may mean to somebody who decodes them once."""
    if "%" in words:
        yield unquote(words)
    if "&" in words:
        yield unescape(words)
    for run in _HEX.findall(words):
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


def holds_recipient(words: str, to: str) -> bool:
    """Whether `words` hold the address or the number `to`, its digits grouped in any usual way."""
    if len(words) < SHORTEST_RECIPIENT:
        return False
    if "@" in to:
        plain = words.casefold().replace("%40", "@")
        return to.casefold() in plain
    digits = to.removeprefix("+")[-_NATIONAL:]
    if len(digits) < SHORTEST_RECIPIENT:
        return False
    return digits in words or digits in _BETWEEN_DIGITS.sub("", words)


def _holds_code(words: str, text: str) -> bool:
    # Every code has a digit; most reasons have none, and the text need not be searched for them.
    if len(words) < SHORTEST_CODE or _DIGIT.search(words) is None:
        return False
    return any(
        _stands_in(words, code)
        for code in _MAYBE_CODES.findall(text)
        if code in words and _DIGIT.search(code)
    )


def _stands_in(words: str, code: str) -> bool:
    # The digits of a longer number are another number; few digits stand in many a random id.
    around = "0-9" if len(code) >= LONG_CODE else "0-9A-Za-z"
    return re.search(f"(?<![{around}]){re.escape(code)}(?![{around}])", words) is not None


def discreet(words: str | None, message: Message, strike: Strike) -> str | None:
    """`words` with every secret struck out by `strike`; `WITHHELD` where they repeat `message`."""
    if words is None:
        return None
    return WITHHELD if repeats(words, message) else strike(words)
