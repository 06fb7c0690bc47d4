"""What a provider says of a message, without the message: no recipient, no code, no secret.

Plugins are asked for words of their own, and a careless one passes a vendor's text on; some
gateways make their message ids out of the number. What is said here ends in rows, lines and
answers, so it is looked at once, where it comes in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from string import ascii_letters, digits

from sidecar.delivery.encodings import decoded, in_every_way, only
from sidecar.delivery.model import Message
from sidecar.delivery.recipient import SHORTEST_RECIPIENT, holds_recipient
from sidecar.delivery.spelling import BETWEEN, plain, ungrouped

WITHHELD = "withheld"
"""Stands in the place of words that repeat the recipient or the code."""
SHORTEST_CODE, LONG_CODE, LONGEST_CODE = 4, 6, 10
LONG_ID = 128  # beyond, what hex and base64 make of it is too much to look at for every code
_NUMBER = re.compile(rf"[0-9]{{{SHORTEST_CODE},}}")
_MAYBE_MIXED = re.compile(rf"[0-9A-Za-z]{{{LONG_CODE},}}")
_DIGIT, _DIGITS = re.compile(r"[0-9]"), re.compile(r"[0-9]+")
_RUN = re.compile(r"[0-9]+(?:[ ().\-/_]+[0-9]+)*")
_LETTER = re.compile(r"[A-Za-z]")
_BYTES = "[0-9A-Fa-f]"
_UUID = re.compile(
    rf"(?<![0-9A-Za-z]){_BYTES}{{8}}-(?:{_BYTES}{{4}}-){{3}}{_BYTES}{{12}}(?![0-9A-Za-z])"
)
"""As RFC 9562 writes it: AWS's ids are such, or hold one."""
_LONGEST_NUMBER = 40
"""Digits that are looked for in groups: of a longer number they are too many ways to join."""
_LONGEST_ADDRESS = 512
"""Characters of one in hex: of 254 (RFC 5321)."""


_NUMBERS, _LETTERS = digits.encode(), ascii_letters.encode()
_SHAPE = only(_LETTERS + _NUMBERS + b" -./_()\r\n\t", b"?").translate(
    bytes.maketrans(
        _LETTERS + _NUMBERS + b"/_()\r\n\t", b"a" * 26 + b"A" * 26 + b"0" * 10 + b"..     "
    )
)
_CODES = re.compile(rf"[A0-]{{{SHORTEST_CODE},}}")
# Narrower than in words, for the end of a sentence joins no numbers; neither do `,` and `:`, which
# stand in prices and times. It begins where a number does:
# a try at each digit of a long one would be seconds for 8,000.
_GROUPS = re.compile(r"0(?<!00)0*(?:(?: ?- ?|\.| {1,3})0+)+")
_IN_MIXED = only(_LETTERS + _NUMBERS)

Strike = Callable[[str], str]


def repeats(words: str, message: Message) -> bool:
    """Whether `words` hold the recipient of `message`, or a code of its text.

    A code is a number of 4 digits or more, however it is grouped; 6 capitals, digits and hyphens or
    more; or 6 to 10 letters and digits, in any case, that stand alone. Not known are codes without
    a digit, which cannot be told from words, and shorter ones, which stand in half of all ids; and
    fewer than 6 digits in a UUID are its own: one of 4,000 has `4829` for its third group.

    Quoted for a URL or for HTML, in hex and in base64 too: some gateways make ids that way.
    """
    told = _Told(message)
    if _is_usual_id(words) and not told.may_be_in(words):
        return False  # as of nearly every message
    # Once for all: a text of 4,000 numbers takes milliseconds, and ids decode to dozens of pieces.
    return told.is_in("\n".join((words, *decoded(words))))


def _is_usual_id(words: str) -> bool:
    return (
        len(words) <= LONG_ID
        and words.isascii()
        and _DIGIT.search(words) is not None
        and "%" not in words
        and "&" not in words
    )


class _Told:
    """What must not be said again of a message; its text is read once, and only if need be.

    Whoever has a part in a text must not hold up everybody's sends with it: what is done with one
    grows no faster than it does.
    """

    __slots__ = ("_codes", "_groups", "_is_read", "_mixed", "_text", "_to")

    def __init__(self, message: Message) -> None:
        self._to = message.to
        self._text = message.text
        self._is_read = False

    def _read(self) -> None:
        self._is_read = True
        self._text = text = self._text if self._text.isascii() else plain(self._text)
        shape = text.encode("ascii", "replace").translate(_SHAPE).decode()
        numbers, others, groups, mixed = _plan(shape)
        self._codes = {text[place] for place in numbers}
        for code in {text[place] for place in others}:
            close = code.replace("-", "")
            self._codes.update(_NUMBER.findall(f"{code} {close}"))
            if _LETTER.search(code):  # else a number with hyphens at it
                self._codes.update((code, close))
        self._groups = [_DIGITS.findall(text[place]) for place in groups]
        self._mixed: Collection[str] = ()
        if mixed or not text.isascii():
            lower = text.lower().encode("ascii", "replace")
            self._mixed = {*filter(_is_mixed, lower.translate(_IN_MIXED).decode().split())}

    def may_be_in(self, words: str) -> bool:
        """Whether anything of it stands in `words`, alone or not, however they are decoded.

        Where this is false, so is `is_in`: a few scans in place of many regular expressions.
        """
        self._read()
        said = in_every_way(words, few_capitals=not self._mixed)
        text, close = said.decode("latin-1"), said.translate(None, BETWEEN).decode("latin-1")
        for code in self._codes:
            if code in close or code in text:
                return True
        if "@" not in self._to:
            if self._to[-SHORTEST_RECIPIENT:] in close:
                return True
        # Its owner's part alone: the `@` may be written in more than one way, and the domain.
        elif plain(self._to.rpartition("@")[0]).casefold() in said.lower().decode("latin-1"):
            return True
        return bool(self._mixed or self._groups) and self._others_may_be_in(said, close)

    def _others_may_be_in(self, said: bytes, close: str) -> bool:
        small = said.lower().decode("latin-1")
        joined = (number for groups in self._groups for number in _joined(groups, close))
        return any(code in small for code in self._mixed) or any(joined)

    def is_in(self, words: str) -> bool:
        if words.isascii() and self._to.isascii():
            return self._is_in(words, self._to)
        # As they are, too: of the dots and digits of an address `plain` makes others.
        return holds_recipient(words, self._to) or self._is_in(plain(words), plain(self._to))

    def _is_in(self, words: str, to: str) -> bool:
        if _DIGIT.search(words) is None:  # as most reasons: there is neither a number nor a code
            return "@" in to and holds_recipient(words, to)
        if holds_recipient(words, to):
            return True
        return len(words) >= SHORTEST_CODE and self._has_code_in(words, ungrouped(words))

    def _has_code_in(self, words: str, close: str) -> bool:
        if not self._is_read:
            self._read()
        found = {code for code in self._codes if code in close or code in words}
        for groups in self._groups:
            found.update(_joined(groups, close))
        if found and _stand_in(words, close, found):
            return True
        return _holds_mixed_code(words, self._text)


@lru_cache(maxsize=8)  # of texts of 8,192 characters that are full of numbers, 2 MiB
def _plan(shape: str) -> tuple[Sequence[slice], Sequence[slice], Sequence[slice], bool]:
    """Where in a text numbers, other codes and groups of digits stand; whether codes may be mixed.

    A `shape` has the kinds of its characters alone: texts of one template have one, and it is kept.
    """
    codes = [slice(*run.span()) for run in _CODES.finditer(shape)]
    numbers = [place for place in codes if shape[place].isdigit()]
    others = [place for place in codes if not shape[place].isdigit()]
    groups = [slice(*run.span()) for run in _GROUPS.finditer(shape)]
    return numbers, others, groups, any(pair in shape for pair in ("0a", "0A", "a0", "A0"))


def _is_mixed(run: str) -> bool:
    return LONG_CODE <= len(run) <= LONGEST_CODE and not run.isdigit() and not run.isalpha()


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
        if _is_mixed(run):
            code, lower = run.lower(), lower or text.lower()
            if code in lower and re.search(f"(?<![0-9a-z]){code}(?![0-9a-z])", lower):
                return True
    return False


def _stand_in(words: str, close: str, codes: Collection[str]) -> bool:
    """Whether one of the `codes` stands in `words`, no part of a longer number or of an id."""
    most = min(max(map(len, codes)), _LONGEST_NUMBER)
    numbers, alone = _numbers(words, most)
    if _UUID.search(words):
        _, alone = _numbers(_UUID.sub("x", words), most)
    for code in codes:
        if not code.isdigit():
            known = len(code) >= LONG_CODE and _DIGIT.search(code)
            if known and (_stands_apart(words, code) or _stands_apart(close, code)):
                return True
        elif len(code) > most:
            if _stands_apart(close, code):
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


def _numbers(words: str, most: int) -> tuple[set[str], set[str]]:
    """Every number of at most so many digits in `words`, however it is grouped.

    And those that no letter touches.
    """
    numbers, alone = set(), set()
    for run in _RUN.finditer(words):
        groups = _DIGITS.findall(run[0])
        touched = _LETTER.fullmatch(words[run.start() - 1 : run.start()])
        touches = _LETTER.fullmatch(words[run.end() : run.end() + 1])
        for first in range(len(groups)):
            number = ""
            for last in range(first, len(groups)):
                number += groups[last]
                if len(number) > most:
                    break
                numbers.add(number)
                if not (touched and not first) and not (touches and last == len(groups) - 1):
                    alone.add(number)
    return numbers, alone


def discreet(words: str | None, message: Message, strike: Strike, limit: int) -> str | None:
    """`words`, cut to `limit` once every secret is struck out by `strike`.

    `WITHHELD` where they repeat `message`, be it in what the cut goes through.
    """
    if words is None:
        return None
    told = strike(words)  # first: a long one may stand before what is to be looked at
    return WITHHELD if repeats(told[: limit + _LONGEST_ADDRESS], message) else told[:limit]
