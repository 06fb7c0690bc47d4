"""How people stay out of what is written: masks for the eye, keyed hashes for the machine."""

from __future__ import annotations

import errno
import os
import secrets
from hashlib import sha256
from pathlib import Path

KEY_BYTES = 32
PURPOSES = ("body", "key", "recipient")
"""What is hashed."""
_BLOCK = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


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
        # RFC 2104 by hand, at half the price of `hmac`, which looks its algorithm up every
        # time. What each hash begins with is hashed once; a copy costs less than a beginning.
        if len(key) > _BLOCK:
            key = sha256(key).digest()
        block = key.ljust(_BLOCK, b"\0")
        self._outer = sha256(block.translate(_OUTER))
        inner = block.translate(_INNER)
        self._inner = {name: sha256(b"%b%b\0" % (inner, name.encode())) for name in PURPOSES}

    def of(self, purpose: str, value: bytes | str) -> str:
        """32 hex digits for `value`; `purpose` keeps equal values of different fields apart."""
        inner, outer = self._inner[purpose].copy(), self._outer.copy()
        inner.update(value.encode() if isinstance(value, str) else value)
        outer.update(inner.digest())
        return outer.hexdigest()[:32]

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
