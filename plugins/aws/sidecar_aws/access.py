"""Where signed requests go and as whom, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Keys:
    """One set of AWS credentials; `token` goes with temporary ones."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """The endpoint of a service, without a closing slash, and the keys to it."""

    url: str
    region: str
    keys: Keys
