"""The files around the log: its directory, its mode, and the lock that keeps others out."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from sidecar.store import LogError


def prepare(path: Path) -> None:
    """Make the directory (0700) and the file (0600) where they are missing.

    Raises LogError where the file cannot be read and written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LogError(f"its directory cannot be made ({error.strerror}): {_MEND}") from error
    os.close(_opened(path, "it"))


def lock(path: Path) -> int:
    """Take the lock beside the log; it is held until the descriptor that is returned is closed.

    The kernel drops it with the process, so a crash leaves nothing to clean up. Raises LogError
    where another process has it.
    """
    beside = path.with_name(f"{path.name}.lock")
    descriptor = _opened(beside, f"its lock {beside.name}")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise LogError(
                "another sidecar has it open: stop that one, or give this one another log.path"
            ) from error
        raise LogError(f"it cannot be locked ({error.strerror}): put it on a local disk") from error
    return descriptor


_MEND = "give the sidecar's user leave to write there, or name another file in log.path"


def _opened(path: Path, what: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LogError(f"{what} cannot be written ({error.strerror}): {_MEND}") from error
