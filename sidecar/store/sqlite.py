"""The delivery log on SQLite: one file, one writer, nothing of it on the event loop."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from sidecar.delivery.model import Attempt, Delivery
from sidecar.store import (
    Claim,
    Claimed,
    Existing,
    LogError,
    LogUnavailable,
    Recovery,
    costed,
    tables,
)
from sidecar.store.checkpoint import BACKSTOP, Checkpointer
from sidecar.store.costs import DayCosts
from sidecar.store.files import lock, prepare
from sidecar.store.schema import MIGRATIONS, migrate, version_of
from sidecar.store.writer import HANG, Locked, Writer

Durability = Literal["normal", "full"]
"""`normal` survives a crash of the process, `full` also that of the machine."""

OLDEST_SQLITE = (3, 37)
"""The first SQLite that knows STRICT tables."""
OPEN_PATIENCE = 5.0
"""Seconds that a start waits for another program to unlock the file."""
CLOSE_PATIENCE = 5.0
"""Seconds that closing waits for the thread to write what is queued."""
CHECKPOINT_PATIENCE = 1.0
"""Seconds that closing waits for the checkpoint under way."""
CHECK_LIMIT = 64 * 2**20
"""Bytes up to which a start checks every page: 0.15 s (2 ms a MB), more would be felt."""
PAGE = 2_048
"""Bytes of a page in a new file. A commit writes every page that it touches, whole, and a row has
some 700 bytes: SQLite's own 4,096 are twice the bytes that a sync of the disk has to wait for."""

_WORDS = {
    sqlite3.SQLITE_FULL: "the disk under the log is full",
    sqlite3.SQLITE_READONLY: "the log is read-only",
    sqlite3.SQLITE_PERM: "the log may not be written",
    sqlite3.SQLITE_CANTOPEN: "a file of the log cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk under the log gave an I/O error",
    sqlite3.SQLITE_CORRUPT: "the log's file is damaged",
    sqlite3.SQLITE_NOTADB: "the log's file is not a database",
    sqlite3.SQLITE_NOMEM: "no memory is left for the log",
}
_LOCKED = "the log is locked by another program"
_MEND_DAMAGE = "move it away to begin a new log, or restore it"

T = TypeVar("T")


class SqliteLog:
    """A `DeliveryLog` in the file at `path`; `commits` counts its transactions.

    `timeout` bounds each operation, in seconds; one that the disk holds up in the middle of its
    commit is waited for 2 s more, because it may yet succeed. `now` returns Unix time in seconds.
    `gaps` says that sends may have been made without their rows (`unavailable: degrade`), so that
    recovery calls nothing surely not sent.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "normal",
        timeout: float = 0.25,
        now: Callable[[], float] = time.time,
        gaps: bool = False,
    ) -> None:
        self.answers_within = timeout + HANG
        self._path = Path(path)
        self._durability = durability
        self._timeout = timeout
        self._now = now
        self._gaps = gaps
        self._writer: Writer[_Database] = Writer(timeout)
        self._checkpointer: Checkpointer | None = None

    @property
    def commits(self) -> int:
        return self._writer.commits

    async def open(self) -> Recovery:
        writer: Writer[_Database] = Writer(self._timeout)
        found = await writer.start(self._connect)
        self._writer = writer
        self._checkpointer = Checkpointer(self._path, lambda: writer.commits)
        self._checkpointer.start()
        return found

    # Of these the writer's own coroutine is given: every send goes through them, twice at least.

    def claim(
        self, claim: Claim, *, keep_keys: float, first: Sequence[Attempt] = ()
    ) -> Coroutine[Any, Any, Claimed | Existing]:
        wanted = tables.Wanted(claim, keep_keys, first)
        return self._writer.join(_claim, wanted, self._withdraw, claim.channel)

    def sending(
        self, claimed: Claimed, so_far: Sequence[Attempt], call: Attempt
    ) -> Coroutine[Any, Any, None]:
        begun = tables.Begun(claimed, so_far, call)
        return self._writer.join(_sending, begun, lane=call.provider)

    def finish(self, claimed: Claimed, delivery: Delivery) -> Coroutine[Any, Any, None]:
        ended = tables.Ended(claimed, delivery)
        return self._writer.join(_finish, ended, lane=delivery.channel)

    async def get(self, delivery_id: str) -> Delivery | None:
        return await self._writer.do(lambda db: tables.get(db.connection, delivery_id))

    async def costs(self, since: str) -> Sequence[DayCosts]:
        return await self._writer.do(lambda db: costed.costs(db.connection, since))

    async def sum_up(self, until: float, limit: int) -> int:
        return await self._writer.do(lambda db: costed.sum_up(db.connection, until, limit))

    async def prune(self, before: float, limit: int) -> int:
        return await self._writer.do(lambda db: tables.prune(db.connection, before, limit))

    async def ping(self) -> None:
        await self._writer.do(_Database.prove_writable)

    async def close(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.stop()
            ended = asyncio.to_thread(self._checkpointer.join, CHECKPOINT_PATIENCE)
            await asyncio.wait({asyncio.ensure_future(ended)}, timeout=CHECKPOINT_PATIENCE)
        await self._writer.close(CLOSE_PATIENCE)

    def _withdraw(self, db: _Database, answer: Claimed | Existing) -> None:
        if isinstance(answer, Claimed):
            tables.withdraw(db.connection, answer, gaps=self._gaps)

    def _connect(self) -> tuple[_Database, Recovery]:
        """Open the file, on the writer's thread. Raises LogError."""
        try:
            database = _open(Path(os.path.realpath(self._path)), self._durability)
            try:
                return database, database.recover(self._now(), self._timeout, gaps=self._gaps)
            except BaseException:
                database.close()
                raise
        except sqlite3.Error as error:
            raise LogError(f"{self._path}: {_words_at_start(error)}") from error
        except LogError as error:
            raise LogError(f"{self._path}: {error}") from error


def _open(path: Path, durability: Durability) -> _Database:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise LogError(f"needs SQLite 3.37 or later, this Python has {sqlite3.sqlite_version}")
    prepare(path)
    held = lock(path)
    try:
        connection = sqlite3.connect(path, timeout=OPEN_PATIENCE, isolation_level=None)
    except BaseException:
        os.close(held)
        raise
    return _Database(path, connection, held, durability)


class _Database:
    """The one connection and the lock beside it, on the writer's thread."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, held: int, durability: Durability
    ) -> None:
        self.connection = connection
        self._path = path
        self._held = held
        self._durability = durability
        self._identity = path.stat()

    def recover(self, at: float, timeout: float, *, gaps: bool) -> Recovery:
        """Settle, migrate and close what a crash left open; `timeout` is for what comes after."""
        self._settle()
        self.begin()
        migrate(self.connection)
        found = tables.recover(self.connection, at, gaps=gaps)
        self.commit()
        # Shorter than an operation's time, so that its caller can be told of the lock.
        self.connection.execute(f"PRAGMA busy_timeout = {round(timeout * 1000 / 5)}")
        return found

    def begin(self) -> None:
        self.rollback()
        self._must_be_there()
        # IMMEDIATE: a transaction that begins by reading and then writes ignores the busy timeout.
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        if self.connection.in_transaction:
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")

    def explain(self, error: Exception) -> Exception:
        if not isinstance(error, sqlite3.Error):
            return error
        code = _primary_code(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Locked(_LOCKED)
        return LogUnavailable(_words(error))

    def prove_writable(self) -> None:
        """Write what is there already. Raises LogUnavailable where it cannot be written."""
        self.connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def _must_be_there(self) -> None:
        # SQLite goes on writing to a file that was removed, and says nothing.
        try:
            same = os.path.samestat(os.stat(self._path), self._identity)  # noqa: PTH116  # every commit
        except OSError:
            same = False
        if not same:
            raise LogUnavailable("the log's file was moved or removed: restart the sidecar")

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with suppress(sqlite3.Error):
            self.connection.close()
        os.close(self._held)

    def _settle(self) -> None:
        """Check the file, and set the connection up."""
        execute = self.connection.execute
        size = self._identity.st_size
        # SQLite takes a file that is shorter than its smallest page for a new one.
        torn = 0 < size < 512
        if torn or (size <= CHECK_LIMIT and execute("PRAGMA quick_check(1)").fetchone() != ("ok",)):
            raise LogError(f"it is damaged: {_MEND_DAMAGE}")
        version_of(self.connection)  # before anything is changed: the file may be another program's
        execute(f"PRAGMA page_size = {PAGE}")  # heard by a new file only
        if execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise LogError("its file system cannot hold a write-ahead log: put it on a local disk")
        execute(f"PRAGMA synchronous = {self._durability}")
        # Beyond what a load makes of it: to cut the file each time that the write-ahead log begins
        # anew, and to let it grow again, took 6 to 9 ms more of the commit that does it.
        execute(f"PRAGMA journal_size_limit = {2 * BACKSTOP}")
        (page,) = execute("PRAGMA page_size").fetchone()  # 4 KiB in an older file
        execute(f"PRAGMA wal_autocheckpoint = {BACKSTOP // page}")


def _claim(db: _Database, wanted: Sequence[tables.Wanted]) -> Sequence[Claimed | Existing]:
    return tables.claim(db.connection, wanted)


def _sending(db: _Database, begun: Sequence[tables.Begun]) -> Sequence[None]:
    return tables.sending(db.connection, begun)


def _finish(db: _Database, ended: Sequence[tables.Ended]) -> Sequence[None]:
    return tables.finish(db.connection, ended)


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _words(error: sqlite3.Error) -> str:
    """What happened, in our words; SQLite's own may quote a value."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return _WORDS.get(_primary_code(error), f"the log failed ({name})")


def _words_at_start(error: sqlite3.Error) -> str:
    match _primary_code(error):
        case sqlite3.SQLITE_NOTADB:
            return f"it is not a database, or damaged: {_MEND_DAMAGE}"
        case sqlite3.SQLITE_CORRUPT:
            return f"it is damaged: {_MEND_DAMAGE}"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"another program held it locked for {OPEN_PATIENCE:.0f} s: close that program"
        case _:
            return _words(error)
