"""Pre-flight in a box: accounts that say what a test wants, and a clock turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sidecar import AccountReport, AccountState, Message, Provider, ProviderConfig, Receipt
from sidecar.alerts import Alert
from sidecar.config import load
from sidecar.delivery.model import Money
from sidecar.preflight import Preflight
from sidecar.testing import ManualClock
from sidecar.world import World, build_world

READY = AccountReport(AccountState.READY, "fine")
SANDBOX = AccountReport(AccountState.DEGRADED, "the account is in the sandbox")
PAUSED = AccountReport(AccountState.BLOCKED, "sending is paused: resume it", {"left": 0})


class SurveyedConfig(ProviderConfig):
    key: str = "k"


class Surveyed(Provider[SurveyedConfig]):
    """Its `check` gives, raises or calls what `says` has for its name; `asked` are the times."""

    kind = "surveyed"
    channels = frozenset({"sms"})
    Config = SurveyedConfig
    says: dict[str, Any]
    asked: list[str]
    refuses: Callable[[Message, AccountReport], Any]

    async def send(self, message: Message, *, timeout: float) -> Receipt:
        return Receipt("m-1")

    async def check(self, *, timeout: float) -> AccountReport | None:
        self.asked.append(self.name)
        said = self.says.get(self.name, READY)
        if isinstance(said, BaseException):
            raise said
        return await said() if callable(said) else said

    def would_refuse(self, message: Message, report: AccountReport) -> str | None:
        return type(self).refuses(message, report)


class Box:
    """`world(text)` goes over to another version of the file; `told` are the alerts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        self.told: list[Alert] = []
        self.spent: dict[str, Money] = {}
        self.guest = type("Guest", (Surveyed,), {"says": {}, "asked": [], "refuses": _nobody})
        self.says: dict[str, Any] = self.guest.says
        self.asked: list[str] = self.guest.asked
        self._world: World | None = None
        self.running: asyncio.Task[None] | None = None
        self.preflight = Preflight(
            lambda: self.now,
            self.clock,
            tell=self.told.append,
            spent=self.spent.get,
            spread=lambda: 0.0,
        )

    @property
    def now(self) -> World:
        assert self._world is not None
        return self._world

    def world(self, text: str, interval: str = "100s") -> World:
        """`text` is the body of `providers:`, one a line; the chain has them in this order."""
        lines = [line.strip() for line in text.strip().splitlines()]
        names = ", ".join(line.partition(":")[0] for line in lines)
        body = "".join(f"  {line}\n" for line in lines)
        top = f"preflight: {{interval: {interval}, timeout: 10s}}\n"
        self.path.write_text(f"{top}providers:\n{body}chains:\n  sms: [{names}]\n")
        config = load(self.path, environ={}, provider_class=lambda kind: self.guest)
        before, self._world = self._world, build_world(config, self.clock, self._world)
        if before is not None:
            self._world.succeed(before)
            self.preflight.look_again()
        return self._world

    def begin(self, text: str) -> None:
        self.world(text)
        self.running = asyncio.create_task(self.preflight.run())

    def account(self, name: str) -> Any:
        return self.now.links[name].standing.account

    async def pass_by(self, seconds: float) -> None:
        """Let the clock go on, and whatever is due then happen."""
        self.clock.advance(seconds)
        await settled()


def _nobody(message: Message, report: AccountReport) -> None:
    return None


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
