"""The course of a soak: storms and kills, then one long life that is measured at both its ends."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from faultd.client import Faultd
from harness import oracle
from soak import clocks, verdict
from soak.hostile import Hostile
from soak.observer import Observer, circuits, smtp_and_other
from soak.service import BY_TLS, CHAINS, DEADLINE, KINDS, OPEN_AT_MOST, Service, Usage
from soak.traffic import Heard, Lag, Traffic
from soak.weather import Weather, forgotten

LEAST = 90.0
"""Seconds: a shorter soak has no time for what it must do."""
SETTLE = 30.0
"""Seconds for every key to have its final answer, and for what is under way to end."""
KEPT = 40.0
"""Seconds until no provider keeps a connection: each client closes those of 15 s in 30 s."""
LONGEST_SKIP = 5.0
"""Seconds that a throttled provider is skipped where it names no time, or nonsense."""
OUTAGE = 4.0
_TOLD = ("key", "channel", "deadline", "seconds", "lag", "began", "at")
EVIDENCE = 8
"""Breaches of one invariant that are printed."""
FEWEST = {
    "clock jumps": 10,
    "kills": 2,
    "faults": 10,
    "reloads": 3,
    "refused reloads": 1,
    "stops": 2,
    "sends": 200,
}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def soak(seconds: float, seed: int, rate: float, keep: Path | None = None) -> int:
    say(f"soak of {seconds:.0f} s, SEED={seed} repeats its decisions")
    providers = {name: BY_TLS.get(name, False) for name in KINDS}
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        home = Path(directory)
        faultd = await asyncio.to_thread(Faultd, home)
        try:
            for name, kind in KINDS.items():
                faultd.add(name, kind) if name not in faultd.providers else None
            run = Run(home, faultd, providers, seed, rate)
            try:
                await run.course(seconds)
            finally:
                await run.close()
            code = run.report()
            if code and keep is not None:
                run.keep(keep)
            return code
        finally:
            faultd.close()


LONGEST_ATTEMPT = 1.2
"""Seconds of the longest timeout of a provider here, and its grace."""


class Run:
    """One soak. `found` has the breaches of each invariant by its name."""

    def __init__(
        self, home: Path, faultd: Faultd, providers: dict[str, bool], seed: int, rate: float
    ) -> None:
        self.found: dict[str, list[str]] = {}
        self._seed = seed
        self._faultd = faultd
        self._home = home
        self._chance = random.Random(seed)
        (home / "sidecar").mkdir()
        self._service = Service(home / "sidecar", home / "api", faultd)
        self._ports = {
            ports[how]: name for name, ports in faultd.providers.items() for how in ("plain", "tls")
        }
        self._lag = Lag(self._service)
        self._traffic = Traffic(self._service, self._lag, self._dice(), rate)
        self._weather = Weather(faultd, providers, self._dice())
        self._observer = Observer(self._service, self._ports)
        self._hostile = Hostile(str(home / "api"), self._dice())
        self._baseline: Usage | None = None
        self._at_last: Usage | None = None
        self._unwell: list[str] = []
        self._unsettled: list[str] = []
        self._crossed: list[str] = []
        self._jumped: list[str] = []
        self._trouble: list[str] = []

    def _dice(self) -> random.Random:
        # Each of those who decide has its own, so that one's timing does not change another's.
        return random.Random(self._chance.randrange(10**9))

    # The course

    async def course(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        await self._service.begin()
        self._trouble += await asyncio.to_thread(self._service.refused_starts)
        idle = KEPT + OUTAGE + 5.0  # what is spent on looking, at the end of the last life
        async with self._background(self._lag.run, self._traffic.flow, self._observer.run):
            storm = max(30.0, 0.45 * (seconds - idle))
            async with self._storm():
                self._traffic.flowing.set()
                await self._mortal(storm)
            await self._service.restart()
            self._traffic.flowing.set()
            await self._weather.all_forms(max(12.0, min(60.0, seconds / 10)))
            async with self._storm():
                await asyncio.sleep(3.0)
            await self._weather.heal()
            self._baseline = await self._measure(kept=True)
            self._traffic.flowing.set()
            async with self._storm():
                await asyncio.sleep(max(10.0, end - time.monotonic() - idle))
            await self._get_well()
            await self._one_chain_alone()
            await self._weather.heal()
            self._at_last = await self._measure(kept=False)
        await self._service.stop()
        await self._judge()

    async def _mortal(self, seconds: float) -> None:
        """Lives that end by SIGKILL or SIGTERM, at least twice by each."""
        dice, end = self._dice(), time.monotonic() + seconds
        deaths = [
            self._service.kill,
            self._service.restart,
            lambda: self._service.kill(amid_reload=True),
        ]
        number = 0
        while (left := end - time.monotonic()) > 0 or number < len(deaths):
            share = max(seconds / 5, 0.1) if number < len(deaths) else dice.uniform(5.0, 30.0)
            await asyncio.sleep(max(0.2, min(left, share * dice.uniform(0.6, 1.2))))
            await (deaths[number] if number < len(deaths) else dice.choice(deaths))()
            number += 1

    @asynccontextmanager
    async def _storm(self) -> AsyncIterator[None]:
        async with self._background(
            self._change_weather, self._reload, self._molest, self._set_clocks
        ):
            yield

    async def _change_weather(self) -> None:
        dice = self._dice()
        while True:
            await asyncio.sleep(dice.uniform(0.1, 0.9))
            await self._weather.change()

    async def _set_clocks(self) -> None:
        await self._service.clock.wander(self._dice())

    async def _molest(self) -> None:
        dice = self._dice()
        while True:
            await asyncio.sleep(dice.uniform(0.1, 0.8))
            await self._hostile.one()

    async def _reload(self) -> None:
        dice, service = self._dice(), self._service
        while True:
            await asyncio.sleep(dice.uniform(0.5, 3.0))
            if not service.up:
                continue
            match dice.randrange(6):
                case 0:
                    await service.reload_badly(dice)
                case 1:
                    await service.reload(service.write(timeout=dice.choice((0.6, 0.8, 1.0))))
                case 2:
                    chains = {c: dice.sample(chain, len(chain)) for c, chain in CHAINS.items()}
                    await service.reload(service.write(chains))
                case 3:
                    chains = {c: dice.sample(chain, 2) for c, chain in CHAINS.items()}
                    await service.reload(service.write(chains))
                case 4:
                    sender = f"codes{dice.randrange(1000)}@example.com"
                    await service.reload(service.write(sendgrid_a=sender, smtp_a=sender))
                case _:
                    await service.reload(service.write(), hups=20)

    async def _get_well(self) -> None:
        """I7: within the longest time that a circuit is open, and two probes, the first is used."""
        await self._service.reload(self._service.write())
        await self._weather.heal()
        healed = time.monotonic()
        await asyncio.sleep(LONGEST_ATTEMPT)  # what was begun in the storm may still fail
        bound = max(OPEN_AT_MOST * 1.1, LONGEST_SKIP) + 2 * 0.8 + oracle.BUSY_MACHINE
        while not await self._is_well():
            if time.monotonic() - healed > bound:
                self._unwell.append(
                    f"not well {bound:.1f} s after the last fault: {self._states()}"
                )
                return
            await asyncio.sleep(0.05)

    async def _is_well(self) -> bool:
        health = await self._observer.health()
        self._last_states = circuits(health)
        firsts = [chain["providers"][0] for chain in health["chains"].values()]
        return all(one["circuit"]["state"] == "closed" and one["usable"] for one in firsts)

    def _states(self) -> str:
        return str(self._last_states)

    async def _one_chain_alone(self) -> None:
        """I10: one channel's providers all fall silent, and the other channel notices nothing."""
        began = time.monotonic()
        await self._weather.silence(list(CHAINS["email"]))
        await asyncio.sleep(OUTAGE)
        service, traffic = self._service, self._traffic
        self._jumped += await clocks.moved(service.clock, self._observer.health, self._lag.since)
        self._jumped += await clocks.forgotten_keys(service.clock, traffic.heard, traffic.again)
        ended = time.monotonic()
        sms = [
            one
            for one in self._traffic.heard
            if one.channel == "sms" and one.began >= began and one.began + one.seconds <= ended
        ]
        if not sms:
            self._crossed.append("no text was asked for while the other chain was out")
        self._crossed += verdict.disturbed(sms, CHAINS["sms"][0])

    async def _measure(self, *, kept: bool) -> Usage:
        """What it holds once nothing is under way; unless `kept`, nor any connection kept."""
        if not await self._traffic.settle(SETTLE):
            self._unsettled.append(f"{self._traffic.open} keys had no final answer")
        give_up = time.monotonic() + KEPT
        while time.monotonic() < give_up:
            usage = self._service.usage()
            _, other = smtp_and_other(list(usage.peers), self._ports)
            busy = await self._observer.busy()
            if not busy and (kept or not other):
                break
            await asyncio.sleep(0.5)
        else:
            held = Counter(self._ports.get(port, "?") for _, port in usage.peers)
            self._unsettled.append(f"long after the last send: {busy}, connections {dict(held)}")
        tasks = (await self._observer.health())["loop"]["tasks"]
        looks = (self._service.usage(tasks) for _ in range(5))
        return min(looks, key=lambda one: one.descriptors)

    @asynccontextmanager
    async def _background(self, *works: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Each of `works` beside what is done within; what one raises is raised here."""
        tasks = [asyncio.ensure_future(work()) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome

    async def close(self) -> None:
        await self._traffic.close()
        if self._service.lives and self._service.life.process.poll() is None:
            await asyncio.to_thread(self._service.life.kill)

    # The verdict

    async def _judge(self) -> None:
        service, observer, heard = self._service, self._observer, self._traffic.heard
        ledger = await asyncio.to_thread(self._faultd.ledger)
        files = [service.life.errors, service.database]
        files += [
            path
            for path in service.database.parent.iterdir()
            if path.name.startswith(f"{service.database.name}-")
        ]
        printed = [("stdout", "".join(life.raw).encode()) for life in service.lives]
        counts = {name: self._faultd.counts(name) for name in KINDS}
        last = self._at_last or service.usage()
        smtp, other = smtp_and_other(list(last.peers), self._ports)
        rules: dict[str, Iterable[str]] = {
            "I1 no key is accepted twice, nor called unsent": verdict.twice(heard, ledger),
            "I2 a success is in the ledger": oracle.unbacked(heard, ledger),
            "I3 every row has its end": [
                *self._unsettled,
                *oracle.unended(service.database),
                *oracle.unlogged(heard, service.database),
            ],
            "I4 no secret, code or recipient is told": [
                *observer.leaks,
                *verdict.leaked(heard, [*self._hostile.said, *printed], files),
            ],
            "I5 what surely was not sent goes on": verdict.gave_up(heard, service.versions),
            "I6 no circuit opens for a neutral outcome": verdict.opened_for_nothing(service),
            "I7 well again by itself": self._unwell,
            "I8 no answer is late": verdict.late(heard),
            "I9 the loop never stalls": verdict.stalled(service, observer.lags, self._lag),
            "I10 one chain does not stop another": self._crossed,
            "I11 nothing grows": verdict.grew(self._baseline, last, smtp, other),
            "I12 only configured hosts": [*observer.strange_peers, *oracle.followed(counts)],
            "I13 it ends as it should": [*self._trouble, *verdict.ended_badly(service)],
            "I14 one version for a request": [
                *service.faults,
                *verdict.foreign_order(heard, service.versions),
            ],
            "I15 the wall clock may jump": [
                *self._jumped,
                *clocks.longer_lives(service.database, service.began, time.time(), DEADLINE),
            ],
            "I16 no 500": verdict.crashed(heard, self._hostile.said),
            "I17 gauges are the state": observer.wrong_gauges,
            "I18 the core is deterministic": await asyncio.to_thread(
                lambda: list(clocks.unsure(service.database, self._seed))
            ),
            "I19 the books are the bill": verdict.misbooked(service, ledger),
            "probes stay green": observer.red,
            "the soak was one": self._was_one(),
        }
        self.found = {name: list(breaches) for name, breaches in rules.items()}

    def _was_one(self) -> list[str]:
        done = self._done()
        few = [f"only {done[name]} {name}" for name, least in FEWEST.items() if done[name] < least]
        few += [f"the fault {name} has no form here" for name in forgotten()]
        if self._observer.looks < 10 or not self._observer.lags:
            few.append(f"only {self._observer.looks} looks at it")
        if not verdict.events(self._service, "clock_jumped"):
            few.append("no sidecar saw the clock jump")
        errors = self._faultd.errors.read_text()
        if "/faultd/" in errors:  # not asyncio's own complaint of a reset in the handshake
            few.append(f"the daemon failed: {errors[-500:]}")
        return few

    def _done(self) -> dict[str, int]:
        service = self._service
        return {
            "sends": self._traffic.keys,
            "requests": len(self._traffic.heard),
            "faults": self._weather.switched,
            "reloads": service.reloads,
            "refused reloads": service.refusals,
            "clock jumps": service.clock.jumps,
            "kills": service.kills,
            "stops": len(service.exits),
            "hang-ups": self._traffic.hung_up,
            "hostile requests": self._hostile.sent,
            "looks": self._observer.looks,
            "held back": self._traffic.held_back,
            "looks with a slow log": self._observer.slow_log,
        }

    def keep(self, directory: Path) -> None:
        """What the sidecar wrote, and what its clients were told, for who looks for the fault."""
        shutil.copytree(self._home, directory, dirs_exist_ok=True, ignore=_sockets)
        for number, life in enumerate(self._service.lives):
            (directory / f"life-{number}.jsonl").write_text("".join(life.raw))
        with (directory / "heard.jsonl").open("w") as file:
            for one in self._traffic.heard:
                said = one.answer and [one.answer.status, one.answer.headers, one.document]
                fields = {name: getattr(one, name) for name in _TOLD}
                file.write(json.dumps({**fields, "began_at": one.at - one.seconds, "said": said}))
                file.write("\n")

    def report(self) -> int:
        """Print what was done and found; the exit code."""
        say(", ".join(f"{count} {what}" for what, count in self._done().items()))
        say(f"answers: {_statuses(self._traffic.heard)}")
        say(f"at first {self._baseline}; at last {self._at_last}")
        lag = max(self._observer.lags, default=0.0)
        say(
            f"longest lag of its loop {lag:.3f} s, of this process {self._lag.longest:.3f} s; "
            f"it waited {self._lag.starved:.3f} s for a CPU in {self._lag.SPAN:.0f} s"
        )
        failed = {name: breaches for name, breaches in self.found.items() if breaches}
        for name, breaches in failed.items():
            say(f"FAILED {name}: {len(breaches)}")
            for breach in breaches[:EVIDENCE]:
                say(f"  {breach[:1000]}")
        if failed:
            say(f"SEED={self._seed} repeats its decisions")
        say(f"{len(self.found) - len(failed)} passed, {len(failed)} failed")
        return int(bool(failed))


def _sockets(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(directory) / name).is_socket()]


def _statuses(heard: Iterable[Heard]) -> str:
    counted = Counter(one.answer.status if one.answer else "none" for one in heard)
    return ", ".join(f"{count} x {status}" for status, count in counted.most_common())
