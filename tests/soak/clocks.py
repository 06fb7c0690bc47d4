"""I15 and I18: the wall clock is set while it runs, and the core is played twice."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import oracle
from harness.replay import STEPS, Script, play
from soak.traffic import Heard
from soak.wallclock import JUMPS, WallClock

ROUNDING = 0.2
"""Seconds within which two looks at a circuit's remaining time must agree, besides the lag."""
RUNS = 40
"""Attempts of each provider that are played again at a time."""
Health = Callable[[], Awaitable[dict[str, Any]]]


async def moved(clock: WallClock, health: Health, lag: Callable[[float], float]) -> list[str]:
    """I15: no jump moves a circuit. To be asked while no reload may touch one."""
    breaches, seen = [], set()
    for jump in (*JUMPS, 0.0):
        began = time.monotonic()
        before = _circuits(await health())
        clock.jump(jump)
        after = _circuits(await health())
        elapsed = time.monotonic() - began
        seen |= {circuit["state"] for circuit in before.values()}
        breaches += differences(before, after, elapsed, ROUNDING + elapsed + lag(began), jump)
    if not {"open", "closed"} <= seen:
        breaches.append(f"the clock jumped past no open and closed circuit, only {seen}")
    return breaches


def _circuits(health: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    chains = health["chains"].values()
    return {one["name"]: one["circuit"] for chain in chains for one in chain["providers"]}


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], elapsed: float, slack: float, jump: float
) -> Iterator[str]:
    """What a jump has done to the circuits, `elapsed` seconds aside."""
    for name, was in before.items():
        now, left = after[name], was["seconds_to_half_open"] or 0.0
        if was["state"] == "open" and left <= elapsed + slack:
            continue  # it may have been tried meanwhile
        if was["state"] == "half_open":
            continue
        if now["state"] != was["state"]:
            yield f"a jump by {jump:.0f} s made {name} {now['state']}; it was {was['state']}"
        elif left and abs(left - elapsed - now["seconds_to_half_open"]) > slack:
            yield f"a jump by {jump:.0f} s: {name} had {left} s left, then {now}"


def longer_lives(database: Path, began: float, ended: float, deadline: float) -> Iterator[str]:
    """I15: no record has the time of a clock that jumped. `began` and `ended` in Unix time."""
    deliveries, attempts = oracle.rows(database)
    for row in attempts:
        if not began - 60 <= row["started_at"] <= ended + 60:
            yield f"an attempt of {row['delivery']} began at {row['started_at']}"
    for row in deliveries:
        if not began - 60 <= row["started_at"] <= ended + 60:
            yield f"{row['id']} began at {row['started_at']}, while it was {began} to {ended}"
        lasted = (row["ended_at"] or row["started_at"]) - row["started_at"]
        # One that a kill cut off is ended by the next start.
        if not 0 <= lasted <= max(deadline, ended - began) + 60:
            yield f"{row['id']} lasted for {lasted} s"


async def forgotten_keys(
    clock: WallClock, heard: Sequence[Heard], ask: Callable[[Heard], Awaitable[Heard]]
) -> list[str]:
    """I15: a key that was answered is known whatever the clock says."""
    known = [one for one in heard if one.answer is not None and one.answer.status == 200][-3:]
    breaches = [] if known else ["no key was answered before the clock jumped"]
    for jump in (*JUMPS, 0.0):
        clock.jump(jump)
        for one in known:
            again = await ask(one)
            if again.document.get("id") != one.document["id"]:
                breaches.append(f"after a jump by {jump:.0f} s {one.key} had {again.answer}")
    return breaches


def unsure(database: Path, seed: int) -> Iterator[str]:
    """I18: what the providers did in this run, played twice into the core, gives one log."""
    _, attempts = oracle.rows(database)
    script: Script = defaultdict(list)
    for row in attempts:
        if row["outcome"] in STEPS:
            script[row["provider"]].append(row["outcome"])
    rounds = max(map(len, script.values()), default=0)
    if not rounds:
        yield "there is nothing to play again"
    for start in range(0, rounds, RUNS):
        part = {name: steps[start : start + RUNS] for name, steps in sorted(script.items())}
        first, second = (asyncio.run(play(part, seed + start)) for _ in range(2))
        if first != second:
            yield f"two logs of one script, from attempt {start} on"
