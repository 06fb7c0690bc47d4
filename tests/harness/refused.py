"""A command of a user whom the file system refuses something: for root, without its way around."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.process import run_python

CANNOT = 99
AS_ANYONE = f"""
import ctypes, os, sys
DROP, DAC_OVERRIDE, DAC_READ_SEARCH = 24, 1, 2
for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(DROP, capability, 0, 0, 0):
        sys.exit({CANNOT})
os.execv(sys.executable, [sys.executable, "-m", "sidecar", *sys.argv[1:]])
"""


def run_as_anyone(
    directory: Path, environ: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """One `otp-sidecar` command in `directory`, to which a file's mode applies."""
    if os.geteuid() == 0 and not sys.platform.startswith("linux"):
        pytest.skip("root may read everything here")
    done = run_python(directory, environ, "-c", AS_ANYONE, *arguments)
    if done.returncode == CANNOT:
        pytest.skip("root cannot lay down its rights here")
    return done
