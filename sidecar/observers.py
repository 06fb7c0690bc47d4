"""Telling the observers: each hook of each plugin under a guard of its own.

pluggy neither isolates nor awaits: one that raises would keep the others from hearing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from sidecar.delivery.model import Delivery
from sidecar.delivery.whereabouts import name_of
from sidecar.registry import Registry


class Observers:
    """Everything that registered, our own log line and metrics among them."""

    def __init__(self, registry: Registry) -> None:
        self._hook = registry.hook
        self._delivery_ended = registry.hook.delivery_ended
        self._known: Sequence[Any] = ()
        self._listeners: Sequence[tuple[Any, Callable[[Delivery], None]]] = ()

    def delivery_ended(self, delivery: Delivery) -> None:
        """Tell of a delivery, then of every circuit that it changed."""
        # Asked each time: a reload may bring a plugin that listens.
        known = self._delivery_ended.get_hookimpls()
        if known != self._known:
            self._known, self._listeners = known, [(one, _listener(one)) for one in known]
        for one, tell in self._listeners:
            try:
                tell(delivery)
            except BaseException as error:  # noqa: BLE001  # a guest's SystemExit is not ours
                _complain(one, "delivery_ended", error)
        for attempt in delivery.attempts:
            change = attempt.transition
            if change is not None:
                self._tell(
                    "circuit_changed",
                    provider=attempt.provider,
                    before=change.before,
                    after=change.after,
                )

    def _tell(self, hook: str, **facts: Any) -> None:
        for one in getattr(self._hook, hook).get_hookimpls():
            try:
                one.function(*(facts[name] for name in one.argnames))
            except BaseException as error:  # noqa: BLE001  # a guest's SystemExit is not ours
                _complain(one, hook, error)


def _listener(one: Any) -> Callable[[Delivery], None]:
    """What tells one observer of a delivery: ours of the very same, a guest of a copy."""
    listener: Callable[..., None] = one.function
    if not one.argnames:
        return lambda _: listener()
    if _is_ours(one.plugin):
        return listener
    return lambda delivery: listener(_copy(delivery))


def _is_ours(observer: object) -> bool:
    # A guest's class may call itself anything, and may fail to: it must not silence the others.
    try:
        return str(type(observer).__module__).startswith("sidecar.")
    except BaseException:  # noqa: BLE001  # a guest's SystemExit is not ours
        return False


def _copy(delivery: Delivery) -> Delivery:
    """One for a guest, who may write to it: the caller is answered out of ours."""
    return replace(delivery, attempts=tuple(map(replace, delivery.attempts)))


def _complain(one: Any, hook: str, error: BaseException) -> None:
    structlog.get_logger().error(
        "observer_failed", plugin=one.plugin_name, hook=hook, error=name_of(type(error))
    )
