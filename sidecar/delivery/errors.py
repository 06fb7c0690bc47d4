"""What a provider's `send` may raise: one class per outcome, and nothing else is needed.

DeliveryError
├── Rejected        the message or the recipient is at fault; no other provider would do better
├── Refused         this provider will not, another may
├── Throttled       our rate or quota at this provider is used up
├── Unavailable     it surely did not take the message
├── Unknown         it may have taken the message
├── Misconfigured   credentials, sender or account are at fault
└── LocalFault      we are at fault: no descriptor, no connection slot, no time

`ConfigError` and `PluginNotFound` belong to start and reload and stand outside the tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar
from unicodedata import category

from sidecar.delivery.model import Outcome

REASON_LIMIT = 200
CODE_LIMIT = 64
_HIDDEN = "\0"
_APART = re.compile(r"(?<=\d)\0+(?=\w)|(?<=\w)\0+(?=\d)")
READ_LIMIT = 4_000
"""Characters of a reason or a code that are looked at: where it is cut may be in a secret."""


class DeliveryError(Exception):
    """An attempt did not end in a receipt. Raise a subclass.

    `reason` is a sentence of your own words: vendors' texts may carry the recipient or the code, so
    never pass them on; 200 characters of it are told. `code` is the provider's own error code
    (`21610`, `MessageRejected`, `550 5.1.1`), in ASCII; 64 characters of it are told.
    """

    outcome: ClassVar[Outcome]

    def __init__(self, reason: str, *, code: str | int | None = None) -> None:
        self.reason, self.code = in_bounds(reason, code)
        super().__init__(self.reason)


class Rejected(DeliveryError):
    """The message or the recipient is at fault: no such number, malformed address, text too long.

    `final=True` forbids failover even where the chain says `on_rejected: failover`: use it where
    the recipient withdrew consent.
    """

    outcome = Outcome.REJECTED

    def __init__(self, reason: str, *, code: str | int | None = None, final: bool = False) -> None:
        super().__init__(reason, code=code)
        self.final = final


class Refused(DeliveryError):
    """Not here, but another may take it: region not enabled, opted out or filtered here."""

    outcome = Outcome.REFUSED


class Throttled(DeliveryError):
    """Our rate or quota here is used up. `retry_after` in seconds, or None where none was given."""

    outcome = Outcome.THROTTLED

    def __init__(
        self, reason: str, *, code: str | int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(reason, code=code)
        self.retry_after = retry_after


class Unavailable(DeliveryError):
    """It surely did not take the message: refused connection, DNS, TLS, connect timeout, 5xx."""

    outcome = Outcome.UNAVAILABLE


class Unknown(DeliveryError):
    """It may have taken the message: read timeout, reset after the request left, unreadable 2xx."""

    outcome = Outcome.UNKNOWN


class Misconfigured(DeliveryError):
    """Credentials, sender or account are at fault; nothing here works until a person mends it."""

    outcome = Outcome.MISCONFIGURED


class LocalFault(DeliveryError):
    """A fault of our own, before anything left: no descriptor or slot. No breaker hears of it."""

    outcome = Outcome.LOCAL


class ConfigError(Exception):
    """The configuration cannot be used; the text says where, what and how to mend it."""


class PluginNotFound(ConfigError):
    """No installed distribution offers a kind that the configuration names."""


def in_bounds(reason: str, code: str | int | None) -> tuple[str, str | None]:
    """A reason and a code, printable and cut to `READ_LIMIT`, as a `DeliveryError` has them."""
    return printable(reason), _ascii(code)


def printable(text: str) -> str:
    """The text in one line of printable characters, cut to `READ_LIMIT`."""
    # A subclass of str may answer anything, and may stay one when it is cut.
    text = str.__str__(text)[:READ_LIMIT]
    # Asked of the whole first: our own words are, and to look at each character costs ten times.
    return text if text.isprintable() else _only(str.isprintable, text)


def _ascii(code: str | int | None) -> str | None:
    if code is None:
        return None
    text = printable(str(code))
    return (text if text.isascii() else _only(str.isascii, text)) or None


def _only(kept: Callable[[str], bool], text: str) -> str:
    # A space for what is left out: a code at a line's end would not stand alone without. None for
    # what nobody sees, where it does not keep digits apart: an address would not be known with one.
    spaced = (c if kept(c) else _HIDDEN if category(c) == "Cf" else " " for c in text)
    apart = _APART.sub(" ", "".join(spaced))
    return " ".join(apart.replace(_HIDDEN, "").split())
