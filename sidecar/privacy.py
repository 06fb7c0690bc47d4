"""How people stay out of what is written: masks for the eye, keyed hashes for the machine."""

from __future__ import annotations

import errno
import hmac
import os
import secrets
from pathlib import Path

KEY_BYTES = 32
PURPOSES = ("body", "key", "recipient")
"""What is hashed."""


def mask(recipient: str) -> str:
    """`+1******4567` or `j***@e***.com`: enough to recognise, too little to use."""
    if "@" in recipient:
        local, _, domain = recipient.rpartition("@")
        name, dot, ending = domain.rpartition(".")
        return f"{local[:1]}***@{name[:1]}***{dot}{ending if dot else ''}"
    if len(recipient) < 9:
        return "***"
    return f"{recipient[:2]}{'*' * (len(recipient) - 6)}{recipient[-4:]}"


class Fingerprint:
    """HMAC-SHA-256 under a key that lives beside the log and never in it.

    Without the key nobody can test whether a hash is a given number's: the numbers are few enough
    to try them all.
    """

    def __init__(self, key: bytes, *, is_new: bool = False) -> None:
        self.is_new = is_new  # its key was made just now
        # Copies: to begin anew costs twice as much, for `hmac` looks its algorithm up every time.
        self._keyed = {name: hmac.new(key, f"{name}\0".encode(), "sha256") for name in PURPOSES}

    def of(self, purpose: str, value: bytes | str) -> str:
        """32 hex digits for `value`; `purpose` keeps equal values of different fields apart."""
        keyed = self._keyed[purpose].copy()
        keyed.update(value.encode() if isinstance(value, str) else value)
        return keyed.hexdigest()[:32]

    @classmethod
    def beside(cls, log: str) -> Fingerprint:
        """With the key from `<log>.key`, made with mode 0600 at first use; fresh for `:memory:`.

        Raises OSError where it can be neither read nor made, or is not whole.
        """
        if log == ":memory:":
            return cls(secrets.token_bytes(KEY_BYTES))
        path = Path(f"{log}.key")
        is_new = not path.exists()
        key = _make_key(path) if is_new else path.read_bytes()
        if len(key) < KEY_BYTES:
            raise OSError(errno.EIO, f"it holds less than {KEY_BYTES} bytes; restore or remove it")
        return cls(key, is_new=is_new)


def _make_key(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = secrets.token_bytes(KEY_BYTES)
    fresh = path.with_name(f"{path.name}.new")  # renamed when it is whole, so no crash leaves half
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return key
