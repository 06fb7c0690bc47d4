"""Keeping to the latest configuration that has no fault, without a restart.

What may have changed it: SIGHUP, an event in a directory of one of its files, and every 30 s a look
at their content, which also finds what no event told of. However many of these come at once, one
load follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from sidecar import logs
from sidecar.config import Config, have_changed
from sidecar.delivery.clock import Clock
from sidecar.delivery.errors import ConfigError

LOOK_EVERY = 30.0
"""Seconds between two looks at the content of the files."""
STEP, SETTLE = 200, 800
"""Milliseconds between two looks at the events, and at most until a burst of them is told."""
ARMED = 1_000
"""Milliseconds without an event after which the watch surely stands."""
WATCH_AGAIN = 2.0
"""Seconds until a watch that failed is tried again."""

Changes = Mapping[str, Any]
Load = Callable[[], Config]
Apply = Callable[[Config], Awaitable[Changes]]


@dataclass(frozen=True, slots=True)
class ReloadState:
    """How the latest attempt went. Times are Unix time in seconds; `error` is safe to show."""

    loaded_at: float
    failed_at: float | None = None
    error: str | None = None


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
        self._watching: asyncio.Task[None] | None = None

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
        try:
            while True:
                self._keep_watching()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await self._woken.wait()
                self._woken.clear()
                asked, self._asked = self._asked, False
                waiting, self._waiting = self._waiting, []
                # After a fault everything is loaded anew: a file that was lacking may be there now.
                if asked or self.state.error or await asyncio.to_thread(have_changed, self._seen):
                    await self._reload(asked=asked)
                for one in waiting:
                    if not one.done():
                        one.set_result(None)
        finally:
            self._stop_watching()

    async def _reload(self, *, asked: bool) -> None:
        try:
            config = await asyncio.to_thread(self._load)
            changes = await self._apply(config)
        except ConfigError as error:
            # A plugin's own words may be among it, and the API shows it as the log does.
            self._failed(logs.redactor.clean(str(error)), loudly=asked)
        except Exception as error:  # noqa: BLE001  # whatever it is, the old configuration goes on
            self._failed(f"it could not be loaded: {type(error).__name__}", loudly=True)
        else:
            self.state = ReloadState(self._clock.time())
            if self._seen.keys() != config.seen.keys():
                self._stop_watching()
            self._seen = config.seen
            structlog.get_logger().info("reloaded", digest=config.digest, **changes)

    def _failed(self, error: str, *, loudly: bool) -> None:
        known, self.state = (
            self.state.error,
            ReloadState(self.state.loaded_at, self._clock.time(), error),
        )
        if loudly or known != error:
            structlog.get_logger().error(
                "reload_failed", error=error, do="mend it; the configuration before it goes on"
            )

    def _keep_watching(self) -> None:
        if self._watching is None:
            self._watching = asyncio.create_task(
                self._watch(self._seen), name="watch configuration"
            )

    def _stop_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _watch(self, files: Mapping[Path, str]) -> None:
        failures = 0
        while True:
            try:
                async for _ in _events(files):
                    failures = 0
                    self._woken.set()
            except Exception as error:  # noqa: BLE001  # no watch to be had, or a place that vanished
                failures += 1
                if failures == 2:  # the first may be a directory that is just being replaced
                    structlog.get_logger().warning(
                        "watch_failed", error=type(error).__name__, do="changes are seen in 30 s"
                    )
                await asyncio.sleep(WATCH_AGAIN)


async def _events(files: Mapping[Path, str]) -> AsyncIterator[None]:
    """One for every burst of events, and one when the watch stands: what came before told nobody.

    It ends where a directory came, went, or was made anew: the watch hears nothing of that one.
    Raises what the system says where it gives no watch.
    """
    from watchfiles import awatch  # noqa: PLC0415  # after the start, which need not wait for it

    places = directories(files)
    told = awatch(
        *places,
        watch_filter=_Telling(files, places),
        recursive=False,
        debounce=SETTLE,
        step=STEP,
        rust_timeout=ARMED,
        yield_on_timeout=True,
    )
    armed = False
    async with aclosing(told):
        async for events in told:
            if events or not armed:
                armed = True
                yield
            removed = {Path(path) for _, path in events} & places
            if removed or directories(files) != places:
                return


class _Telling:
    """The events that may mean a change: of the files, their directories, and links to them."""

    def __init__(self, files: Mapping[Path, str], places: Collection[Path]) -> None:
        self._names = {file.name for file in files}
        self._places = {str(place) for place in places}

    def __call__(self, _change: object, path: str) -> bool:
        name = Path(path).name
        # `..data` is the link that Kubernetes swaps under a ConfigMap's or a Secret's files.
        return name in self._names or name == "..data" or path in self._places


def directories(files: Mapping[Path, str]) -> set[Path]:
    """Where events about these files show: beside their names, and beside what those lead to."""
    places = {place for file in files for place in (file.absolute().parent, file.resolve().parent)}
    return {place for place in places if place.is_dir()}
