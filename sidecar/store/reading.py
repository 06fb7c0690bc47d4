"""The books of a log's file, read beside whoever writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sidecar.store import LogError, costed
from sidecar.store.costs import DayCosts
from sidecar.store.schema import MIGRATIONS, version_of

PATIENCE = 5.0
"""Seconds to wait for a lock."""


def read_costs(path: Path, month: str) -> Sequence[DayCosts]:
    """What was spent on each day of `month` (`2026-11`). Raises `LogError`."""
    try:
        is_there = path.is_file()
    except OSError as error:
        why = f"{error.strerror}: give this user access, or set another `log.path`"
        raise LogError(f"{path}: cannot be read: {why}") from error
    if not is_there:
        raise LogError(f"{path}: there is no log yet: nothing was sent from here")
    try:
        where = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(where, timeout=PATIENCE, uri=True)) as db:
            db.execute("BEGIN")  # one look: the writer may be moving rows into the sums
            found = costed.costs(db, f"{month}-01") if _is_current(db) else None
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise LogError(f"{path}: cannot be read ({name})") from error
    except LogError as error:
        raise LogError(f"{path}: {error}") from error
    if found is None:
        raise LogError(f"{path}: an earlier release wrote it: start this one with it once")
    return [one for one in found if one.day.startswith(month)]


def _is_current(db: sqlite3.Connection) -> bool:
    return version_of(db) == len(MIGRATIONS)
