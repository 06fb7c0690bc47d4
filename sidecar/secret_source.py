"""The contract of a source of secrets: what a plugin implements for `${scheme:name}`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar


class NoSecret(Exception):
    """A secret cannot be had. `reason` says why and what to do; it never holds a value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SecretSource(ABC):
    """Where the secrets of one scheme come from: `scheme: name` in the file is `${scheme:name}`.

    It is built from the environment, that of `.env` beneath, when the first such secret is wanted,
    and anew when the environment has changed. It lives in threads of the sidecar's making, never on
    the event loop: `fetch` may block, and several threads may call it at once.
    """

    scheme: ClassVar[str]
    """The name in the entry point of the group `sidecar.secrets`: lower case, such as `vault`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    @abstractmethod
    def fetch(self, name: str, *, timeout: float) -> str:
        """The whole text of the secret `name`, which the file writes before a `#`.

        A `#key` is the sidecar's to find, in a JSON object. `timeout` is in seconds; a call that
        takes longer is left behind. Raises `NoSecret`.
        """
