"""What a provider says of a message, without the message: no recipient, no code, no secret.

Plugins are asked for words of their own, and a careless one passes a vendor's text on; some
gateways make their message ids out of the number. What is said here ends in rows, lines and
answers, so it is looked at once, where it comes in.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Callable, Collection, Iterator, Sequence
from html import unescape
from unicodedata import normalize
from urllib.parse import unquote

from sidecar.delivery.model import Message

WITHHELD = "withheld"
"""Stands in the place of words that repeat the recipient or the code."""
SHORTEST_CODE, LONG_CODE, LONGEST_CODE, SHORTEST_RECIPIENT = 4, 6, 10, 6
_MAYBE_CODES = re.compile(rf"[A-Z0-9-]{{{SHORTEST_CODE},}}")
_NUMBER = re.compile(rf"[0-9]{{{SHORTEST_CODE},}}")
_MAYBE_MIXED = re.compile(rf"[0-9A-Za-z]{{{LONG_CODE},}}")
_DIGIT, _DIGITS = re.compile(r"[0-9]"), re.compile(r"[0-9]+")
_RUN = re.compile(r"[0-9]+(?:[ ().\-/]+[0-9]+)*")
_LETTER = re.compile(r"[A-Za-z]")
# Narrower in a text, where the end of a sentence joins no numbers.
_BREAK = r"(?: ?- ?|[ ./])"
_GROUPED = re.compile(rf"[0-9]{_BREAK}[0-9]")
# It begins where a number does: a try at each digit of a long one would be seconds for 8,000.
_GROUPS = re.compile(rf"(?<![0-9])[0-9]+(?:{_BREAK}[0-9]+)+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_DASHES = re.compile("[\u2010-\u2015]")
_NATIONAL = 9
"""Digits at a number's end that are its owner's, whatever the country's code in front of them."""

# Few codes and no recipient are shorter once they are encoded.
# Four digits; the same with one thing between them; whatever is longer. Written out: with `{4}` and
# `{6}` it takes four times as long, and every id is searched.
_HEX_OF_TEXT = re.compile(f"{4 * '3[0-9]'}|{5 * '[23][0-9A-Fa-f]'}|{6 * '[2-7][0-9A-Fa-f]'}")
_HEX = re.compile(r"[0-9A-Fa-f]{8,}")
_BASE64 = re.compile(r"[0-9A-Za-z+/]{8,}")
_URL_SAFE = str.maketrans("-_", "+/")
_ID = re.compile(r"[A-Z]{0,2}[0-9a-f-]*")
"""What most ids are made of, and no base64 of digits: each third one begins with M, N or O."""
_LEGIBLE = re.compile(rb"[ -~]{4,}")

Strike = Callable[[str], str]


def repeats(words: str, message: Message) -> bool:
    """Whether `words` hold the recipient of `message`, or a code of its text.

    A code is a number of 4 digits or more, however it is grouped; 6 capitals, digits and hyphens or
    more; or 6 to 10 letters and digits, in any case, that stand alone. Not known are codes without
    a digit, which cannot be told from words, and shorter ones, which stand in half of all ids.

    Quoted for a URL or for HTML, in hex and in base64 too: some gateways make ids that way.
    """
    told = _Told(message)
    if told.is_in(words):
        return True
    is_hex = _HEX_OF_TEXT.search(words) is not None
    if not is_hex and _ID.fullmatch(words):
        return False  # as of nearly every message
    return any(told.is_in(text) for text in _decoded(words, is_hex=is_hex))


class _Told:
    """What must not be said again of a message; its text is read once, and only if need be.

    Whoever has a part in a text must not hold up everybody's sends with it: what is done with one
    grows no faster than it does.
    """

    __slots__ = ("_codes", "_groups", "_text", "_to")

    def __init__(self, message: Message) -> None:
        self._to = message.to
        self._text = message.text
        self._codes: set[str] | None = None
        self._groups: list[list[str]] = []

    def is_in(self, words: str) -> bool:
        if not words.isascii():
            words = _plain(words)
        if _DIGIT.search(words) is None:  # as most reasons: there is neither a number nor a code
            return "@" in self._to and holds_recipient(words, self._to)
        close = _close(words)
        if _holds_recipient(words, close, self._to):
            return True
        return len(words) >= SHORTEST_CODE and self._has_code_in(words, close)

    def _has_code_in(self, words: str, close: str) -> bool:
        codes = self._codes
        if codes is None:
            codes = self._codes = self._read()
        found = {code for code in codes if code in close or code in words}
        for groups in self._groups:
            found.update(_joined(groups, close))
        return (bool(found) and _stand_in(words, found)) or _holds_mixed_code(words, self._text)

    def _read(self) -> set[str]:
        """The codes of the text as they stand in it; its grouped digits are kept as they are."""
        if not self._text.isascii():
            self._text = _plain(self._text)
        codes = set(_MAYBE_CODES.findall(self._text))
        for code in [code for code in codes if not code.isdigit()]:
            codes.update(_NUMBER.findall(f"{code} {code.replace('-', '')}"))
        if _GROUPED.search(self._text):
            self._groups = [_DIGITS.findall(run) for run in _GROUPS.findall(self._text)]
        return codes


def _plain(text: str) -> str:
    """The text with digits, letters, spaces and dashes of other widths as they usually are."""
    # Each by itself: of accents in a row, `normalize` takes the square of their number in time.
    return _DASHES.sub("-", _NOT_ASCII.sub(lambda one: normalize("NFKC", one[0]), text))


def _close(text: str) -> str:
    """The text without what may stand between the digits of a number, far sooner than by `re`."""
    text = text.replace("-", "").replace(" ", "").replace(".", "")
    return text.replace("(", "").replace(")", "").replace("/", "")


def _decoded(words: str, *, is_hex: bool) -> Iterator[str]:
    """Whatever `words` may mean to somebody who decodes them once; some may be hex if `is_hex`."""
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


def holds_recipient(words: str, to: str) -> bool:
    """Whether `words` hold the address or the number `to`, its digits grouped in any usual way."""
    return _holds_recipient(words, _close(words), to)


def _holds_recipient(words: str, close: str, to: str) -> bool:
    if len(words) < SHORTEST_RECIPIENT:
        return False
    if "@" in to:
        if "@" not in words and "%40" not in words:
            return False
        return to.casefold() in words.casefold().replace("%40", "@")
    digits = to.removeprefix("+")[-_NATIONAL:]
    return len(digits) >= SHORTEST_RECIPIENT and (digits in words or digits in close)


def _joined(groups: Sequence[str], close: str) -> Iterator[str]:
    """The numbers in `close` that grouped digits may be: of `738 291 - 10 minutes` 738291, too."""
    whole = "".join(groups)
    if len(whole) >= SHORTEST_CODE and whole in close:
        yield whole
    for start in range(len(groups)):
        number = ""
        for group in groups[start : start + LONGEST_CODE]:
            number += group
            if len(number) < SHORTEST_CODE:
                continue
            if len(number) > LONGEST_CODE or number not in close:
                break
            yield number


def _holds_mixed_code(words: str, text: str) -> bool:
    # From the words on: ids have few runs of this length, texts are full of them.
    lower = ""
    for run in [words] if words.isalnum() else _MAYBE_MIXED.findall(words):
        if LONG_CODE <= len(run) <= LONGEST_CODE and not run.isdigit() and not run.isalpha():
            code, lower = run.lower(), lower or text.lower()
            if code in lower and re.search(f"(?<![0-9a-z]){code}(?![0-9a-z])", lower):
                return True
    return False


def _stand_in(words: str, codes: Collection[str]) -> bool:
    """Whether one of the `codes` stands in `words`, no part of a longer number or of an id."""
    numbers, alone = _numbers(words)
    for code in codes:
        if not code.isdigit():
            if len(code) >= LONG_CODE and _DIGIT.search(code) and _stands_apart(words, code):
                return True
        # Few digits stand in many a random id.
        elif code in (numbers if len(code) >= LONG_CODE else alone):
            return True
    return False


def _stands_apart(words: str, code: str) -> bool:
    at = words.find(code)
    while at >= 0:
        end = at + len(code)
        if not _DIGIT.fullmatch(words[at - 1 : at]) and not _DIGIT.fullmatch(words[end : end + 1]):
            return True
        at = words.find(code, at + 1)
    return False


def _numbers(words: str) -> tuple[set[str], set[str]]:
    """Every number in `words`, however it is grouped; and those that no letter touches."""
    numbers, alone = set(), set()
    for run in _RUN.finditer(words):
        groups = _DIGITS.findall(run[0])
        touched = _LETTER.fullmatch(words[run.start() - 1 : run.start()])
        touches = _LETTER.fullmatch(words[run.end() : run.end() + 1])
        for first in range(len(groups)):
            number = ""
            for last in range(first, len(groups)):
                number += groups[last]
                numbers.add(number)
                if not (touched and not first) and not (touches and last == len(groups) - 1):
                    alone.add(number)
    return numbers, alone


def discreet(words: str | None, message: Message, strike: Strike) -> str | None:
    """`words` with every secret struck out by `strike`; `WITHHELD` where they repeat `message`."""
    if words is None:
        return None
    return WITHHELD if repeats(words, message) else strike(words)
