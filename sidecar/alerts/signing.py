"""Signatures as Standard Webhooks 1.0.0 has them, the symmetric ones (`v1`).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a key: 192 to 512 bits."""


def key_of(secret: str) -> bytes:
    """The key that `whsec_...` stands for. Raises ValueError, without the secret, for another text.

    The specification knows this one form. Its libraries also take the base64 without its prefix, so
    a text of another kind would be a key for one side and another key for the other.
    """
    encoded = secret.removeprefix(PREFIX)
    if encoded == secret:
        raise ValueError(f"must begin with `{PREFIX}`, followed by base64: {_HOW}")
    try:  # padding may be missing, as the specification's libraries have it
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"must be base64 after `{PREFIX}`: {_HOW}") from None
    if not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(f"must be of {SHORTEST} to {LONGEST} bytes: {_HOW}")
    return key


def sign(keys: Iterable[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature a key, with a space between.

    `timestamp` is in Unix seconds; neither it nor the id may hold a full stop.
    """
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_mac(key, signed)}" for key in keys)


def _mac(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


_HOW = f"`echo {PREFIX}$(openssl rand -base64 32)` makes one"
