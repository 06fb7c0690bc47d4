"""The bureau: the lookout, the desk and the courier together, as the process has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping

from sidecar.alerts.courier import Courier
from sidecar.alerts.desk import Case, Desk
from sidecar.alerts.lookout import Lookout
from sidecar.alerts.model import Tell
from sidecar.config import Config
from sidecar.delivery.clock import Clock
from sidecar.delivery.link import Link
from sidecar.lasting import Lasting
from sidecar.metrics import Metrics

LOOK_EVERY = 5.0
"""Seconds between two looks at what is over, or was held back for long enough."""
FLUSH = 2.0
"""Seconds at the end of the process for what was not sent yet."""


class Bureau:
    """Where alerts are told (`tell`), and what makes some of its own (`lookout`, an observer).

    `links` are all declared providers as they stand.
    """

    def __init__(
        self, config: Config, links: Callable[[], Iterable[Link]], clock: Clock, metrics: Metrics
    ) -> None:
        self._clock = clock
        count = metrics.alert_webhook.add
        self._courier = Courier(config.alerts, config.environment, clock, count)
        self._desk = Desk(clock, self._courier.post, metrics.alerts.add)
        metrics.alerts_active.set_function(lambda: len(self._desk))
        self.tell: Tell = self._desk.tell
        chains, patience = _chains(config), config.alerts.fallback_after
        self.lookout = Lookout(self.tell, links, clock, chains, patience)
        self._looking: Lasting | None = None

    def active(self) -> list[Case]:
        """What is bad now, the oldest first."""
        return self._desk.active()

    def start(self) -> None:
        self._courier.start()
        self._looking = Lasting(self._look)

    def renew(self, config: Config) -> None:
        """Another configuration is in effect."""
        self._courier.renew(config.alerts, config.environment)
        self.lookout.fallback_after = config.alerts.fallback_after
        self.lookout.renew(_chains(config))
        self.lookout.look()

    def hurry(self, drain: float) -> None:
        """The process ends, after `drain` seconds at most: send what there is."""
        # With no drain the whole end must come within `app.LAST_SECONDS`.
        self._courier.hurry(min(FLUSH, drain + FLUSH / 2))

    async def close(self) -> None:
        """End; what could not be sent in the time of the hurry is dropped and counted."""
        if self._looking is not None:
            await self._looking.end()
        await self._courier.close()

    async def _look(self) -> None:
        while True:
            await self._clock.wait(asyncio.get_running_loop().create_future(), LOOK_EVERY)
            self.lookout.look()
            self._desk.look()


def _chains(config: Config) -> Mapping[str, Collection[str]]:
    """The names of the providers of each channel."""
    return {channel: one.providers for channel, one in config.chains.items()}
