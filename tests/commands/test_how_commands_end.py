"""How a command ends that cannot go on: by Ctrl-C, or where its output has no room."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.process import PATIENCE, run_unread

CTRL_C = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize("name", ["check", "run", "version"])
def test_a_ctrl_c_while_it_is_imported_ends_it_without_a_word(command, tmp_path, name):
    (tmp_path / "click.py").write_text(CTRL_C)
    done = command(name, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("asked", [("version",), ("config", "init"), ("--help",)])
def test_output_that_has_no_room_is_no_fault_of_ours(environ, asked, unbuffered):
    environ = {**environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:  # noqa: PTH123  # a device
        done = run(environ, asked, stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (
            74,
            "cannot write: No space left on device\n",
        )
        # nothing can be said either
        assert run(environ, asked, stdout=full, stderr=full).returncode == 74


def test_a_reader_that_has_gone_is_no_fault_at_all(environ):
    done = run_unread(environ, "config", "init")
    assert (done.returncode, done.stderr) == (1, "")


def run(environ, asked, **streams):
    return subprocess.run(
        [sys.executable, "-m", "sidecar", *asked],
        env=environ,
        text=True,
        timeout=PATIENCE,
        check=False,
        **streams,
    )
