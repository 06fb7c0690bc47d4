"""Whether words hold a recipient: a number, or an address, however it is spelt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sidecar.delivery.spelling import ungrouped

SHORTEST_RECIPIENT = 6
_CALLING_CODE = re.compile("[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|[0-9]{3}|")
"""As ITU-T E.164 gives them out: none of them is the beginning of another."""
_NATIONAL = 9
"""Digits at a number's end that are its owner's; fewer where there are no more behind the code."""


def holds_recipient(words: str, to: str) -> bool:
    """Whether `words` hold the address or the number `to`, its digits grouped in any usual way."""
    if len(words) < SHORTEST_RECIPIENT:
        return False
    if "@" in to:
        return _holds_address(words, to)
    number = _national(to.removeprefix("+"))
    if not SHORTEST_RECIPIENT <= len(number) <= len(words):
        return False
    return number in words or number in ungrouped(words)


def _national(number: str) -> str:
    code = _CALLING_CODE.match(number)
    own = number[code.end() if code else 0 :][-_NATIONAL:]
    return own if len(own) >= SHORTEST_RECIPIENT else number[-_NATIONAL:]


def _holds_address(words: str, to: str) -> bool:
    """Whether the address stands in `words`, be it with `=` for its `@`, as in bounces' (VERP)."""
    if "@" not in words and "%40" not in words and "=" not in words and "%3" not in words:
        return False
    # In both ways: to `casefold`, and in ASCII of 2003, `ß` is `ss`; in that of 2008 it is not.
    return any(_stands(fold(to), fold(words)) for fold in (str.casefold, str.lower))


def _stands(to: str, words: str) -> bool:
    words = words.replace("%40", "@").replace("%3d", "=")
    return any(one in words or one.replace("@", "=") in words for one in _spellings(to))


def _spellings(address: str) -> Sequence[str]:
    """The address with its domain in letters and in ASCII (RFC 5890), where these are two."""
    local, _, domain = address.rpartition("@")
    if domain.isascii() and "xn--" not in domain:
        return (address,)
    try:
        other = ".".join(_other_form(label) for label in domain.split("."))
    except UnicodeError:  # no domain, but what somebody wrote for one
        return (address,)
    return address, f"{local}@{other}"


def _other_form(label: str) -> str:
    # Not by the codec `idna`, which is that of 2003: for it `ß` is `ss`.
    if not label.isascii():
        return f"xn--{label.encode('punycode').decode()}"
    return label[4:].encode().decode("punycode") if label.startswith("xn--") else label
