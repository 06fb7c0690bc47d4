"""Whom an account reaches where it reaches nobody else: known, and not written anywhere."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import blake2b


class Verified:
    """The recipients of these names - addresses, domains, numbers - in any case of letters.

    They are recipients, so none of them is kept: in memory there are hashes under a key of this
    object's own, and to everybody else there is a number of them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._key = secrets.token_bytes(32)
        self._hashes = frozenset(map(self._hash, names))

    def __len__(self) -> int:
        return len(self._hashes)

    def holds(self, *names: str) -> bool:
        """Whether one of `names` is among them."""
        return any(self._hash(name) in self._hashes for name in names)

    def _hash(self, name: str) -> bytes:
        text = name.casefold().encode("utf-8", "replace")
        return blake2b(text, key=self._key, digest_size=16).digest()
