"""The composition root: the only file that sees every room."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from aiohttp import web

from sidecar import logs
from sidecar.api.door import Door
from sidecar.api.edge import Face
from sidecar.api.routes import build_api, build_ops
from sidecar.blame import Blame
from sidecar.config import Config, TcpAddress, UnixAddress
from sidecar.delivery.clock import Clock, SystemClock
from sidecar.delivery.link import Link
from sidecar.dispatcher import Dispatcher
from sidecar.guests import close_provider, open_provider
from sidecar.lag import LoopWatch
from sidecar.listeners import ListenError, address_of, open_listener
from sidecar.metrics import Metrics
from sidecar.observers import Observers
from sidecar.privacy import Fingerprint
from sidecar.registry import Registry
from sidecar.store import DeliveryLog, LogError, LogUnavailable
from sidecar.store.memory import MemoryLog
from sidecar.store.sqlite import SqliteLog
from sidecar.tokens import TokenFile
from sidecar.world import build_world

PRUNE_INTERVAL = 60.0
PRUNE_STEP = 500
"""Deliveries removed in one step, so that a send never waits behind a long one."""
READY_CACHE = 1.0
"""Seconds that an answer of the log to a readiness probe is believed."""
LAST_ANSWERS = 1.0
"""Seconds, after the drain, for answers that are being written."""
LAST_SECONDS = 2.0
"""Seconds, after the drain, until the process ends in any case."""
KEEP_ALIVE = 75.0
"""Seconds an idle connection of a caller is kept."""


class StartError(Exception):
    """The process cannot start for a reason outside its configuration; one line for a person."""


class Sidecar:
    """Everything that runs: the world, the log, the dispatcher and the listeners."""

    def __init__(self, config: Config, registry: Registry, clock: Clock | None = None) -> None:
        self.config = config
        self._clock = clock or SystemClock(logs.clock_jumped)
        self._metrics = Metrics()
        for observer in (logs.CanonicalLine(), self._metrics):
            registry.register(observer)
        self._observers = Observers(registry)
        self._world = build_world(config, self._clock)
        self._log = _make_log(config)
        self.watch = LoopWatch(self._clock, Blame(self.links, registry.home_of).look)
        self._metrics.loop_lag.set_function(lambda: self.watch.longest_lag)
        self._stack = AsyncExitStack()
        self._stack.callback(self.watch.stop)
        self._ready: tuple[float, str | None] = (float("-inf"), None)
        self._stopping = False
        self.addresses: list[str] = []

    async def start(self) -> None:
        """Open the log, the providers, then the listeners. Raises `StartError`."""
        try:
            await self._open_log()
            await asyncio.gather(*(open_provider(link) for link in self.links()))
            await self._listen()
        except BaseException:
            await self._stack.aclose()
            raise

    @property
    def longest_end(self) -> float:
        """Seconds from the signal to stop until the process has ended, whatever a plugin does."""
        return self.config.server.drain_delay + self.config.server.drain + LAST_SECONDS

    async def stop(self) -> None:
        """Finish what is under way, within the drain time, and close everything."""
        server = self.config.server
        self._stopping = True
        await asyncio.sleep(server.drain_delay)
        if not await self._dispatcher.drain(server.drain):
            await self._dispatcher.stop()  # before the listeners: each caller gets its answer
        await self._stack.aclose()

    async def _open_log(self) -> None:
        try:
            recovered = await self._log.open()
        except LogError as error:
            raise StartError(str(error)) from error
        self._stack.push_async_callback(self._log.close)
        try:
            fingerprint = Fingerprint.beside(self.config.log.path)
        except OSError as error:
            raise StartError(f"cannot use {self.config.log.path}.key: {error.strerror}") from error
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
        self._metrics.watch(self._dispatcher, self.links)
        pruning = asyncio.create_task(self._keep_pruning())
        self._stack.push_async_callback(_cancelled, pruning)
        self._stack.push_async_callback(self._close_providers)
        self._stack.push_async_callback(self._dispatcher.stop)

    def links(self) -> Iterable[Link]:
        """Every declared provider, in the file's order."""
        return self._world.links.values()

    async def _listen(self) -> None:
        server = self.config.server
        face = Face(
            dispatcher=self._dispatcher,
            door=self._door(),
            metrics=self._metrics,
            watch=self.watch,
            world=lambda: self._world,
            ready=self._why_not_ready,
        )
        listener = await self._serve(build_api(face), server.listen)
        if listener.family != socket.AF_UNIX:
            face.door.ports.add(listener.getsockname()[1])
        if server.ops_listen is not None:
            await self._serve(build_ops(face), server.ops_listen)

    def _door(self) -> Door:
        server = self.config.server
        try:
            token = (
                TokenFile(Path(server.token_file), logs.redactor.add) if server.token_file else None
            )
        except (OSError, ValueError) as error:
            raise StartError(f"cannot use server.token_file: {error}") from error
        return Door(server.allowed_hosts, token)

    async def _serve(self, app: web.Application, where: TcpAddress | UnixAddress) -> socket.socket:
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE,
            shutdown_timeout=LAST_ANSWERS,
        )
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        try:
            listener = open_listener(where)
        except ListenError as error:
            raise StartError(str(error)) from error
        await web.SockSite(runner, listener, backlog=1024).start()
        self.addresses.append(address_of(listener))
        return listener

    async def _why_not_ready(self) -> str | None:
        if self._stopping:
            return "shutting down"
        if self.config.log.unavailable == "degrade":
            return None
        now = self._clock.monotonic()
        if now - self._ready[0] >= READY_CACHE:
            self._ready = (now, await _why_not_writable(self._log))
        return self._ready[1]

    async def _keep_pruning(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_INTERVAL)
            before = self._clock.time() - self.config.log.retention
            try:
                while await self._log.prune(before, PRUNE_STEP) == PRUNE_STEP:
                    pass
            except LogUnavailable:
                structlog.get_logger().warning("prune_failed")

    async def _close_providers(self) -> None:
        await asyncio.gather(*(close_provider(link) for link in self.links()))


def _make_log(config: Config) -> DeliveryLog:
    if config.log.path == ":memory:":
        return MemoryLog()
    gaps = config.log.unavailable == "degrade"
    return SqliteLog(Path(config.log.path), durability=config.log.durability, gaps=gaps)


async def _why_not_writable(log: DeliveryLog) -> str | None:
    try:
        await log.ping()
    except LogUnavailable:
        return "the delivery log cannot be written"
    return None


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
