"""A test that leaks fails, whichever way it leaks; so does one whose output nobody scanned."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from harness.leak_plugin import WATCH

SETTINGS = """
[pytest]
pythonpath = {root}/tests
asyncio_mode = auto
addopts = --import-mode=importlib -p no:cacheprovider --show-capture=no --tb=line
"""


@pytest.fixture
def run_leaking(tmp_path, pytestconfig):
    """Run some of `leaking.py` as a suite of its own: its exit code, words, and faults by test."""
    root = pytestconfig.rootpath
    (tmp_path / "pytest.ini").write_text(SETTINGS.format(root=root))
    shutil.copy(root / "conftest.py", tmp_path)
    shutil.copy(root / "tests" / "leaks" / "leaking.py", tmp_path / "test_leaking.py")

    def run(chosen, *arguments):
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-k", chosen, "--junitxml=report.xml", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        report = ET.parse(tmp_path / "report.xml")
        faults: dict[str, str] = {}
        for case in report.iter("testcase"):
            told = "".join(
                f"{one.get('message')}{one.text}" for one in case if one.tag != "skipped"
            )
            faults[case.get("name")] = faults.get(case.get("name"), "") + told
        return ran.returncode, ran.stdout, faults

    return run


def test_a_planted_leak_fails_its_test(run_leaking):
    code, _, faults = run_leaking("leaks or unscanned or clean", "-n", "2")
    assert code == 1
    leaks = {name: told for name, told in faults.items() if name.startswith("test_leaks")}
    assert len(leaks) == 28
    assert {name: told for name, told in leaks.items() if "leaked" not in told} == {}
    unscanned = {name: told for name, told in faults.items() if name.startswith("test_unscanned")}
    assert len(unscanned) == 3
    assert {name: told for name, told in unscanned.items() if "not scanned" not in told} == {}
    clean = {name: told for name, told in faults.items() if name.startswith("test_clean")}
    assert len(clean) == 6
    assert {name: told for name, told in clean.items() if told} == {}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_process_that_outlives_its_test_fails_the_suite(run_leaking, tmp_path, workers):
    code, said, faults = run_leaking("outlives or clean_output", "-n", workers)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert set(faults.values()) == {""}, "every test passed"
    assert code == 1
    assert "LEAKS: not scanned: `" in said
    assert "still runs" in said


def test_a_test_without_its_scan_fails_the_suite(run_leaking):
    code, said, _ = run_leaking("ends_the_session")
    assert code == 1
    assert "LEAKS: test_leaking.py::test_ends_the_session ended without a scan" in said


def test_a_suite_that_captures_nothing_fails(run_leaking):
    code, said, _ = run_leaking("clean_output", "-s")
    assert code == 1
    assert "LEAKS: pytest captures nothing" in said


def test_every_test_here_is_watched(request):
    assert request.config.pluginmanager.has_plugin("harness.leak_plugin")
    assert WATCH.test == request.node.nodeid
