"""A sidecar that says where its time goes: `python -m bench.sampled OUT run` for `-m sidecar run`.

The first SIGUSR2 begins the samples, one for each millisecond of the process's CPU, or each tick
of the kernel where that is longer. The second ends them, and writes to OUT, in JSON, how many fell
into which file of its own. Python runs a handler of signals between two of its instructions: what
C does counts for the Python that comes next, which is whoever called it or, of what the event loop
does, whom it calls.
"""

from __future__ import annotations

import json
import re
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL = 0.001
"""Seconds of CPU between two samples."""
TLS = "ssl.py"
_OURS = re.compile(r".*/(sidecar(?:_\w+)?/(?:\w+/)*\w+\.py)")


class Samples:
    """How many fell where; `out` is where they are written."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._counts: Counter[str] = Counter()
        self._is_on = False

    def take(self, _: int, frame: FrameType | None) -> None:
        self._counts[whose(frame)] += 1

    def turn(self, *_: object) -> None:
        """Begin, or end and write."""
        self._is_on = not self._is_on
        signal.setitimer(signal.ITIMER_PROF, *(2 * [INTERVAL * self._is_on]))
        if not self._is_on:
            whole = self._out.with_suffix(".part")
            whole.write_text(json.dumps(self._counts))
            whole.replace(self._out)


def whose(frame: FrameType | None) -> str:
    """The innermost file of the sidecar or of a plugin on the stack: `sidecar/api/door.py`."""
    if frame is not None and frame.f_code.co_filename.endswith(f"/{TLS}"):
        return TLS  # the event loop calls it
    while frame is not None:
        if (found := _OURS.fullmatch(frame.f_code.co_filename)) is not None:
            return found[1]
        frame = frame.f_back
    return ""


def main() -> None:
    """Run the sidecar under the samples."""
    samples = Samples(Path(sys.argv[1]))
    signal.signal(signal.SIGPROF, samples.take)
    signal.signal(signal.SIGUSR2, samples.turn)
    sys.argv = ["otp-sidecar", *sys.argv[2:]]
    runpy.run_module("sidecar", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
