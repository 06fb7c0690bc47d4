"""What the process does without being asked."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from sidecar import app, upkeep
from sidecar.config import load
from sidecar.delivery.model import Delivery, Status
from sidecar.registry import Registry
from sidecar.store import Claim
from sidecar.testing import ManualClock

DAY = 86_400.0
TEXT = """
log: {path: ':memory:', retention: 30d}
providers: {console: {}}
chains: {sms: [console]}
"""


async def test_deliveries_older_than_the_retention_are_pruned(tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep, "INTERVAL", 0.0)
    path = tmp_path / "providers.yaml"
    path.write_text(TEXT)
    registry = Registry()
    config = load(path, environ={}, provider_class=registry.provider_class)
    clock = ManualClock(start=100 * DAY)
    sidecar = app.Sidecar(config, registry, clock=clock)
    log = sidecar._log
    await log.open()
    for name, age in (("old", 31 * DAY), ("young", 29 * DAY)):
        at = clock.time() - age
        claimed = await log.claim(Claim(name, "sms", "otp", "", "", "", at), keep_keys=DAY)
        await log.finish(claimed, Delivery(name, "sms", "otp", Status.ACCEPTED, at, at))
    pruning = asyncio.create_task(upkeep.keep_tidy(log, clock, lambda: config.log.retention))
    while await log.get("old") is not None:  # noqa: ASYNC110  # pruning tells nobody
        await asyncio.sleep(0)
    assert await log.get("young") is not None
    pruning.cancel()


async def test_background_work_that_dies_is_told_at_once(tmp_path, monkeypatch):
    async def keep_tidy(*_):
        raise ZeroDivisionError("+14155550123")

    monkeypatch.setattr(app, "keep_tidy", keep_tidy)
    path = tmp_path / "providers.yaml"
    path.write_text(TEXT + "server: {listen: 127.0.0.1:0}")
    registry = Registry()
    config = load(path, environ={}, provider_class=registry.provider_class)
    sidecar = app.Sidecar(config, registry)
    with capture_logs() as told:
        await sidecar.start()
        await asyncio.sleep(0)
        (line,) = [line for line in told if line["event"] == "work_ended"]
        await sidecar.stop()
    assert line["error"].startswith("ZeroDivisionError at test_app.py:")
    assert "keep_tidy" in line["work"]
    assert [one["event"] for one in told].count("work_ended") == 1


async def test_the_loop_is_watched_before_anybody_can_ask(tmp_path, monkeypatch):
    path = tmp_path / "providers.yaml"
    path.write_text(TEXT + "server: {listen: 127.0.0.1:0}")
    registry = Registry()
    config = load(path, environ={}, provider_class=registry.provider_class)
    clock = ManualClock()
    sidecar = app.Sidecar(config, registry, clock=clock)
    came_in = []
    really = app.Front.open

    async def standing_still(front):
        before = clock.monotonic()
        clock.advance(3.0)
        came_in.append((before, sidecar.watch.arrival(lambda: None)))
        await really(front)

    monkeypatch.setattr(app.Front, "open", standing_still)
    await sidecar.start()
    await sidecar.stop()
    ((before, arrival),) = came_in
    assert arrival == before
