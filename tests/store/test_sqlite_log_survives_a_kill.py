"""kill -9 at any moment: what was acknowledged is there, and nothing stays open (S1, I3)."""

import asyncio
import contextlib
import sqlite3
import sys
from pathlib import Path

from sidecar.delivery.model import Status
from sidecar.store.sqlite import SqliteLog

SENDER = Path(__file__).with_name("send_until_killed.py")
LINES_BEFORE_THE_KILL = [1, 2, 9, 40, 133, 301, 700]
PATIENT = 60.0


async def acknowledged_until_killed(path, prefix, lines):
    """Run the sender, kill it after so many lines, and give the last word on each delivery."""
    sender = await asyncio.create_subprocess_exec(
        sys.executable, SENDER, path, prefix, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENT):
            said = [await sender.stdout.readline() for _ in range(lines)]
    finally:
        sender.kill()
    said += (await sender.stdout.read()).splitlines(keepends=True)
    assert await sender.wait() == -9
    whole = [line.decode().split() for line in said if line.endswith(b"\n")]
    assert len(whole) >= lines
    return {delivery_id: what for what, delivery_id in whole}


async def test_every_acknowledged_row_is_there_and_none_is_open(tmp_path):
    path = tmp_path / "deliveries.db"
    said = {}
    for number, lines in enumerate(LINES_BEFORE_THE_KILL):
        # Each start recovers what the kill before it left.
        said |= await acknowledged_until_killed(path, f"run{number}", lines)

    left_open = open_rows(path)
    log = SqliteLog(path, timeout=PATIENT)
    recovery = await log.open()
    assert (recovery.deliveries, recovery.attempts) == left_open
    found = {delivery_id: await log.get(delivery_id) for delivery_id in said}
    await log.close()

    assert [one for one in said if found[one] is None] == []
    may_be = {"claimed": {"failed", "unknown", "accepted"}, "sending": {"unknown", "accepted"}}
    for delivery_id, what in said.items():
        assert found[delivery_id].status in may_be.get(what, {"accepted"}), (delivery_id, what)
    assert Status.UNKNOWN in {delivery.status for delivery in found.values()}
    assert open_rows(path) == (0, 0)


def open_rows(path):
    """How many deliveries are pending, and how many attempts are under way."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        (pending,) = db.execute("SELECT count(*) FROM deliveries WHERE status = 'pending'")
        (sending,) = db.execute("SELECT count(*) FROM attempts WHERE outcome = 'sending'")
    return pending[0], sending[0]
