"""The health document: every chain and provider as it stands now, for people and dashboards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sidecar import __version__
from sidecar.alerts.desk import Case
from sidecar.delivery.chain import Chain
from sidecar.delivery.link import Link
from sidecar.delivery.model import Attempt
from sidecar.delivery.order import arranged
from sidecar.dispatcher import Dispatcher
from sidecar.lag import LoopWatch
from sidecar.money.books import ProviderTill
from sidecar.money.statement import dump_till, dump_whole
from sidecar.reload import ReloadState
from sidecar.world import World

ALERTS = 100
"""Active alerts that the document shows; `otp_alerts_active` counts them all."""
_ROLES = ("primary", "secondary", "tertiary", "quaternary", "quinary")


def dump_health(world: World, dispatcher: Dispatcher, reloads: ReloadState) -> dict[str, Any]:
    """The document; its `status` is the worst of the chains'.

    `ok`: the first configured provider is usable. `degraded`: a chain lives on a fallback. `down`:
    a chain has nothing left.
    """
    chains = {channel: _chain(chain) for channel, chain in world.chains.items()}
    states = {chain["status"] for chain in chains.values()}
    status = next((s for s in ("down", "degraded") if s in states), "ok")
    return {
        "status": "draining" if dispatcher.draining else status,
        "version": __version__,
        "environment": world.config.environment,
        "config": {
            "path": str(world.config.path),
            "digest": world.config.digest,
            "loaded_at": _moment(reloads.loaded_at),
            "reload_failed_at": _moment(reloads.failed_at),
            "reload_error": reloads.error,
            "needs_restart": list(reloads.needs_restart),
        },
        "under_way": dispatcher.under_way,
        "in_flight": world.room.in_flight,
        "waiting": world.room.waiting,
        "unwritten": dispatcher.unwritten,
        "budget": dump_whole(world.books),
        "chains": chains,
        "providers_without_chain": [
            dump_link(link, None)
            for link in world.links.values()
            if not any(link in chain.links for chain in world.chains.values())
        ],
    }


def _chain(chain: Chain) -> dict[str, Any]:
    configured = [
        link for link in chain.links if link.enabled and (link.provider is not None or link.broken)
    ]
    order, moved = arranged(chain.links, chain.policy.order, None)
    configured.sort(key=order.index)
    usable = [link for link in configured if link.would_skip() is None]
    on_primary = bool(usable) and usable[0] is configured[0]
    return {
        "status": "ok" if on_primary else "degraded" if usable else "down",
        "next": usable[0].name if usable else None,
        "on_unknown": chain.policy.on_unknown.value,
        "on_rejected": chain.policy.on_rejected.value,
        "panic": chain.policy.panic.value,
        "order": chain.policy.order.value,
        "asked_in_order": [link.name for link in order],
        "moved_back": [{"provider": link.name, "reason": why.value} for link, why in moved],
        "providers": [dump_link(link, role(i)) for i, link in enumerate(chain.links)],
    }


def dump_link(link: Link, role: str | None) -> dict[str, Any]:
    """One provider; durations in seconds, moments in UTC."""
    skip = link.would_skip()
    return {
        "name": link.name,
        "kind": link.kind,
        "role": role,
        "usable": skip is None,
        "skipped_because": skip.value if skip else None,
        "missing": list(link.missing),
        "broken": link.broken,
        "circuit": {
            "state": link.breaker.state.value,
            "failures": f"{link.breaker.consecutive_failures}"
            f"/{link.breaker.settings.failure_threshold}",
            "consecutive_failures": link.breaker.consecutive_failures,
            "seconds_to_half_open": _rounded(link.breaker.seconds_to_half_open()),
            "reason": link.breaker.reason,
        },
        "cost": dump_till(link.till) if isinstance(link.till, ProviderTill) else None,
        "account": _account(link),
        "throttled_for": _rounded(link.throttled_for()),
        "in_flight": link.in_flight,
        "zombies": link.zombies,
        "last_error": _last_error(link.last_error),
        "last_success": _moment(link.last_success_at),
    }


def _account(link: Link) -> dict[str, Any]:
    """What is known of the account; `passed_by` is why the latest message was kept from it."""
    account = link.standing.account
    found = account.finding
    return {
        "state": found.state,
        "summary": found.summary,
        "facts": dict(found.facts),
        "checked_at": _moment(account.checked_at),
        "next_check_in": _rounded(account.next_check_in(link.clock)),
        "passed_by": account.passed_by,
    }


def dump_loop(watch: LoopWatch) -> dict[str, Any]:
    """How late the event loop was within the last minute, who held it up last, and its tasks."""
    block = watch.last_block
    return {
        "tasks": len(asyncio.all_tasks()),
        "lag_seconds": round(watch.longest_lag, 3),
        "last_blocked": block
        and {
            "provider": block.suspect.provider,
            "kind": block.suspect.kind,
            "where": block.suspect.where,
            "seconds": block.seconds,
            "at": _moment(block.at),
        },
    }


def dump_alerts(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """What is bad now, the latest first, `ALERTS` of them at most."""
    return [
        {
            "event": case.alert.event,
            "subject": case.alert.subject,
            "summary": case.alert.summary,
            "since": _moment(case.since),
        }
        for case in cases[: -ALERTS - 1 : -1]
    ]


def role(position: int) -> str:
    """The name of a place in a chain: primary, secondary, tertiary, ... then a number."""
    return _ROLES[position] if position < len(_ROLES) else f"number {position + 1}"


def _last_error(attempt: Attempt | None) -> dict[str, Any] | None:
    if attempt is None:
        return None
    return {
        "outcome": attempt.outcome.value,
        "reason": attempt.reason,
        "provider_code": attempt.provider_code,
        "at": _moment(attempt.started_at + attempt.seconds),
    }


def _moment(unix: float | None) -> str | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
