"""What a send that has no answer ends in. The class alone says whether it was surely not sent.

SendError
├── NotSent          surely not sent: 408, 502, 503, 504; again under the same key
│   └── Unreachable  nobody listens, or the request could not be handed over as a whole
├── Rejected         422 `rejected`: the recipient cannot be reached; tell the user
├── BadRequest       any other 4xx: the app, or its settings, is at fault; surely not sent
├── InFlight         409: the same key is under way in another request
└── MaybeSent        500: it may have been sent; the same message under the same key settles it
    ├── NoAnswer     the connection was lost, or the time ran out, behind the request
    └── BadReply     the answer is not one of a sidecar
"""

from __future__ import annotations

from typing import ClassVar

from sidecar.client.answer import Attempt


class SendError(Exception):
    """A send without an answer. Its text holds no text, recipient, key or token.

    `code` is the sidecar's stable word (`all_failed`, `overloaded`, `invalid`, ...), or one of
    ours: `unreachable`, `lost`, `timed_out`, `bad_reply`. `detail` says more, for a person.
    `status` is the HTTP status, None without a reply. `retryable` says whether the same message
    under the same key is worth another try, `retry_after` in how many seconds at the earliest
    (None: at once). `key` is the idempotency key that was used. `id` and `attempts` tell of the
    delivery, where one was begun.
    """

    surely_not_sent: ClassVar[bool]
    """Whether no provider can have taken the message in this call."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        key: str = "",
        id: str | None = None,  # noqa: A002  # the API's own word
        attempts: tuple[Attempt, ...] = (),
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.retryable = retryable
        self.retry_after = retry_after
        self.key = key
        self.id = id
        self.attempts = attempts

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class NotSent(SendError):
    """Surely not sent. Again under the same key, after `retry_after`."""

    surely_not_sent = True


class Unreachable(NotSent):
    """Nobody listens there, or the request could not be handed over as a whole."""


class Rejected(SendError):
    """The recipient cannot be reached, or not with this message. Tell the user; do not retry."""

    surely_not_sent = True


class BadRequest(SendError):
    """The request is at fault: the message, the token, the key, the address. Mend the app."""

    surely_not_sent = True


class InFlight(SendError):
    """Another request under the same key is under way, and did not end in time."""

    surely_not_sent = False


class MaybeSent(SendError):
    """It may have been sent. Settle it under the same key, or treat it as sent; no second code."""

    surely_not_sent = False


class NoAnswer(MaybeSent):
    """The connection was lost, or the time ran out, after the request had left."""


class BadReply(MaybeSent):
    """What answered did not answer like a sidecar. Another server may listen there."""
