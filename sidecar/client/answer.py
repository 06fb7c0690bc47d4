"""The answer to a send, as frozen values; a document that is none of ours is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Cost:
    """What a provider charged: `amount` as a decimal in a string, `currency` as in ISO 4217."""

    amount: str
    currency: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one provider. `started_at` is Unix time in seconds, `seconds` how long it took.

    `outcome` is `accepted`, `rejected`, `refused`, `throttled`, `unavailable`, `unknown`,
    `misconfigured`, `crashed` or `skipped`; a later sidecar may have more.
    """

    provider: str
    kind: str
    outcome: str
    reason: str | None = None
    provider_code: str | None = None
    started_at: float = 0.0
    seconds: float = 0.0
    provider_message_id: str | None = None
    circuit: str | None = None
    simulated: bool = False
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that was taken (`accepted`) or may have been (`unknown`: treat it as sent).

    `provider` took it, after the `attempts` in their order. `replayed`: this is what became of the
    key before; nothing was sent now. `duplicate_possible`: an earlier provider may have taken it
    too, with the same code. `simulated`: nothing left the machine. `recipient` is masked.
    `segments` are the billed parts of an SMS, None for a mail. `logged` is False where the log
    could not be written. `key` is the idempotency key that was used.
    """

    id: str
    status: str
    channel: str
    purpose: str
    recipient: str
    provider: str | None
    provider_message_id: str | None
    attempts: tuple[Attempt, ...]
    replayed: bool
    duplicate_possible: bool
    simulated: bool
    cost: Cost | None
    segments: int | None
    logged: bool
    key: str = field(repr=False)  # a careless one names the recipient

    @property
    def accepted(self) -> bool:
        """Whether a provider has surely taken it."""
        return self.status == "accepted"


def read_answer(document: Any, key: str) -> Answer:
    """The answer in `document`. Raises ValueError where it is none."""
    values = _values(document, _ANSWER)
    name, status, channel, purpose, recipient, provider, provider_message_id = values[:7]
    attempts, replayed, duplicate_possible, simulated, cost, segments, logged = values[7:]
    if status not in ("accepted", "unknown") or (status == "accepted" and provider is None):
        raise ValueError("status")
    return Answer(
        name,
        status,
        channel,
        purpose or "",
        recipient or "",
        provider,
        provider_message_id,
        tuple([_attempt(one) for one in attempts]),
        replayed,
        duplicate_possible,
        bool(simulated),
        _cost(cost),
        segments,
        logged is not False,
        key,
    )


def read_attempts(document: Any) -> tuple[Attempt, ...]:
    """The trail in `document`. Raises ValueError where it is none."""
    (attempts,) = _values(document, (("attempts", _LIST),))
    return tuple([_attempt(one) for one in attempts])


def _attempt(one: Any) -> Attempt:
    values = _values(one, _ATTEMPT)
    values[-2:] = bool(values[-2]), _cost(values[-1])
    return Attempt(*values)


def _cost(cost: Any) -> Cost | None:
    return None if cost is None else Cost(*_values(cost, _COST))


_NONE = type(None)
_TEXT, _TEXT_OR_NONE = (str,), (str, _NONE)
_FLAG, _FLAG_OR_NONE = (bool,), (bool, _NONE)
_NUMBER, _LIST = (float, int), (list,)
_Shape = tuple[tuple[str, tuple[type, ...]], ...]
_ANSWER: _Shape = (
    ("id", _TEXT),
    ("status", _TEXT),
    ("channel", _TEXT),
    ("purpose", _TEXT_OR_NONE),
    ("recipient", _TEXT_OR_NONE),
    ("provider", _TEXT_OR_NONE),
    ("provider_message_id", _TEXT_OR_NONE),
    ("attempts", _LIST),
    ("replayed", _FLAG),
    ("duplicate_possible", _FLAG),
    ("simulated", _FLAG_OR_NONE),
    ("cost", (dict, _NONE)),
    ("segments", (int, _NONE)),
    ("logged", _FLAG_OR_NONE),
)
_ATTEMPT: _Shape = (
    ("provider", _TEXT),
    ("kind", _TEXT),
    ("outcome", _TEXT),
    ("reason", _TEXT_OR_NONE),
    ("provider_code", _TEXT_OR_NONE),
    ("started_at", _NUMBER),
    ("seconds", _NUMBER),
    ("provider_message_id", _TEXT_OR_NONE),
    ("circuit", _TEXT_OR_NONE),
    ("simulated", _FLAG_OR_NONE),
    ("cost", (dict, _NONE)),
)
_COST: _Shape = (("amount", _TEXT), ("currency", _TEXT))


def _values(document: Any, shape: _Shape) -> list[Any]:
    """The members named by `shape`, in its order. Raises ValueError for one of another type."""
    if type(document) is not dict:
        raise ValueError("document")
    values = []
    for name, kinds in shape:
        value = document.get(name)
        if type(value) not in kinds:  # JSON has no types below these
            raise ValueError(name)
        values.append(value)
    return values
