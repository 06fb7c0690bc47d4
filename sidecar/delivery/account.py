"""What is known of a provider's account, and the gate that goes by it. Nobody is asked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sidecar.delivery.clock import Clock
from sidecar.delivery.discretion import discreet
from sidecar.delivery.errors import REASON_LIMIT, printable
from sidecar.delivery.model import Message, SkipReason
from sidecar.delivery.provider import AccountReport, AccountState, Provider
from sidecar.delivery.whereabouts import name_of, whereabouts

UNREACHABLE, UNKNOWN = "unreachable", "unknown"
STATES = (*(state.value for state in AccountState), UNREACHABLE, UNKNOWN)
TRUSTED_FOR = 3
"""Intervals after which a report is too old to keep a message from a provider."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How a check ended: one of `STATES`, a sentence to act on, and the facts behind it.

    `report` is the plugin's own word; None where it could not ask, or there is nothing to ask.
    """

    state: str
    summary: str
    facts: Mapping[str, str | int | float | bool] = field(
        default_factory=lambda: MappingProxyType({})
    )
    report: AccountReport | None = field(default=None, repr=False)


NOT_YET = Finding(UNKNOWN, "not checked yet")


@dataclass(slots=True, eq=False)
class Account:
    """The latest finding, and the latest report, which a check that failed leaves as it was.

    `checked_at` is Unix time, `due` the next check and `trusted_until` the report's end on the
    monotonic clock. `passed_by` says why the latest message was kept from it, where that message
    was the reason. `busy`: a check runs, one that was given up too.
    """

    finding: Finding = NOT_YET
    checked_at: float | None = None
    due: float | None = None
    report: AccountReport | None = None
    trusted_until: float = float("-inf")
    passed_by: str | None = None
    busy: bool = False

    def heard(self, finding: Finding, clock: Clock, interval: float) -> None:
        """Remember how a check ended just now; `interval` in seconds, between two of them."""
        self.finding = finding
        self.checked_at = clock.time()
        if finding.report is not None:
            self.report = finding.report
            self.trusted_until = clock.monotonic() + TRUSTED_FOR * interval
            self.passed_by = None

    def forget(self, why: str) -> None:
        """Know nothing, for a reason: it is not checked."""
        self.finding = Finding(UNKNOWN, why)
        self.checked_at = self.due = self.report = self.passed_by = None

    def next_check_in(self, clock: Clock) -> float | None:
        """Seconds until it is checked again; None where it is not."""
        return None if self.due is None else max(0.0, self.due - clock.monotonic())


class AccountGate:
    """Keeps from a provider what its account would surely refuse, by a report that is not too old.

    Where the account is blocked that is every message; where it is degraded, `would_refuse` is
    asked, and `failed(name, error)` hears where that raises, once a report.
    """

    def __init__(
        self,
        provider: Provider[Any],
        account: Account,
        clock: Clock,
        *,
        strike: Callable[[str], str] = str,
        failed: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._provider = provider
        self._account = account
        self._clock = clock
        self._strike = strike
        self._failed = failed
        self._failed_at: AccountReport | None = None

    def shut(self, message: Message | None) -> SkipReason | None:
        account = self._account
        report = account.report
        if report is None or report.state is AccountState.READY:
            return None
        if self._clock.monotonic() >= account.trusted_until:
            return None
        if report.state is AccountState.BLOCKED:
            return SkipReason.PREFLIGHT
        why = None if message is None else self._refusal(message, report)
        if message is None or not why:
            return None
        account.passed_by = discreet(why, message, self._strike, REASON_LIMIT)
        return SkipReason.PREFLIGHT

    def opens_in(self, message: Message | None = None) -> float | None:
        return 0.0 if self.shut(message) is None else self._account.next_check_in(self._clock)

    def _refusal(self, message: Message, report: AccountReport) -> str | None:
        try:
            why: object = self._provider.would_refuse(message, report)
        except BaseException as error:  # noqa: BLE001  # a guest's, and the chain must go on
            if self._failed_at is not report:
                self._failed_at = report
                where = whereabouts(error, type(self._provider).__module__)
                self._failed(self._provider.name, f"{name_of(type(error))}{where}")
            return None
        return printable(why) if isinstance(why, str) else None
