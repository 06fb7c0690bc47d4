"""The composition root: the only file that sees every room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from sidecar import logs, memory, transport
from sidecar.alerts.bureau import Bureau
from sidecar.api.door import Door
from sidecar.api.edge import Face
from sidecar.api.recipients import have_libraries
from sidecar.blame import Blame
from sidecar.canonical import CanonicalLine
from sidecar.config import Config
from sidecar.delivery.clock import Clock, SystemClock
from sidecar.delivery.errors import ConfigError
from sidecar.delivery.link import Link
from sidecar.delivery.provider import Provider
from sidecar.dispatcher import Dispatcher
from sidecar.front import Front
from sidecar.guests import close_all, open_all
from sidecar.lag import LoopWatch
from sidecar.lasting import Lasting
from sidecar.listeners import ListenError
from sidecar.metrics import Metrics
from sidecar.money.books import Books
from sidecar.money.statement import spent_by
from sidecar.observers import Observers
from sidecar.preflight import Preflight
from sidecar.privacy import Fingerprint
from sidecar.registry import Registry
from sidecar.reload import Changes, Load, Reloader
from sidecar.rotation import Rotation
from sidecar.store import LogError, LogUnavailable
from sidecar.surroundings import Surroundings
from sidecar.tokens import TokenFile
from sidecar.upkeep import keep_tidy, make_log, open_books, why_not_writable
from sidecar.world import World, build_world, changes_between, refuse_broken, with_fixed

READY_CACHE = 1.0
"""Seconds that an answer of the log to a readiness probe is believed."""
LAST_SECONDS = 2.0
"""Seconds, after the drain, until the process ends in any case."""


class StartError(Exception):
    """The process cannot start for a reason outside its configuration; one line for a person."""


class Sidecar:
    """Everything that runs: the world, the log, the dispatcher and the listeners.

    `config` is the configuration in effect; a reload changes it.
    """

    def __init__(
        self,
        config: Config,
        registry: Registry,
        *,
        load: Load | None = None,
        surroundings: Surroundings | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`load` reads the configuration anew; without it there is no reload."""
        self.config = config
        self._clock = clock or SystemClock(logs.clock_jumped)
        self._surroundings = surroundings or Surroundings({})
        load_or_keep = load or (lambda: config)
        self._reloader = Reloader(config, load_or_keep, self._apply, self._clock)
        self._reloads = load is not None
        self._retiring: set[asyncio.Task[None]] = set()
        self._metrics = Metrics()
        self.alerts = Bureau(config, self.links, self._clock, self._metrics)
        for observer in (CanonicalLine(), self._metrics, self.alerts.lookout):
            registry.register(observer)
        self._observers = Observers(registry)
        transport.use(config.http_client)
        books = Books(self._clock, self.alerts.tell)
        self._world = build_world(config, self._clock, books=books)
        self._metrics.watch_money(self._world.books, self.links)
        self._preflight = Preflight(
            lambda: self._world,
            self._clock,
            tell=self.alerts.tell,
            spent=lambda name: spent_by(self._world.links.get(name)),
        )
        self._rotation = Rotation(
            registry, self._reloader, load_or_keep, self._clock, lambda: self._world
        )
        self._log = make_log(config)
        self.watch = LoopWatch(self._clock, Blame(self.links, registry.home_of).look)
        self._metrics.loop_lag.set_function(lambda: self.watch.longest_lag)
        self._stack = AsyncExitStack()
        self._stack.callback(self.watch.stop)
        self._ready: tuple[float, str | None] = (float("-inf"), None)
        self._stopping = False

    load_the_rest = staticmethod(have_libraries)
    """What the first sends need and the start does not wait for; to be done in a thread."""

    async def start(self, failing: Callable[[StartError], None] = lambda _: None) -> None:
        """Open the log, the providers, then the listeners. Raises `StartError`.

        `failing` hears of it before anything is closed again, which a plugin may hold up.
        """
        try:
            await self._open_log()
            await open_all(self.links())
            await self._listen()
            if self._reloads:
                self._rotation.watch(self._world)
                self._keep(self._reloader.run)
                self._keep(self._rotation.run)
            self._keep(self._preflight.run)
        except BaseException as error:
            if isinstance(error, StartError):
                failing(error)
            await self._stack.aclose()
            raise

    @property
    def addresses(self) -> list[str]:
        """Where it listens, the API's own listener first."""
        return self._front.addresses

    @property
    def longest_end(self) -> float:
        """Seconds from the signal to stop until the process has ended, whatever a plugin does."""
        return self.config.server.drain_delay + self.config.server.drain + LAST_SECONDS

    async def stop(self) -> None:
        """Finish what is under way, within the drain time, and close everything."""
        server = self.config.server
        self._stopping = True
        await asyncio.sleep(server.drain_delay)
        self.alerts.hurry(server.drain)
        if not await self._dispatcher.drain(server.drain):
            await self._dispatcher.stop()  # before the listeners: each caller gets its answer
        await self._stack.aclose()

    async def _open_log(self) -> None:
        had_rows = _is_filled(Path(self.config.log.path))
        try:
            recovered = await self._log.open()
            self._stack.push_async_callback(self._log.close)
            await open_books(self._world.books, self._log)
        except (LogError, LogUnavailable) as error:
            raise StartError(str(error)) from error
        self._stack.push_async_callback(self.alerts.close)
        self.alerts.start()
        try:
            fingerprint = Fingerprint.beside(self.config.log.path)
        except OSError as error:
            raise StartError(f"cannot use {self.config.log.path}.key: {error.strerror}") from error
        if had_rows and fingerprint.is_new:
            structlog.get_logger().warning(
                "log_key_lost",
                effect="no key of before is known: a retry of an earlier send sends again",
                do=f"restore {self.config.log.path}.key beside the log, and start again",
            )
        if recovered.deliveries:
            structlog.get_logger().warning(
                "recovered", attempts=recovered.attempts, deliveries=recovered.deliveries
            )
        self._dispatcher = Dispatcher(
            self._log,
            fingerprint,
            self._world.routes(),
            self._clock,
            self._observers.delivery_ended,
        )
        self._metrics.watch(self._dispatcher, self.links, lambda: self._reloader.state)
        self._keep(partial(keep_tidy, self._log, self._clock, lambda: self.config.log.retention))
        sends = self._dispatcher
        self._keep(partial(memory.watch, lambda: sends.begun, lambda: sends.under_way))
        self._stack.push_async_callback(self._close_providers)
        self._stack.push_async_callback(self._dispatcher.stop)

    def links(self) -> Iterable[Link]:
        """Every declared provider, in the file's order."""
        return self._world.links.values()

    async def _listen(self) -> None:
        server = self.config.server
        self._door = Door(server.allowed_hosts, self._token(server.token_file))
        face = Face(
            dispatcher=self._dispatcher,
            door=self._door,
            metrics=self._metrics,
            watch=self.watch,
            world=lambda: self._world,
            ready=self._why_not_ready,
            reloads=lambda: self._reloader.state,
            alerts=self.alerts.active,
        )
        self._front = Front(face, server, self.config.limits.in_flight, self._metrics.shed)
        self._stack.push_async_callback(self._front.close)
        self.watch.start()  # before the first request: what waited in the socket is told by it
        try:
            await self._front.open()
        except ListenError as error:
            raise StartError(str(error)) from error

    def _token(self, path: Path | None) -> TokenFile | None:
        try:
            return TokenFile(path, logs.redactor.add_tokens) if path else None
        except (OSError, ValueError) as error:
            raise StartError(f"cannot use server.token_file: {error}") from error

    async def _why_not_ready(self) -> str | None:
        if self._stopping:
            return "shutting down"
        if self.config.log.unavailable == "degrade":
            return None
        now = self._clock.monotonic()
        if now - self._ready[0] >= READY_CACHE:
            self._ready = (now, await why_not_writable(self._log))
        return self._ready[1]

    async def _close_providers(self) -> None:
        await close_all(self._world.providers())
        if self._retiring:
            await asyncio.wait(self._retiring)

    def _keep(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let `work` run until the end of everything."""
        self._stack.push_async_callback(Lasting(work).end)

    # Reload

    def reload(self) -> None:
        """Read the configuration and its secrets anew, as soon as possible."""
        self._rotation.expire()
        self._reloader.ask()

    async def _apply(self, wanted: Config) -> Changes:
        """Go over to another configuration. Raises `ConfigError`; then nothing has changed."""
        before = self._world
        config, fixed = with_fixed(wanted, self.config)
        logs.redactor.add(config.secrets)
        self._surroundings.share(config.environ)
        try:
            token = self._token(config.server.token_file)
            config = await self._rotation.rehearse(config)
            world = build_world(config, self._clock, before)
            await self._open_new(world, before)
        except BaseException as error:
            self._surroundings.share(self.config.environ)
            if isinstance(error, StartError):
                raise ConfigError(f"{config.path}: {error}") from error
            raise
        self._go_over(world)
        self._door.renew(config.server.allowed_hosts, token)
        return {**changes_between(before, world), **({"needs_restart": fixed} if fixed else {})}

    async def _open_new(self, world: World, before: World) -> None:
        """Open what is new in `world`; where that fails, close it again. Raises `ConfigError`."""
        new = world.providers() - before.providers()
        try:
            await open_all(link for link in world.links.values() if link.provider in new)
            refuse_broken(world, before)
        except BaseException:
            await close_all(world.providers() - before.providers())
            raise

    def _go_over(self, world: World) -> None:
        # In one go, without a wait: a send sees the one version or the other.
        before, self._world, self.config = self._world, world, world.config
        world.succeed(before)
        self.alerts.renew(world.config)
        self._rotation.watch(world)
        self._dispatcher.routes = world.routes()
        self._preflight.look_again()
        gone = before.providers() - world.providers()
        if gone:
            retiring = asyncio.create_task(self._retire(gone, self._dispatcher.tasks()))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)

    async def _retire(self, gone: set[Provider[Any]], sends: Collection[asyncio.Task[Any]]) -> None:
        """Close providers that are no more, once the sends that may still use them have ended."""
        if sends:
            await asyncio.wait(sends)  # each has a deadline, so this ends
        await close_all(gone)


def _is_filled(log: Path) -> bool:
    """Whether it is there and not empty; one that cannot be looked at says so when it is opened."""
    try:
        return log.stat().st_size > 0
    except OSError:
        return False
