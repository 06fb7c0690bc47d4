"""`python -m soak.shifted run ...`: the sidecar on a machine whose clock can be set.

The shift, in seconds, is a double in the file that `SOAK_CLOCK` names. Setting the machine's own
clock would need root, and would set it for everybody.
"""

from __future__ import annotations

import mmap
import os
import runpy
import struct
import sys
import time
from pathlib import Path

_right = time.time


def _shift(path: Path) -> None:
    with path.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), 8)
    time.time = lambda: _right() + struct.unpack_from("d", shared)[0]


if __name__ == "__main__":
    _shift(Path(os.environ["SOAK_CLOCK"]))
    sys.argv[0] = "sidecar"
    runpy.run_module("sidecar", run_name="__main__", alter_sys=True)
