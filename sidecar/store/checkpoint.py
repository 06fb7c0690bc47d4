"""Checkpoints beside the writer: what was committed goes from the write-ahead log into the file.

A checkpoint syncs both files to the disk, 10 to 20 ms on a quiet one. Where the commit makes it, as
is SQLite's default, every send that waits for the log then waits for that too. What stays with the
writer is the commit behind a checkpoint: it begins the write-ahead log anew and syncs its head.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

INTERVAL = 0.25
"""Seconds between two looks at the write-ahead log."""
ENOUGH, ENOUGH_COMMITS = 2**20, 200
"""Bytes of a write-ahead log, and commits since the last one, from which one is worth it. The log's
file does not shrink, so its size alone would not tell."""
BACKSTOP = 32 * 2**20
"""Bytes of committed pages from which a commit makes one after all: under a load without a pause
the log is never read to its end from beside, and would grow for ever."""


class Checkpointer:
    """A thread with a connection of its own to the database at `path`; `commits()` counts.

    It never waits for a lock and nobody waits for it: a passive checkpoint takes what it can get
    (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint). What it fails to do the next one, or
    the backstop, does; a disk that hangs holds up this thread alone.
    """

    def __init__(self, path: Path, commits: Callable[[], int]) -> None:
        self._path = path
        self._commits = commits
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Make no more of them."""
        self._ended.set()

    def join(self, seconds: float) -> None:
        """Wait for the one under way; not on the event loop."""
        self._thread.join(seconds)

    def _run(self) -> None:
        done = 0
        path = os.path.realpath(self._path)
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=0.0)) as database:
            while not self._ended.wait(INTERVAL):
                commits = self._commits()
                if commits - done >= ENOUGH_COMMITS and _size(f"{path}-wal") >= ENOUGH:
                    done = commits
                    with suppress(sqlite3.Error):  # busy, or the disk is full: the next one
                        database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116  # four times a second
    except OSError:
        return 0
