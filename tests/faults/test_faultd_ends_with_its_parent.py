"""The daemon outlives nobody who started it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faultd.client import Faultd
from harness.process import wait_for

KILLED_PARENT = """
import os, signal, sys
from pathlib import Path
from faultd.client import Faultd
print(Faultd(Path(sys.argv[1])).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
DETACHED = """
import os, subprocess, sys, time
from pathlib import Path
r, w = os.pipe()
os.set_inheritable(w, True)
process = subprocess.Popen([sys.executable, "-m", "faultd", sys.argv[1]], stdin=r,
    stdout=subprocess.PIPE, pass_fds=[w])
process.stdout.readline()
print(process.pid, flush=True)
os._exit(0)
"""


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_close_ends_it(tmp_path):
    daemon = Faultd(tmp_path)
    pid = daemon.pid
    daemon.close()
    assert not is_running(pid)
    assert daemon.errors.read_text() == ""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to watch a process")
@pytest.mark.parametrize("program", [KILLED_PARENT, DETACHED], ids=["stdin_ends", "other_parent"])
def test_it_ends_with_its_parent(tmp_path, program):
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": tests},
        stdout=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    pid = int(done.stdout)
    wait_for(lambda: not is_running(pid), "the daemon's end")
