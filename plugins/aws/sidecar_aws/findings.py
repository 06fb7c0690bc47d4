"""An account report, gathered one finding at a time; the worst finding gives the state."""

from __future__ import annotations

from dataclasses import dataclass, field

from sidecar import AccountReport, AccountState, Reply
from sidecar_aws.errors import read_error

_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}


@dataclass(slots=True)
class Findings:
    """What an account check has found so far."""

    blocked: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    facts: dict[str, str | int | float | bool] = field(default_factory=dict)

    def report(self, ready: str) -> AccountReport:
        """The report; `ready` is its sentence where nothing is amiss."""
        summary = "; ".join([*self.blocked, *self.degraded]) or ready
        return AccountReport(self._state(), summary, self.facts)

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
