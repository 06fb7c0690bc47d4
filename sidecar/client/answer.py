"""The answer to a send, as frozen values; a document that is none of ours is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


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


def read_answer(document: Mapping[str, Any], key: str) -> Answer:
    """The answer in `document`. Raises ValueError where it is none."""
    provider = _maybe(document, "provider", str)
    status = _must(document, "status", str)
    if status not in ("accepted", "unknown") or (status == "accepted" and provider is None):
        raise ValueError("status")
    return Answer(
        id=_must(document, "id", str),
        status=status,
        channel=_must(document, "channel", str),
        purpose=_maybe(document, "purpose", str) or "",
        recipient=_maybe(document, "recipient", str) or "",
        provider=provider,
        provider_message_id=_maybe(document, "provider_message_id", str),
        attempts=read_attempts(document),
        replayed=_must(document, "replayed", bool),
        duplicate_possible=_must(document, "duplicate_possible", bool),
        simulated=_maybe(document, "simulated", bool) or False,
        cost=_cost(document),
        segments=_maybe(document, "segments", int),
        logged=_maybe(document, "logged", bool) is not False,
        key=key,
    )


def read_attempts(document: Mapping[str, Any]) -> tuple[Attempt, ...]:
    """The trail in `document`. Raises ValueError where it is none."""
    return tuple([_attempt(one) for one in _must(document, "attempts", list)])


def _attempt(one: Any) -> Attempt:
    if not isinstance(one, dict):
        raise ValueError("attempts")
    return Attempt(
        _must(one, "provider", str),
        _must(one, "kind", str),
        _must(one, "outcome", str),
        _maybe(one, "reason", str),
        _maybe(one, "provider_code", str),
        float(_must(one, "started_at", (float, int))),
        float(_must(one, "seconds", (float, int))),
        _maybe(one, "provider_message_id", str),
        _maybe(one, "circuit", str),
        _maybe(one, "simulated", bool) or False,
        _cost(one),
    )


def _cost(document: Mapping[str, Any]) -> Cost | None:
    cost = _maybe(document, "cost", dict)
    if cost is None:
        return None
    return Cost(_must(cost, "amount", str), _must(cost, "currency", str))


def _must(document: Mapping[str, Any], name: str, kind: type[T] | tuple[type[T], ...]) -> T:
    value = document.get(name)
    if isinstance(value, kind):
        return value
    raise ValueError(name)


def _maybe(document: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    value = document.get(name)
    if value is None or isinstance(value, kind):
        return value
    raise ValueError(name)
