"""An account report, gathered one finding at a time; the worst finding gives the state."""

from __future__ import annotations

from dataclasses import dataclass, field

from sidecar import AccountReport, AccountState, Money, Reply, Verified
from sidecar_aws.errors import read_error

_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}


@dataclass(slots=True)
class Findings:
    """What an account check has found so far."""

    blocked: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    facts: dict[str, str | int | float | bool] = field(default_factory=dict)
    monthly_limit: Money | None = None
    _verified: Verified | None = None

    def sandbox(self, verified: Verified | None, whom: str, leave: str) -> None:
        """It is in a sandbox; `whom` it reaches there, in the plural, and how to `leave` it."""
        if verified is not None:
            self.facts["verified_recipients"] = len(verified)
        count = "" if verified is None else f"{len(verified) or 'no'} "
        reaches = f"reaches {count}verified {whom} and nobody else"
        self.degraded.append(f"the account is in the sandbox and {reaches}: {leave}")
        self._verified = verified

    def report(self, ready: str) -> AccountReport:
        """The report; `ready` is its sentence where nothing is amiss."""
        summary = "; ".join([*self.blocked, *self.degraded]) or ready
        return AccountReport(self._state(), summary, self.facts, self.monthly_limit, self._verified)

    def _state(self) -> AccountState:
        if self.blocked:
            return AccountState.BLOCKED
        return AccountState.DEGRADED if self.degraded else AccountState.READY


def is_denied(reply: Reply) -> bool:
    """Whether the keys are good but lack the permission for this one call."""
    return reply.status >= 400 and read_error(reply).code in _DENIED


def is_not_offered(reply: Reply) -> bool:
    """Whether the server does not know the call: a stand-in, or an endpoint of something else."""
    unknown = reply.status in (404, 405, 501) or reply.status >= 500
    return unknown and read_error(reply).code is None
