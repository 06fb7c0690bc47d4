"""A plugin's words without what was sent: the last guard before they are logged and answered.

A plugin is asked not to pass a vendor's text on. Where one does, the recipient and the code would
reach the log; so every sentence of a plugin is read against its message first.
"""

from __future__ import annotations

import re

from sidecar.delivery.model import Message

STRUCK = "***"
SHORTEST_CODE = 4
"""Characters of the shortest word of a text that may be its code."""
_WORD = re.compile(r"\w+(?:[-.]\w+)*")


def discreet(told: str, message: Message) -> str:
    """`told` without the message's recipient, its texts, and each word of them that has a digit."""
    for text in (message.text, message.html, message.subject, message.to):
        if text:
            told = told.replace(text, STRUCK)
    told = told.replace(message.to.lstrip("+"), STRUCK)
    for code in _codes(message):
        told = told.replace(code, STRUCK)
    return told


def gives_away(told: str, message: Message) -> bool:
    """Whether `told` holds the recipient or the whole text: for an id, which may look like a code.

    A vendor's id of hexadecimal digits holds any six of them now and then.
    """
    return message.to.lstrip("+") in told or message.text in told


def _codes(message: Message) -> set[str]:
    words = _WORD.findall(f"{message.text} {message.subject or ''}")
    return {w for w in words if len(w) >= SHORTEST_CODE and any(c.isdigit() for c in w)}
