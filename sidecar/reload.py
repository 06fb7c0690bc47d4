"""Keeping to the latest configuration that has no fault, without a restart.

What may have changed it: SIGHUP, a file whose size, times or place on the disk are others than at
the last glance, and every 30 s a look at the content of all, which also finds what a glance cannot
see. However many of these come at once, one load follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import structlog

from sidecar import logs
from sidecar.config import Config, glance, have_changed, remarks
from sidecar.delivery.arithmetic import own_arithmetic
from sidecar.delivery.clock import Clock
from sidecar.delivery.errors import ConfigError
from sidecar.delivery.whereabouts import name_of

LOOK_EVERY = 30.0
"""Seconds between two looks at the content of the files."""
GLANCE_EVERY = 0.25
"""Seconds between two glances. What has changed is loaded when two in a row see the same: an editor
may write a file in several steps."""
RESTLESS = 3
"""Glances after which a file that changes on and on is loaded as it is."""

Changes = Mapping[str, Any]
Load = Callable[[], Config]
Apply = Callable[[Config], Awaitable[Changes]]


@dataclass(frozen=True, slots=True)
class ReloadState:
    """How the latest attempt went. Times are Unix time in seconds; `error` is safe to show.

    `needs_restart` are settings of the file, such as `server.listen`, that are not in effect yet.
    """

    loaded_at: float
    failed_at: float | None = None
    error: str | None = None
    needs_restart: tuple[str, ...] = ()


class Reloader:
    """Loads when asked or when a file changed, and hands what has no fault to `apply`.

    `load` blocks, so it is run in a thread; it and `apply` raise `ConfigError`, and then everything
    stays as it was.
    """

    def __init__(self, running: Config, load: Load, apply: Apply, clock: Clock) -> None:
        self.state = ReloadState(clock.time())
        self._seen = running.seen
        self._load = load
        self._apply = apply
        self._clock = clock
        self._asked = False
        self._woken = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []

    def ask(self) -> None:
        """Load as soon as possible, whether or not anything changed."""
        self._asked = True
        self._woken.set()

    async def ended(self) -> None:
        """Return when what was asked for so far has been loaded, or refused."""
        self._waiting.append(asyncio.get_running_loop().create_future())
        await self._waiting[-1]

    async def run(self) -> None:
        """Until cancelled."""
        own_arithmetic()  # what is loaded here may be a plugin's
        watching = asyncio.create_task(self._watch(), name="watch configuration")
        try:
            while True:
                if watching.done():  # somebody cancelled it
                    watching = asyncio.create_task(self._watch(), name="watch configuration")
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await self._woken.wait()
                self._woken.clear()
                asked, self._asked = self._asked, False
                waiting, self._waiting = self._waiting, []
                # After a fault everything is loaded anew: a file that was lacking may be there now.
                try:
                    if asked or self.state.error or await self._has_changed():
                        await self._reload(asked=asked)
                finally:
                    for one in waiting:
                        if not one.done():
                            one.set_result(None)
        finally:
            watching.cancel()

    async def _has_changed(self) -> bool:
        return await asyncio.to_thread(have_changed, self._seen)

    def _loaded(self) -> Config:
        config = self._load()
        # Here: on the event loop it would hold up every send. It may be refused yet.
        logs.redactor.add(config.secrets, "reload")
        return config

    async def _reload(self, *, asked: bool) -> None:
        try:
            config = await asyncio.to_thread(self._loaded)
            changes = await self._apply(config)
        except ConfigError as error:
            # A plugin's own words may be among it, and the API shows it as the log does.
            self._failed(logs.redactor.clean(str(error)), loudly=asked)
        except asyncio.CancelledError:
            # By a plugin, or at the end. Whoever begins to run anew has to load what was asked for.
            self._asked = True
            self._woken.set()
            raise
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001  # a plugin's
            self._failed(f"it could not be loaded: {name_of(type(error))}", loudly=True)
        else:
            waits = tuple(changes.get("needs_restart", ()))
            self.state = ReloadState(self._clock.time(), needs_restart=waits)
            self._seen = config.seen
            structlog.get_logger().info("reloaded", digest=config.digest, **changes)
            logs.remark(remarks(config))

    def _failed(self, error: str, *, loudly: bool) -> None:
        known = self.state.error
        self.state = replace(self.state, failed_at=self._clock.time(), error=error)
        if loudly or known != error:
            structlog.get_logger().error(
                "reload_failed", error=error, do="mend it; the configuration before it goes on"
            )

    async def _watch(self) -> None:
        """Ask for a look at the content once at first, and whenever a glance sees a change."""
        before, changes = None, 0
        while True:
            now = await asyncio.to_thread(glance, self._seen)
            if now != before:
                changes += 1
            if changes and (now == before or changes == RESTLESS):
                changes = 0
                self._woken.set()
            before = now
            await asyncio.sleep(GLANCE_EVERY)
