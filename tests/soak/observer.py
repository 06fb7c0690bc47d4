"""Looks at the running sidecar each second: health, probes, gauges, connections."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Any

from harness.leaks import Scan
from harness.process import Answer, exchange
from soak.service import KINDS, Service

INTERVAL = 1.0
PAGES = ("/health", "/metrics", "/livez", "/readyz")
_BUSY = r"otp_(inflight|zombie_attempts|log_unwritten)\b.* [1-9]"
LOG_IS_SLOW = b"the delivery log cannot be written"


class Observer:
    """`red`, `wrong_gauges`, `strange_peers`, `leaks` are breaches, `lags` what a gauge said."""

    def __init__(self, service: Service, ports: Mapping[int, str]) -> None:
        self.looks = 0
        self.slow_log = 0
        self.red: list[str] = []
        self.wrong_gauges: list[str] = []
        self.strange_peers: list[str] = []
        self.leaks: list[str] = []
        self.lags: list[float] = []
        self._service = service
        self._ports = ports
        self._scan = Scan()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            life = self._service.life
            try:
                if await self.look():
                    self.looks += 1
            except (OSError, HTTPException) as error:
                if self._service.up and life is self._service.life and life.process.poll() is None:
                    self.red.append(f"a running sidecar did not answer: {error!r}")

    async def look(self) -> bool:
        life, up = self._service.life, self._service.up
        before = await self.get("/health")
        pages = {path: await self.get(path) for path in PAGES[1:]}
        after = await self.get("/health")
        for path, answer in {**pages, "/health": after}.items():
            self.leaks += [f"{path}: {found}" for found in self._scan.find(answer.body)]
        if not up or life is not self._service.life or not self._service.up:
            return False
        for path in ("/livez", "/readyz"):
            answer = pages[path]
            if path == "/readyz" and LOG_IS_SLOW in answer.body:
                self.slow_log += 1  # 250 ms on a disk that others use: not the providers' doing
            elif answer.status != 200:
                self.red.append(f"{path} said {answer}")
        await self._compare(before.json, pages["/metrics"].body.decode(), after.json)
        self._look_at_peers()
        return True

    async def _compare(
        self, before: Mapping[str, Any], page: str, after: Mapping[str, Any]
    ) -> None:
        """I17. A circuit that moved while it was looked at proves nothing."""
        for name, state in circuits(before).items():
            gauge = rf'^otp_breaker_state{{provider="{name}",state="(\w+)"}} 1.0$'
            said = re.findall(gauge, page, re.MULTILINE)
            if said != [state] and _stood_still(name, before, after):
                self.wrong_gauges.append(f"{name} is {state}, its gauge says {said}")
        lag = re.search(r"^otp_event_loop_lag_seconds (\S+)$", page, re.MULTILINE)
        if lag:
            self.lags.append(float(lag[1]))

    def _look_at_peers(self) -> None:
        """I12."""
        with suppress(OSError):
            for host, port in self._service.usage().peers:
                if port and (host != "127.0.0.1" or port not in self._ports):
                    self.strange_peers.append(f"connected to {host}, port {port}")

    async def health(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.get("/health")).json
        return found

    async def busy(self) -> list[str]:
        """What is under way, or was abandoned and still runs: lines of the metrics."""
        page = (await self.get("/metrics")).body.decode()
        return [line for line in page.splitlines() if re.match(_BUSY, line)]

    async def get(self, path: str) -> Answer:
        return await asyncio.to_thread(exchange, self._service.where, "GET", path)


def _stood_still(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the circuit was in one state all the time: an open one has less time left now."""
    one, other = (_circuit(name, health) for health in (before, after))
    if one is None or other is None or one["state"] != other["state"]:
        return False
    left, rest = one["seconds_to_half_open"], other["seconds_to_half_open"]
    return one["state"] == "closed" or (left is not None and rest < left)


def _circuit(name: str, health: Mapping[str, Any]) -> dict[str, Any] | None:
    chains = health["chains"].values()
    found = (p["circuit"] for chain in chains for p in chain["providers"] if p["name"] == name)
    return next(found, None)


def circuits(health: Mapping[str, Any]) -> dict[str, str]:
    """The state of each provider's circuit."""
    chains = health["chains"].values()
    return {one["name"]: one["circuit"]["state"] for chain in chains for one in chain["providers"]}


def smtp_and_other(peers: list[tuple[str, int]], ports: Mapping[int, str]) -> tuple[int, int]:
    """How many connections go to SMTP providers, and to others."""
    kinds = [KINDS.get(ports.get(port, ""), "") for _, port in peers if port]
    return kinds.count("smtp"), len(kinds) - kinds.count("smtp")
