"""Processes of the bench: where they run, what they cost, and the workers that take orders."""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 180.0
"""Seconds that a worker may take for one order."""


@cache
def cores() -> tuple[int, int]:
    """The core of what is measured, and that of the tools; the same where there is only one.

    Asked once: the bench puts itself on the tools' core afterwards.
    """
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def cpu_seconds(pids: Sequence[int]) -> float:
    """The processes' own accounting, user and system; a process that has ended counts nothing."""
    total = 0
    for pid in pids:
        try:
            total += _ticks(Path(f"/proc/{pid}"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / TICK


def thread_seconds(pid: int) -> float:
    """The same for the process's threads but the first; those that have ended count nothing."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(_ticks(task) for task in tasks if task.name != str(pid)) / TICK


def _ticks(of: Path) -> int:
    fields = (of / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def memory_mb(pid: int, what: str = "VmRSS") -> float:
    """`VmRSS` or `VmHWM` of a process in MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"/proc/{pid}/status has no {what}")


def family(pid: int) -> list[int]:
    """The process, its children and theirs."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += family(int(child))
    return found


def spawn(
    command: Sequence[str],
    core: int,
    env: Mapping[str, str],
    *,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """A process on this core, with as many descriptors as it may have."""

    def settle() -> None:
        os.sched_setaffinity(0, {core})
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    return subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        preexec_fn=settle,  # noqa: PLW1509  # there are no threads yet
    )


def read_line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """The next line of its standard output. Raises SystemExit where none comes in time."""
    assert process.stdout is not None
    line = bytearray()
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([process.stdout], [], [], seconds)
        piece = os.read(process.stdout.fileno(), 1) if readable else b""
        if not piece:
            code = process.poll()
            raise SystemExit(f"{process.args!r} said nothing in {seconds} s (exit code {code})")
        line += piece
    return bytes(line)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and see that it does."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


class Worker:
    """A module of the bench as a process that takes one order a line and answers with one."""

    def __init__(self, module: str, core: int, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1])}
        self._process = spawn(command, core, env, stdin=subprocess.PIPE)
        self.pid = self._process.pid
        self.hello: dict[str, Any] = json.loads(read_line(self._process, 30.0))

    def ask(self, **order: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(read_line(self._process, PATIENCE))
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        end(self._process)
