"""A locked, full, failing or missing file: refused in our words, and well again afterwards."""

import asyncio
import contextlib
import resource
import sqlite3
import threading

import pytest
from blockbuster import BlockingError, blockbuster_ctx

from sidecar.delivery.model import Status
from sidecar.store import Claimed, Existing, LogUnavailable, tables
from sidecar.store.recovery import under_way
from sidecar.store.sqlite import SqliteLog

PATIENT = 20.0
SOON = 0.05


@pytest.fixture
async def hasty(tmp_path):
    """An open SqliteLog with a short time for every operation."""
    log = SqliteLog(tmp_path / "deliveries.db", timeout=SOON)
    await log.open()
    yield log
    await log.close()


@contextlib.contextmanager
def locked(path, patience=PATIENT):
    """The write lock, held by another connection as another program would."""
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
    with contextlib.closing(connection) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def patiently(operation, *arguments, **named):
    """The answer, however often a busy machine lets the short time run out."""
    async with asyncio.timeout(PATIENT):
        while True:
            try:
                return await operation(*arguments, **named)
            except LogUnavailable:
                await asyncio.sleep(0)


async def refused_because(words, operation, *arguments, **named):
    """Ask until the refusal names its reason; every answer must be a refusal."""
    async with asyncio.timeout(PATIENT):
        while True:
            with pytest.raises(LogUnavailable) as refused:
                await operation(*arguments, **named)
            if words in str(refused.value):
                return


async def on_the_thread(log, *statements):
    for statement in statements:
        await patiently(log._writer.do, lambda db, sql=statement: db.connection.execute(sql))


async def test_a_locked_log_refuses_in_time_and_takes_no_late_effect(hasty, claim_of, tmp_path):
    with locked(tmp_path / "deliveries.db"):
        await refused_because("locked", hasty.claim, claim_of("refused"), keep_keys=60.0)
        await refused_because("locked", hasty.ping)
    assert await patiently(hasty.claim, claim_of("after"), keep_keys=60.0) == Claimed("after", 1)
    assert await patiently(hasty.get, "refused") is None


async def test_an_operation_waits_for_the_lock_as_long_as_it_may(
    sqlite, claim_of, tmp_path, queued
):
    claimed = await sqlite.claim(claim_of(), keep_keys=60.0)
    waiting = threading.Event()

    def trace(statement):
        if statement == "BEGIN IMMEDIATE":
            waiting.set()

    await sqlite._writer.do(lambda db: db.connection.set_trace_callback(trace))
    with locked(tmp_path / "deliveries.db"):
        waiting.clear()
        tasks = await queued(
            sqlite.sending(claimed, (), under_way("sns", "sns", 1.0)),  # reads before it writes
            *(sqlite.claim(claim_of(f"d-{n}", at=2.0), keep_keys=60.0) for n in range(2, 50)),
        )
        assert await asyncio.to_thread(waiting.wait, PATIENT)
        assert not any(task.done() for task in tasks)
    assert await asyncio.gather(*tasks) == [None, *(Claimed(f"d-{n}", 1) for n in range(2, 50))]


async def test_a_full_disk_refuses_and_then_is_well_again(sqlite, send, claim_of):
    kept = await send(sqlite)
    await on_the_thread(sqlite, "PRAGMA max_page_count = 1")  # no smaller than it is: no page more
    long = "x" * 10_000
    with pytest.raises(LogUnavailable, match="the disk under the log is full"):
        await sqlite.claim(claim_of("refused", purpose=long), keep_keys=60.0)
    assert await sqlite.get("d-1") == kept
    await on_the_thread(sqlite, "PRAGMA max_page_count = 1000000")
    assert await sqlite.get("refused") is None
    answer = await sqlite.claim(claim_of("after", purpose=long), keep_keys=60.0)
    assert answer == Claimed("after", 1)


async def test_what_fits_on_a_full_disk_is_not_refused_for_what_does_not(
    sqlite, claim_of, ended, took, queued
):
    claimed = await sqlite.claim(claim_of(), keep_keys=60.0)
    await on_the_thread(sqlite, "PRAGMA max_page_count = 1")
    tasks = await queued(
        sqlite.claim(claim_of("too-big", purpose="x" * 10_000), keep_keys=60.0),
        sqlite.finish(claimed, ended(claim_of(), Status.ACCEPTED, took)),
    )
    await asyncio.wait(tasks)
    assert isinstance(tasks[0].exception(), LogUnavailable)
    assert (await sqlite.get("d-1")).status is Status.ACCEPTED


async def test_an_io_error_refuses_and_then_is_well_again(sqlite, send, claim_of, tmp_path):
    kept = await send(sqlite)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (tmp_path / "deliveries.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(LogUnavailable, match="the disk under the log gave an I/O error"):
            await sqlite.claim(claim_of("refused", purpose="x" * 10_000), keep_keys=60.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await sqlite.claim(claim_of("after"), keep_keys=60.0) == Claimed("after", 1)
    assert await sqlite.get("refused") is None
    assert await sqlite.get("d-1") == kept


@pytest.mark.parametrize("what", ["removed", "replaced"])
async def test_ping_notices_that_its_file_has_gone(sqlite, tmp_path, what):
    path = tmp_path / "deliveries.db"
    await sqlite.ping()
    moved = path.rename(tmp_path / "moved.db")
    if what == "replaced":
        path.write_bytes(b"")
    with pytest.raises(LogUnavailable, match="moved or removed"):
        await sqlite.ping()
    path.unlink(missing_ok=True)
    moved.rename(path)
    await sqlite.ping()


async def test_no_refusal_carries_a_value(sqlite, claim_of):
    with pytest.raises(LogUnavailable) as refused:
        await sqlite.claim(claim_of("canary-id", segments="canary-value"), keep_keys=60.0)
    assert "canary" not in str(refused.value)


async def test_a_refused_operation_leaves_no_lock_behind(sqlite, claim_of, tmp_path):
    with pytest.raises(LogUnavailable):
        await sqlite.claim(claim_of(segments="not a number"), keep_keys=60.0)
    with locked(tmp_path / "deliveries.db", patience=0.0):
        pass


async def test_a_claim_committed_after_its_caller_left_is_given_back(sqlite, claim_of, queued):
    committing, may_commit = threading.Event(), threading.Event()

    def trace(statement):
        if statement == "COMMIT":
            committing.set()
            assert may_commit.wait(PATIENT)

    may_commit.set()
    await sqlite._writer.do(lambda db: db.connection.set_trace_callback(trace))
    await sqlite.ping()  # now the trace is on for certain
    committing.clear()
    may_commit.clear()
    claim = claim_of(key_hash="k")
    (left,) = await queued(sqlite.claim(claim, keep_keys=60.0))
    assert await asyncio.to_thread(committing.wait, PATIENT)
    left.cancel()
    await asyncio.wait({left})
    may_commit.set()
    async with asyncio.timeout(PATIENT):
        while isinstance(answer := await sqlite.claim(claim, keep_keys=60.0), Existing):
            assert answer.delivery.status is Status.PENDING
    assert answer == Claimed("d-1", 2)


async def test_nothing_of_it_blocks_the_event_loop(tmp_path, send, claim_of, ended):
    log = SqliteLog(tmp_path / "deliveries.db", timeout=PATIENT)
    with blockbuster_ctx("sidecar"):
        await log.open()
        await send(log)
        assert (await log.get("d-1")).status is Status.ACCEPTED
        assert await log.prune(2e9, 10) == 1
        await log.ping()
        await log.close()
        # The detector does see such a call:
        connection = sqlite3.Connection(":memory:")
        with contextlib.closing(connection), pytest.raises(BlockingError):
            tables.get(connection, "d-1")


async def test_a_claim_that_is_given_back_leaves_no_attempt_under_way(sqlite, claim_of):
    ahead = under_way("sns", "sns", 1.0)
    claimed = await sqlite.claim(claim_of(), keep_keys=60.0, first=(ahead,))
    await sqlite._writer.do(lambda db: tables.withdraw(db.connection, claimed))
    rows = await sqlite._writer.do(
        lambda db: db.connection.execute("SELECT count(*) FROM attempts").fetchone()
    )
    assert rows == (0,)
    assert (await sqlite.get("d-1")).status.surely_not_sent


async def test_a_claim_that_is_given_back_may_have_been_sent_where_rows_may_lack(
    tmp_path, claim_of
):
    log = SqliteLog(tmp_path / "deliveries.db", gaps=True)
    await log.open()
    claimed = await log.claim(claim_of(), keep_keys=60.0)
    await log._writer.do(lambda db: log._withdraw(db, claimed))
    assert (await log.get("d-1")).status is Status.UNKNOWN
    await log.close()
