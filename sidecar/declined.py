"""Why a send was not begun: one class per reason, with the stable word of its answer.

Declined
├── NoChain       no chain serves the channel
├── InFlight      the same key is under way
├── KeyReused     the key, or the id, belongs to another message
├── Overloaded    too many sends are under way
├── TooLate       the time ran out before it was begun
├── Draining      the sidecar is shutting down
└── LogRefuses    the log cannot be written, and the settings forbid sending without it
"""

from __future__ import annotations

from typing import ClassVar


class Declined(Exception):
    """The send was not begun. `code` is the stable word of the answer; `retry_after` in seconds."""

    code: ClassVar[str]
    retry_after: ClassVar[float | None] = None


class NoChain(Declined):
    """No chain serves the channel; the text names the channels there are."""

    code = "no_chain"


class InFlight(Declined):
    """The same key is under way."""

    code = "in_flight"
    retry_after = 1.0


class KeyReused(Declined):
    """The key, or the id, belongs to another message."""

    code = "key_reused"


class Overloaded(Declined):
    """Too many sends are under way."""

    code = "overloaded"
    retry_after = 1.0


class TooLate(Declined):
    """The caller's time ran out before anything was begun."""

    code = "deadline_exceeded"
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__("the time ran out before the send was begun; it was surely not sent")


class Draining(Declined):
    """The sidecar is shutting down."""

    code = "draining"
    retry_after = 1.0


class LogRefuses(Declined):
    """The log cannot be written, and the settings forbid sending without it."""

    code = "log_unavailable"
    retry_after = 1.0
