"""What may keep a provider out beside its own state: a budget, or what its account allows."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from sidecar.delivery.model import Bill, Message, SkipReason


class Gate(Protocol):
    """One question before a provider is tried, answered at once, from memory, without raising."""

    def shut(self, message: Message | None) -> SkipReason | None:
        """Why `message` must pass the provider by; None where it may be tried.

        Without a message: why any message would.
        """

    def opens_in(self, message: Message | None = None) -> float | None:
        """Seconds until `message` may pass, or the usual one: 0 where it may, None if nobody knows.

        A person may have to mend it: then nobody knows.
        """


class Hold(Protocol):
    """Money kept aside for one attempt, until it is known whether it was spent."""

    @property
    def bill(self) -> Bill: ...

    def settle(self, *, billable: bool) -> None:
        """Spend it, or let go of it; only the first time counts."""


class Till(Gate, Protocol):
    """The gate of a provider whose messages have a price."""

    @property
    def is_limited(self) -> bool:
        """Whether a budget is there that may shut it, or move the provider back."""

    def quote(self, message: Message) -> Bill:
        """What it would be billed now; changes nothing."""

    def dearness(self, message: Message | None) -> Decimal | None:
        """The same as a figure to compare providers by; None where no price is known."""

    def is_short(self, message: Message | None) -> bool:
        """Whether so much is spent that the others of its chain should go first."""

    def reserve(self, message: Message) -> Hold | SkipReason:
        """Keep its price aside, or why that cannot be."""
