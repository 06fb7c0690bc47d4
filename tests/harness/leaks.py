"""The canaries that every test plants, every way to spell them, and a scan that finds them.

A canary is a value that is handed to the sidecar and may never be written by it. Random bytes must
not hold one by accident: the shortest spelling below has ten digits, or eight characters of base64.
At one place of random hex ten given digits stand with a chance of 16**-10 (1e-12), and eight given
characters of base64 with 64**-8 (4e-15). A run of the suite writes some 10 MB of hex: one false
alarm in 100,000 runs. The six digits of a usual code would be found in every run.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

PHONE = "+14155552671"
EMAIL = "ada.lovelace@example.com"
CODE = "739184620517"
STEM = "canary-"
"""Every secret and token of every test begins with it or holds it: one word finds them all."""
TOKEN = "canary-caller-token-0001"
KEY = f"login-{PHONE[1:]}-{CODE}"
"""An idempotency key as a careless caller makes one."""
AWS_SECRET = "canary-aws-secret-0001"
SENDGRID_KEY = "SG.canary-key-0001"
TWILIO_TOKEN = "canary-twilio-token-0001"
SMTP_PASSWORD = "canary-smtp-password"

CANARIES: Mapping[str, str] = {
    "the phone number": PHONE[1:],
    "the phone number without its country": PHONE[2:],
    "the phone number in brackets": f"({PHONE[2:5]}) {PHONE[5:8]}-{PHONE[8:]}",
    "the phone number with hyphens": f"{PHONE[2:5]}-{PHONE[5:8]}-{PHONE[8:]}",
    "the phone number with spaces": f"{PHONE[2:5]} {PHONE[5:8]} {PHONE[8:]}",
    "the address": EMAIL.partition("@")[0],
    "the code": CODE,
    "a secret": STEM,
}
"""What is searched for, and what to call it in a report that must not quote it."""


def spellings(value: str) -> dict[bytes, str]:
    """How `value` may stand in a file, an answer or a line, each with the name of the spelling."""
    raw = value.encode()
    each_percent = "".join(f"%{byte:02x}" for byte in raw)
    found = {
        "URL-quoted": quote(value, safe=""),
        "URL-quoted with plus": quote_plus(value),
        "URL-quoted twice": quote(quote(value, safe=""), safe=""),
        "URL-quoted in full": each_percent,
        "URL-quoted in full, upper case": each_percent.upper(),
        "HTML-escaped": html.escape(value),
        "HTML-escaped in full": "".join(f"&#{ord(c)};" for c in value),
        "HTML-escaped in full, in hex": "".join(f"&#x{ord(c):x};" for c in value),
        "JSON-escaped": "".join(c if c.isalnum() else f"\\u{ord(c):04x}" for c in value),
        "JSON-escaped in full": "".join(f"\\u{ord(c):04x}" for c in value),
        "in hex": raw.hex(),
        "in upper-case hex": raw.hex().upper(),
        "in upper case": value.upper(),
        "in lower case": value.lower(),
        "raw": value,
    }
    words = {text.encode(): how for how, text in found.items()}
    words[value.encode("utf-16-le")[:-1]] = "in UTF-16"  # of either order: the zeros between
    for before in range(3):
        words[_inside_base64(raw, before)] = "in base64"
        words[_inside_base64(raw, before).translate(_URLSAFE)] = "in base64"
    return words


_URLSAFE = bytes.maketrans(b"+/", b"-_")


def _inside_base64(raw: bytes, before: int) -> bytes:
    """The characters that only `raw` decides, where `before` bytes (modulo 3) stand before it."""
    whole = (before + len(raw)) * 8 // 6
    return base64.b64encode(b"\0" * before + raw)[-(-before * 8 // 6) : whole]


@dataclass(frozen=True)
class Found:
    """One canary, named and not quoted, and where it stands."""

    what: str
    how: str
    at: int

    def __str__(self) -> str:
        return f"{self.what}, {self.how}, at byte {self.at}"


class Scan:
    """Searches for every spelling of every canary in one pass."""

    def __init__(self, canaries: Mapping[str, str] = CANARIES) -> None:
        self._words = {
            word: (what, how)
            for what, value in canaries.items()
            for word, how in spellings(value).items()
        }
        self._pattern = re.compile(_any_of(self._words))
        self.longest = max(map(len, self._words))

    def find(self, data: bytes, offset: int = 0) -> Iterator[Found]:
        """Each canary in `data`; `offset` is where `data` begins in what it was cut from."""
        for match in self._pattern.finditer(data):
            yield Found(*self._words[match[0]], offset + match.start())

    def find_in(self, path: Path, chunk: int = 1 << 20) -> Iterator[Found]:
        """The same for a file of any size. Raises OSError where it cannot be read."""
        told: set[Found] = set()
        with path.open("rb") as file:
            read, tail = 0, b""
            while block := file.read(chunk):
                data = tail + block
                found = set(self.find(data, read - len(tail)))
                yield from sorted(found - told, key=lambda one: one.at)
                told |= found  # what stands in the tail is found again
                read += len(block)
                tail = data[-self.longest :]


def _any_of(words: Iterable[bytes]) -> bytes:
    """A pattern for these words that looks at each byte of a text about once.

    `re` tries the alternatives of `a|b|c` one after the other; sorted into a tree by their first
    bytes few are left at each place. Searching for each word by itself takes ten times as long.
    """
    tree: dict[int, list[bytes]] = {}
    for word in sorted(set(words)):
        if not word:
            return b""  # a shorter word ends here; what is longer begins with it
        tree.setdefault(word[0], []).append(word[1:])
    branches = [re.escape(bytes([first])) + _any_of(rest) for first, rest in tree.items()]
    return branches[0] if len(branches) == 1 else b"(?:" + b"|".join(branches) + b")"
