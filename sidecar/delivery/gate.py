"""What may keep a provider out beside its own state: a budget, or what its account allows."""

from __future__ import annotations

from typing import Protocol

from sidecar.delivery.model import Message, SkipReason


class Gate(Protocol):
    """One question before a provider is tried. It answers at once, from memory, and never raises."""

    def shut(self, message: Message | None) -> SkipReason | None:
        """Why `message` must pass the provider by; None where it may be tried.

        Without a message: why any message would.
        """

    def opens_in(self) -> float | None:
        """Seconds until it is open for the usual message: 0 where it is, None where nobody knows."""
