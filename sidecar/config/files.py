"""The files that a configuration was read from, so that a change of one of them can be seen."""

from __future__ import annotations

import hashlib
import os
import select
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic

from sidecar.config.document import MAX_BYTES

PATIENCE = 5.0
"""Seconds for what comes by a pipe, as of `check <(helm template ...)`, to be there."""

Seen = dict[Path, str]
"""What each file looked like just before it was read: a change in between shows as a change."""


def read(path: Path) -> bytes:
    """What the file holds, or the first 256 KiB of it and a byte more; a pipe until its end.

    Raises OSError, also where a pipe has no end within `PATIENCE`, and ValueError for a name that
    is none.
    """
    # Without O_NONBLOCK a named pipe that nobody writes to would hold up a reload for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        data, until = b"", monotonic() + PATIENCE
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        while len(data) <= MAX_BYTES:
            # Before the first read too: a pipe that no writer has opened yet reads as ended.
            if not waiting.poll(max(0.0, until - monotonic()) * 1000):
                raise TimeoutError(None, f"it has no end within {PATIENCE:.0f} s")
            with suppress(BlockingIOError):
                if not (piece := os.read(descriptor, MAX_BYTES + 1 - len(data))):
                    break
                data += piece
        return data
    finally:
        os.close(descriptor)


def look(path: Path) -> str:
    """What the file at `path` looks like now: a digest of its content, or why there is none.

    Raises nothing. Content past 256 KiB counts by its size: such a file is refused, unread.
    """
    try:
        # Without O_NONBLOCK a named pipe would hold this up for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return "not a regular file"
            content = os.pread(descriptor, MAX_BYTES, 0)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        return type(error).__name__
    return f"{status.st_size} {hashlib.sha256(content).hexdigest()}"


def glance(paths: Iterable[Path]) -> list[object]:
    """What the system says of these files, unread: place, size and times, or why there is none.

    Follows links, so it sees the one that Kubernetes swaps above a ConfigMap's files.
    """
    return [_signs(path) for path in paths]


def _signs(path: Path) -> object:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        return type(error)
    times = status.st_mtime_ns, status.st_ctime_ns
    return status.st_dev, status.st_ino, status.st_size, times


def have_changed(seen: Mapping[Path, str]) -> bool:
    """Whether one of the files looks otherwise than it did. Reads them all: for a thread."""
    return any(look(path) != before for path, before in seen.items())
