"""The values of a delivery, all frozen: a message goes down, a delivery comes up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sidecar.delivery.frozen import made_quickly

ZERO = Decimal(0)
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Outcome(StrEnum):
    """How one attempt at one provider ended. `policy.RULES` says what follows from each."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REFUSED = "refused"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"
    MISCONFIGURED = "misconfigured"
    CRASHED = "crashed"
    LOCAL = "local"
    SKIPPED = "skipped"


class SkipReason(StrEnum):
    """Why a provider was not tried: the `reason` of a skipped attempt."""

    NOT_CONFIGURED = "not_configured"
    BROKEN = "broken"
    DISABLED = "disabled"
    ISOLATED = "isolated"
    THROTTLED = "throttled"
    CIRCUIT_OPEN = "circuit_open"
    TRIAL_UNDER_WAY = "circuit_half_open"
    DEADLINE = "deadline"
    BUSY = "busy"
    LOG_UNAVAILABLE = "log_unavailable"
    PREFLIGHT = "preflight"
    OVER_BUDGET = "over_budget"
    SOFT_BUDGET = "soft_budget"
    DEARER = "dearer"


class Status(StrEnum):
    """How a delivery stands; every value but `PENDING` is terminal."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"

    @property
    def surely_not_sent(self) -> bool:
        """True where no provider can have taken the message, so that it may run again."""
        return self not in (Status.PENDING, Status.ACCEPTED, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency (ISO 4217 code). Decimal, never float."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        """`100.00 USD`: at least two decimals, more only where they say something."""
        return f"{in_digits(self.amount)} {self.currency}"


@lru_cache(maxsize=256)
def in_digits(amount: Decimal) -> str:
    """The amount without an exponent, with two decimals at least: `150.00`, `0.00645`."""
    text = f"{amount:f}"
    whole, _, part = text.partition(".")
    return f"{whole}.{part.rstrip('0'):0<2}"


@dataclass(frozen=True, slots=True)
class Bill:
    """What an attempt costs where the provider takes the message.

    `cost` is None where no price is known. `units` are what the vendor counts: messages, or the
    segments of an SMS, those at no charge included.
    """

    cost: Money | None
    units: int


class _Copies(Mapping[str, Mapping[str, Any]]):
    """Gives each who asks a copy: what one provider does to it, the next one must not get."""

    def __init__(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        self._given = given

    def __getitem__(self, kind: str) -> Mapping[str, Any]:
        return deepcopy(dict(self._given[kind]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


@made_quickly
@dataclass(frozen=True, slots=True)
class Message:
    """One text to exactly one recipient.

    `to` is E.164 on `sms` and a bare address on `email`. `expires_in` is the life of the code in
    seconds, counted from the moment the sidecar took the message. `extra` holds settings for one
    kind of provider, keyed by that kind; who asks gets copies. The recipient and every text stay
    out of the repr.
    """

    id: str
    channel: str
    to: str = field(repr=False)
    text: str = field(repr=False)
    subject: str | None = field(default=None, repr=False)
    html: str | None = field(default=None, repr=False)
    reply_to: str | None = field(default=None, repr=False)
    purpose: str = "otp"
    expires_in: float | None = None
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _NOTHING, repr=False)

    def __post_init__(self) -> None:
        if self.extra is not _NOTHING and type(self.extra) is not _Copies:
            object.__setattr__(self, "extra", _Copies(self.extra))

    def named(self, id: str) -> Message:  # noqa: A002  # the field's name
        """The same message under another id."""
        if id == self.id:
            return self
        return Message(
            id,
            self.channel,
            self.to,
            self.text,
            self.subject,
            self.html,
            self.reply_to,
            self.purpose,
            self.expires_in,
            self.extra,
        )

    def extra_for(self, kind: str) -> Mapping[str, Any]:
        """The settings this message carries for providers of `kind`; empty where it has none.

        A copy of the asker's own: it may be changed, and no other provider sees it.
        """
        return self.extra.get(kind, _NOTHING)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A provider's word that it took the message (not that it arrived).

    `message_id` is the provider's own. `simulated` is true where nothing left the machine.
    """

    message_id: str
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of a circuit breaker's state, told to the observers after the log is written."""

    before: str
    after: str
    reason: str | None = None


@made_quickly
@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one provider, with exactly one outcome.

    `started_at` is Unix time in seconds, `seconds` the duration. `reason` is a sentence of our own
    words, never the provider's text, which may carry the recipient; of a skipped attempt it is one
    of `SkipReason`. `circuit` is the breaker as the attempt left it (`closed 1/5`). `final` marks a
    rejection that no setting fails over. `cost` is zero where the attempt is surely not billed, and
    None where no price is known; `units` are those that are billed, see `Bill`.
    """

    provider: str
    kind: str
    outcome: Outcome
    started_at: float
    seconds: float = 0.0
    reason: str | None = None
    provider_code: str | None = None
    provider_message_id: str | None = None
    simulated: bool = False
    cost: Money | None = None
    circuit: str | None = None
    final: bool = field(default=False, compare=False)
    transition: Transition | None = field(default=None, compare=False)
    units: int = 0

    @property
    def tried(self) -> bool:
        """Whether the provider was called at all."""
        return self.outcome is not Outcome.SKIPPED


@made_quickly
@dataclass(frozen=True, slots=True)
class Delivery:
    """A message plus its attempts, in order.

    `recipient` is masked. `retry_after` is in seconds, where a retry makes sense. `logged` is false
    where the log could not be written and the settings let the message go all the same.
    """

    id: str
    channel: str
    purpose: str
    status: Status
    started_at: float
    ended_at: float | None = None
    attempts: tuple[Attempt, ...] = ()
    recipient: str = ""
    recipient_hash: str = ""
    segments: int | None = None
    reason: str | None = None
    retry_after: float | None = None
    logged: bool = True
    replayed: bool = False

    @property
    def receipt(self) -> Attempt | None:
        """The attempt that was accepted, if one was."""
        for attempt in self.attempts:
            if attempt.outcome is Outcome.ACCEPTED:
                return attempt
        return None
