"""Reaching every configured account without sending: what `check --online` prints."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from sidecar import logs
from sidecar.config import Config, ProviderSection
from sidecar.delivery.errors import DeliveryError

Report = dict[str, Any]


def reach_accounts(config: Config, timeout: float) -> Sequence[Report]:
    """`check_accounts` for a command: what a library says goes to stderr, as in a log."""
    logs.redactor.add(config.secrets)
    logs.configure(stream=sys.stderr)
    return asyncio.run(check_accounts(config, timeout))


async def check_accounts(config: Config, timeout: float) -> Sequence[Report]:
    """One report a provider, in the file's order; `timeout` in seconds for each, all at once.

    `state` is `ready`, `degraded` or `blocked` as the provider says, `unreachable` where it could
    not ask, `nothing_to_check`, `not_configured` or `disabled`.
    """
    return await asyncio.gather(*(_check(one, timeout) for one in config.providers.values()))


async def _check(section: ProviderSection, timeout: float) -> Report:
    if not section.enabled:
        return _report(section, "disabled", "switched off by `enabled: false`")
    if section.settings is None or section.missing:
        return _report(section, "not_configured", f"lacks {', '.join(section.missing)}")
    try:
        async with asyncio.timeout(timeout), section.cls(section.name, section.settings) as one:
            found = await one.check(timeout=timeout)
    except DeliveryError as error:
        code = f" ({error.code})" if error.code else ""
        return _report(section, "unreachable", logs.redactor.clean(f"{error.reason}{code}"))
    except TimeoutError:
        return _report(section, "unreachable", f"no answer within {timeout:.0f} s")
    except Exception as error:  # noqa: BLE001  # its text may carry a secret
        return _report(section, "unreachable", f"the plugin raised {type(error).__name__}")
    if found is None:
        return _report(section, "nothing_to_check", "this kind has no account to reach")
    summary = logs.redactor.clean(found.summary)
    return {**_report(section, found.state.value, summary), "facts": dict(found.facts)}


def _report(section: ProviderSection, state: str, summary: str) -> Report:
    return {
        "provider": section.name,
        "kind": section.kind,
        "state": state,
        "summary": summary,
        "facts": {},
    }
