"""The daemon: its providers, its ports, and its end."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from faultd.certificates import make_contexts
from faultd.control import Control, Trap
from faultd.eum import Eum
from faultd.ledger import Ledger
from faultd.mail import Mail
from faultd.standin import StandIn
from faultd.vendors import VENDORS
from faultd.web import Web

HTTP = {**VENDORS, "eum": Eum}
KINDS = (*HTTP, "smtp")
PARENT_CHECK = 0.5
"""Seconds between two looks at who the parent is."""


class Daemon:
    """Every provider of `names` (name and kind), in `directory`: `ca.pem` and `ledger.jsonl`.

    Make it on a running event loop.
    """

    def __init__(self, directory: Path, names: Iterable[tuple[str, str]]) -> None:
        self.ledger = Ledger(directory / "ledger.jsonl")
        self.standins: dict[str, StandIn] = {}
        self.control = Control(self)
        self.trap = Trap(self)
        self._contexts = make_contexts(directory)
        for name, kind in names:
            self.add(name, kind)
        self.control.listener.open()
        self.trap.listener.open()

    def add(self, name: str, kind: str) -> None:
        """One more provider; raises ValueError for a name that is taken, or no kind of ours."""
        if name in self.standins or kind not in KINDS:
            raise ValueError(f"{name} cannot be added as {kind}")
        speaker = Mail() if kind == "smtp" else Web(HTTP[kind]())
        standin = StandIn(name, kind, speaker, self._contexts, self.ledger)
        standin.trap_url = self.trap.url
        standin.open()
        self.standins[name] = standin

    def describe(self) -> dict[str, Any]:
        """Who is here: kind and ports by name."""
        return {
            name: {"kind": one.kind, "plain": one.plain.port, "tls": one.tls.port}
            for name, one in self.standins.items()
        }

    async def close(self) -> None:
        listeners = (self.control.listener, self.trap.listener)
        await asyncio.gather(
            *(one.close() for one in self.standins.values()), *(one.close() for one in listeners)
        )
        self.ledger.close()


async def run(directory: Path, names: Iterable[tuple[str, str]], *, watch_stdin: bool) -> None:
    """Serve until the parent is gone; the first line of stdout has the control port."""
    parent = os.getppid()  # before it can read that line and go
    daemon = Daemon(directory, names)
    sys.stdout.write(f'{{"control": {daemon.control.listener.port}}}\n')
    sys.stdout.flush()
    try:
        await _orphaned(parent, watch_stdin=watch_stdin)
    finally:
        await daemon.close()


async def _orphaned(parent: int, *, watch_stdin: bool) -> None:
    """Until stdin ends (its other end is the parent's) or the process has another parent."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(ended.set)

    if watch_stdin:
        threading.Thread(target=read, daemon=True).start()
    while os.getppid() == parent and not ended.is_set():
        try:
            async with asyncio.timeout(PARENT_CHECK):
                await ended.wait()
        except TimeoutError:
            continue
