"""What a start makes, what it refuses, and the one line that it says then."""

import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from sidecar.store import Claimed, LogError, Recovery, schema, sqlite
from sidecar.store.sqlite import SqliteLog

NOBODY = 65_534


def raw(path):
    return contextlib.closing(sqlite3.connect(path, isolation_level=None))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deliveries.db"


@pytest.fixture
async def refusal():
    """The text of the LogError that opening a path ends in: one line that names the path."""

    async def of(path):
        log = SqliteLog(path)
        with pytest.raises(LogError) as refused:
            await log.open()
        text = str(refused.value)
        assert text.startswith(f"{path}: ")
        assert "\n" not in text
        await log.close()
        return text

    return of


@pytest.fixture
def unprivileged():
    """A directory of our own, and no right to write where the modes forbid it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o777)
    shutil.rmtree(folder)


@pytest.fixture
async def with_rows(path, send):
    """A closed log with a hundred deliveries."""
    log = SqliteLog(path, timeout=20.0)
    await log.open()
    for number in range(100):
        await send(log, f"d-{number}")
    await log.close()
    return path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_first_start_makes_a_private_directory_and_file(tmp_path):
    path = tmp_path / "data" / "deliveries.db"
    umask = os.umask(0)
    try:
        log = SqliteLog(path)
        assert await log.open() == Recovery()
        assert mode(path.parent) == 0o700
        assert {entry.name: mode(entry) for entry in path.parent.iterdir()} == {
            "deliveries.db": 0o600,
            "deliveries.db-wal": 0o600,
            "deliveries.db-shm": 0o600,
            "deliveries.db.lock": 0o600,
        }
    finally:
        os.umask(umask)
        await log.close()


@pytest.mark.parametrize(("durability", "level"), [("normal", 1), ("full", 2)])
async def test_durability_sets_how_often_the_disk_is_waited_for(path, durability, level):
    log = SqliteLog(path, durability=durability, timeout=20.0)
    await log.open()
    pragmas = ("journal_mode", "synchronous", "user_version")
    found = [
        await log._writer.do(
            lambda db, name=name: db.connection.execute(f"PRAGMA {name}").fetchone()[0]
        )
        for name in pragmas
    ]
    assert found == ["wal", level, len(schema.MIGRATIONS)]
    await log.close()


async def test_closing_leaves_one_file_and_no_thread(with_rows):
    names = {entry.name for entry in with_rows.parent.iterdir()}
    assert names == {"deliveries.db", "deliveries.db.lock"}
    assert "delivery-log" not in {thread.name for thread in threading.enumerate()}


async def test_a_log_can_be_opened_again(path, claim_of):
    log = SqliteLog(path, timeout=20.0)
    for run in (1, 2, 3):
        await log.open()
        assert await log.claim(claim_of(), keep_keys=60.0) == Claimed("d-1", run)
        await log.close()


# What it refuses


async def test_a_second_sidecar_is_kept_out_until_the_first_is_gone(path, refusal):
    first = SqliteLog(path)
    await first.open()
    assert "another sidecar has it open" in await refusal(path)
    await first.close()
    second = SqliteLog(path)
    assert await second.open() == Recovery()
    await second.close()


async def test_the_lock_is_the_same_by_every_name_of_the_file(path, refusal):
    first = SqliteLog(path)
    await first.open()
    other_name = path.with_name("link.db")
    other_name.symlink_to(path)
    assert "another sidecar has it open" in await refusal(other_name)
    await first.close()


async def test_opening_it_twice_is_refused_and_leaves_it_open(path, send):
    log = SqliteLog(path, timeout=20.0)
    await log.open()
    with pytest.raises(LogError, match="another sidecar has it open"):
        await log.open()
    assert await log.get("d-1") is None
    assert (await send(log)) == await log.get("d-1")
    await log.close()


async def test_a_log_locked_by_another_program_is_said(path, refusal, monkeypatch):
    monkeypatch.setattr(sqlite, "OPEN_PATIENCE", 0.01)
    with raw(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "another program held it locked" in await refusal(path)


@pytest.mark.parametrize(
    "content", [b"not a database, " * 100, b"x", bytes(4096)], ids=["text", "byte", "zeros"]
)
async def test_what_is_not_a_database_is_said_and_left_alone(path, refusal, content):
    path.write_bytes(content)
    assert "move it away" in await refusal(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("damage", ["header", "page", "truncated"])
async def test_a_damaged_log_is_said_and_left_alone(with_rows, refusal, damage):
    content = bytearray(with_rows.read_bytes())
    match damage:
        case "header":
            content[:100] = b"\xff" * 100
        case "page":
            content[4096 : 4 * 4096] = b"\xff" * (3 * 4096)
        case "truncated":
            del content[len(content) // 2 :]
    with_rows.write_bytes(content)
    text = await refusal(with_rows)
    assert "damaged" in text
    assert "move it away" in text
    assert with_rows.read_bytes() == content


async def test_another_programs_database_is_said_and_left_alone(path, refusal):
    with raw(path) as other:
        other.execute("CREATE TABLE notes (text)")
        other.execute("PRAGMA user_version = 1")
    content = path.read_bytes()
    assert "another program's database" in await refusal(path)
    assert path.read_bytes() == content


async def test_a_newer_schema_is_said_and_left_alone(with_rows, refusal):
    with raw(with_rows) as other:
        other.execute("PRAGMA user_version = 99")
    content = with_rows.read_bytes()
    text = await refusal(with_rows)
    assert "version 99" in text
    assert "upgrade" in text
    assert with_rows.read_bytes() == content


async def test_an_old_sqlite_is_said(path, refusal, monkeypatch):
    monkeypatch.setattr(sqlite, "OLDEST_SQLITE", (99, 0))
    assert "needs SQLite" in await refusal(path)
    assert not path.exists()


async def test_a_directory_that_cannot_be_made_is_said(tmp_path, refusal):
    (tmp_path / "file").write_text("")
    text = await refusal(tmp_path / "file" / "deliveries.db")
    assert "its directory cannot be made" in text


async def test_a_directory_in_the_place_of_the_file_is_said(tmp_path, refusal):
    assert "Is a directory" in await refusal(tmp_path)


async def test_a_circle_of_links_is_said(path, refusal):
    path.symlink_to(path)
    assert "it cannot be written" in await refusal(path)


async def test_a_read_only_directory_is_said(unprivileged, refusal):
    folder = unprivileged / "data"
    folder.mkdir()
    folder.chmod(0o500)
    text = await refusal(folder / "deliveries.db")
    assert "it cannot be written (Permission denied)" in text
    folder.chmod(0o700)


async def test_a_read_only_file_is_said(unprivileged, refusal):
    path = unprivileged / "deliveries.db"
    log = SqliteLog(path)
    await log.open()
    await log.close()
    path.chmod(0o400)
    assert "it cannot be written (Permission denied)" in await refusal(path)
