"""The write-ahead log is brought into the file beside the writer, not in a send's way."""

import sqlite3
from contextlib import closing

import pytest

from harness.process import wait_for
from sidecar.store import checkpoint, sqlite
from sidecar.store.sqlite import PAGE, SqliteLog


async def write(log, claim_of, number):
    await log.claim(claim_of(f"d-{number}", purpose="x" * 20_000), keep_keys=60.0)


def size_of(path):
    return path.stat().st_size


async def test_what_was_committed_comes_into_the_file_while_the_log_is_open(tmp_path, claim_of):
    path = tmp_path / "deliveries.db"
    log = SqliteLog(path)
    await log.open()
    before = size_of(path)
    for number in range(250):  # 5 MB
        await write(log, claim_of, number)
    # A commit would checkpoint from BACKSTOP bytes on, 32 MB: this is the thread's doing.
    wait_for(lambda: size_of(path) - before > 80 * 20_000, "the checkpoint")
    await log.close()


async def test_a_short_log_is_left_alone(tmp_path, claim_of, monkeypatch):
    looks = []
    monkeypatch.setattr(checkpoint, "_size", lambda path: looks.append(path) or 1000)
    monkeypatch.setattr(checkpoint, "INTERVAL", 0.001)
    path = tmp_path / "deliveries.db"
    log = SqliteLog(path)
    await log.open()
    before = size_of(path)
    for number in range(250):
        await write(log, claim_of, number)
    wait_for(lambda: len(looks) > 3, "a look")
    assert size_of(path) == before
    assert looks[0] == f"{path}-wal"
    await log.close()


async def test_nothing_is_left_beside_the_file_at_the_end(tmp_path, claim_of):
    log = SqliteLog(tmp_path / "deliveries.db")
    await log.open()
    for number in range(250):
        await write(log, claim_of, number)
    await log.close()
    assert not (tmp_path / "deliveries.db-wal").exists()


def page_of(path):
    with closing(sqlite3.connect(path)) as database:
        return database.execute("PRAGMA page_size").fetchone()[0]


def with_pages_of(path, size):
    """The file as an earlier release made it."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute(f"PRAGMA page_size = {size}")
        database.execute("VACUUM")


@pytest.mark.parametrize("size", [PAGE, 8_192])
async def test_the_backstop_is_so_many_bytes_whatever_a_page_has(
    tmp_path, claim_of, monkeypatch, size
):
    monkeypatch.setattr(checkpoint, "INTERVAL", 3600.0)  # no checkpoint from beside
    monkeypatch.setattr(sqlite, "BACKSTOP", 2**18)
    path = tmp_path / "deliveries.db"
    log = SqliteLog(path)
    await log.open()
    await log.close()
    with_pages_of(path, size)
    await log.open()
    for number in range(60):  # more than 1 MB
        await write(log, claim_of, number)
    assert size_of(tmp_path / "deliveries.db-wal") < 2**19
    await log.close()


async def test_the_write_ahead_log_keeps_its_room_when_it_begins_anew(tmp_path):
    # To cut the file to less than what it grows to is 6 to 9 ms of a commit, each time.
    log = SqliteLog(tmp_path / "deliveries.db")
    await log.open()
    (limit,) = await log._writer.do(
        lambda db: db.connection.execute("PRAGMA journal_size_limit").fetchone()
    )
    await log.close()
    assert limit > checkpoint.BACKSTOP


@pytest.mark.parametrize("size", [512, 4_096, 65_536])
async def test_a_file_keeps_the_pages_that_it_was_made_with(tmp_path, claim_of, size):
    path = tmp_path / "deliveries.db"
    log = SqliteLog(path)
    await log.open()
    await write(log, claim_of, 1)
    await log.close()
    assert page_of(path) == PAGE
    with_pages_of(path, size)
    await log.open()
    await write(log, claim_of, 2)
    found = await log.get("d-1")
    await log.close()
    assert found is not None
    assert page_of(path) == size
