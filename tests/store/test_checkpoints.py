"""The write-ahead log is brought into the file beside the writer, not in a send's way."""

from harness.process import wait_for
from sidecar.store import checkpoint
from sidecar.store.sqlite import SqliteLog


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
    # A commit would checkpoint from BACKSTOP pages on, 32 MB: this is the thread's doing.
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
