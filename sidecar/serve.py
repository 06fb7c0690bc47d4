"""The life of the process: signals, the first line, and an end that nothing can hold up."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

import structlog

from sidecar import __version__, lines, logs
from sidecar.app import LAST_SECONDS, Sidecar, StartError
from sidecar.config import remarks
from sidecar.delivery.arithmetic import own_arithmetic
from sidecar.process import harden
from sidecar.runner import LastResort
from sidecar.streams import let_go_of

LAST_MOMENT = 1.0
"""Seconds, after everything was closed, for tasks that a plugin left behind."""
INVITATION = """\
Listening on {where} - try:
  curl -sS {where}/v1/send -H 'Content-Type: application/json' \\
    -d '{{"channel": "sms", "to": "+14155550123", "text": "Your code is 482913"}}'
"""


async def serve(sidecar: Sidecar, started: float) -> None:
    """Run until SIGTERM or SIGINT; a second signal ends it at once.

    `started` is when the process began (monotonic), for the time to ready. Where it cannot start,
    it says why and raises SystemExit with 69.
    """
    harden()
    own_arithmetic()  # plugins have been loaded
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.loop_trouble)
    # Futures and no tasks: a plugin may cancel every task there is.
    first, second = loop.create_future(), loop.create_future()
    last_resort = LastResort()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _set_one_of, first, second)
        # Heard between two steps of Python, so also while a plugin blocks the loop.
        signal.signal(number, _bound_the_end(last_resort, sidecar))
        signal.siginterrupt(number, False)
    # Its default would end the process.
    loop.add_signal_handler(signal.SIGHUP, sidecar.reload)
    await _started(sidecar, last_resort)
    _spare_the_collector()
    _announce(sidecar, time.monotonic() - started)
    loading = loop.run_in_executor(None, sidecar.load_the_rest)
    loading.add_done_callback(partial(_end_where_it_failed, first))
    await first
    structlog.get_logger().info("stopping")
    await _stop(sidecar, second)
    structlog.get_logger().info("stopped")
    lines.flush()
    let_go_of("stdout")
    last_resort.within(LAST_MOMENT)
    await _end_the_rest()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # The loop takes its handlers along when it is closed, and the default is death by signal.
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)  # the end is bounded, and a moment away
    if loading.done():
        loading.result()  # raises where that is why it ended


def _end_where_it_failed(first: asyncio.Future[None], loading: asyncio.Future[None]) -> None:
    if loading.exception() is not None and not first.done():
        signal.raise_signal(signal.SIGTERM)  # whose end is in order, and bounded


def _set_one_of(first: asyncio.Future[None], second: asyncio.Future[None]) -> None:
    if not second.done():
        (second if first.done() else first).set_result(None)


async def _stop(sidecar: Sidecar, hurry: asyncio.Future[None]) -> None:
    """Stop, and begin it anew where a plugin has cancelled it; `hurry` ends the process."""
    while True:
        stopping = asyncio.create_task(sidecar.stop(), name="stop")
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            lines.flush()
            os._exit(0)  # asked twice: the log is written ahead, the next start closes what is open
        if not stopping.cancelled():
            return stopping.result()


async def _started(sidecar: Sidecar, last_resort: LastResort) -> None:
    def failing(error: StartError) -> None:
        # Said at once: a plugin may hold up the end, and then it is cut off.
        sys.stderr.write(f"{logs.redactor.clean(str(error))}\n")
        last_resort.within(LAST_SECONDS, os.EX_UNAVAILABLE)

    try:
        await sidecar.start(failing)
    except StartError:
        sys.exit(os.EX_UNAVAILABLE)


def _bound_the_end(last_resort: LastResort, sidecar: Sidecar) -> Callable[..., None]:
    """A signal's handler: the first bounds the time to the end, a second one ends it now."""
    bounds = iter((lambda: sidecar.longest_end,))
    return lambda *_: last_resort.within(next(bounds, lambda: 0.0)())


def _spare_the_collector() -> None:
    """What was imported and built by now stays: no collection need look at it again.

    There was none since the process began (`sidecar.__main__`), and there is none now: for 40 ms of
    everybody's start it would find some 2,000 small objects. How often it looks at what comes
    later is `sidecar.memory`'s.
    """
    gc.freeze()
    gc.enable()


async def _end_the_rest() -> None:
    """End what is left; `asyncio.run` would wait for ever for a plugin that cannot be cancelled."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest and (await asyncio.wait(rest, timeout=LAST_MOMENT))[1]:
        lines.flush()
        os._exit(0)


def _announce(sidecar: Sidecar, seconds: float) -> None:
    """The first line: what runs, with which chains, where."""
    config = sidecar.config
    for link in sidecar.links():
        if link.broken:
            structlog.get_logger().error("provider_broken", provider=link.name, reason=link.broken)
    logs.remark(remarks(config))
    structlog.get_logger().info(
        "ready",
        version=__version__,
        environment=config.environment,
        config=str(config.path),
        digest=config.digest,
        chains={name: list(chain.providers) for name, chain in config.chains.items()},
        not_configured={n: list(p.missing) for n, p in config.providers.items() if p.missing},
        listen=sidecar.addresses,
        ready_ms=round(seconds * 1000),
    )
    where = sidecar.addresses[0]
    if sys.stdout.isatty() and where.startswith("http"):
        lines.flush()
        sys.stderr.write(INVITATION.format(where=where))
