"""The contract of a provider: what a plugin implements, and all that the chain knows of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Self, TypeVar

from sidecar.delivery.model import Message, Money, Receipt
from sidecar.delivery.tariff import Tariff
from sidecar.delivery.verified import Verified

C = TypeVar("C")


class AccountState(StrEnum):
    """What an account check found.

    `BLOCKED`: it would refuse every message. `DEGRADED`: it sends, but not to everybody or not for
    long, or not all of it can be seen.
    """

    READY = "ready"
    DEGRADED = "degraded"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class AccountReport:
    """The answer of `Provider.check()`: a state, one sentence to act on, and the facts behind it.

    `facts` holds strings, numbers and booleans that are safe to print: no secret, no recipient.
    `monthly_limit` is what the account may spend in a calendar month, where it has such a limit; it
    is compared with the sidecar's own books. `verified` are the recipients it reaches, where it
    reaches no others. A subclass may carry more, for `would_refuse`; of any report only state,
    summary and facts are ever shown.
    """

    state: AccountState
    summary: str
    facts: Mapping[str, str | int | float | bool] = field(
        default_factory=lambda: MappingProxyType({})
    )
    monthly_limit: Money | None = None
    verified: Verified | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A message that a development provider kept for reading back, its text included."""

    id: str
    channel: str
    to: str
    text: str
    subject: str | None
    at: float


class Provider(ABC, Generic[C]):
    """One configured account at one vendor. Subclass it, name it in an entry point, done.

    A provider is built from its settings alone and must not do I/O in its constructor; open
    connections in `__aenter__`, or lazily in `send`, and close them in `__aexit__`, which gets two
    seconds.
    """

    kind: ClassVar[str]
    """The name in the entry point and in the configuration's `kind:`; lower case."""
    channels: ClassVar[frozenset[str]]
    """The channels it can serve: `email`, `sms`, or one of your own."""
    Config: ClassVar[type[Any]]
    """The settings model, a subclass of `sidecar.ProviderConfig`."""
    contract: ClassVar[int] = 1
    """The version of this contract. A plugin that declares one itself is refused at start by a
    sidecar that has another; one that does not takes the sidecar's."""
    reads: ClassVar[Sequence[str]] = ()
    """How the variables begin that its SDK reads by itself, such as `AWS_`.

    Where one changes, a reload builds the provider anew.
    """
    tariff: ClassVar[Tariff | None] = None
    """What the vendor asks for a message, dated and with its source; None where that is not known.

    The provider's `price:` in the configuration overrides any of it.
    """
    development_only: ClassVar[bool] = False
    """True for a provider that must not exist where `environment: production`."""

    def __init__(self, name: str, config: C) -> None:
        self.name = name
        self.config = config

    @classmethod
    def missing(cls, config: C, environ: Mapping[str, str]) -> Sequence[str]:
        """Names of what the environment lacks for this provider; empty when it can start.

        Called at start, without I/O over a network. Most providers need not override it: an
        undefined `${VARIABLE}` is found by the configuration itself.
        """
        return ()

    @abstractmethod
    async def send(self, message: Message, *, timeout: float) -> Receipt:
        """Hand `message` to the vendor; return its receipt or raise a `DeliveryError`.

        `timeout` is the seconds that are left: give it to the connection too. Send once: the chain
        is the retry. Anything else that is raised counts as a crash of the plugin.
        """

    async def check(self, *, timeout: float) -> AccountReport | None:
        """Reach the account without sending; None where there is nothing to reach.

        Called after the start and every few minutes. Raises a `DeliveryError` where the account
        cannot be reached; `Misconfigured` says that it would refuse every message.
        """
        return None

    def would_refuse(self, message: Message, report: AccountReport) -> str | None:
        """Why the account would surely refuse `message`, in one sentence; None where it may not.

        Asked where `preflight: skip` is set and `report`, the latest of `check`, is `DEGRADED`;
        a `BLOCKED` account refuses everything. Answers at once, from what `report` holds: it is on
        the way of every send. The sentence names no recipient.
        """
        if report.verified is None or report.verified.holds(message.to):
            return None
        return "the account reaches verified recipients only, and this one is not verified"

    def inbox(self) -> Sequence[InboxItem] | None:
        """Messages kept for reading back, newest first; None for a provider that really sends."""
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None
