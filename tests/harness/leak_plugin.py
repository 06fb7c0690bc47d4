"""The pytest plugin that scans what every test has written, and fails what was not scanned.

Registered once, in the `conftest.py` of the root, for the tests of the sidecar and of every plugin.
A leak is an error of the test; so is a process, a file or an answer that could not be scanned. The
session fails too where a test ended without its scan, where a process outlived it, where pytest
captures nothing, and where sends were made and no canary was in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.leak_watch import Watch, install

WATCH = Watch()
# Before any other conftest is loaded: what that imports may keep `Popen` as it finds it.
install(WATCH)
_ENOUGH = 20
"""Where so many black-box tests sent something, each kind of canary was sent as often, or more."""
_session: dict[str, Any] = {"faults": [], "planted": {}, "served": 0}
_open: set[str] = set()


def pytest_configure(config: pytest.Config) -> None:
    if "installed" in _session:
        return
    _session["installed"] = True
    plain = pytest.TempPathFactory.mktemp

    def mktemp(self: pytest.TempPathFactory, *args: Any, **more: Any) -> Path:
        path = plain(self, *args, **more)
        WATCH.folder(path)
        return path

    pytest.TempPathFactory.mktemp = mktemp  # type: ignore[method-assign]
    if config.option.capture != "fd" and not hasattr(config, "workerinput"):
        _session["faults"].append("pytest captures nothing (-s): what is printed was not scanned")


@pytest.fixture
def hand_over() -> Callable[[bytes], None]:
    """For a test that gave a process a pipe or a terminal of its own: hand over what came of it."""
    return WATCH.hand_over


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _open.add(item.nodeid)
    WATCH.begin(item.nodeid)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[misc,assignment]
    if call.when == "teardown":
        for name, text in report.sections:
            WATCH.scan_text(text, name, console="stderr" in name)
        found = WATCH.scan_all()
        faults = [f"leaked {fault}" for fault in dict.fromkeys(found)]
        faults += [f"not scanned: {fault}" for fault in WATCH.unscanned]
        WATCH.unscanned.clear()
        if "tmp_path" in getattr(item, "funcargs", {}):
            WATCH.forget(item.funcargs["tmp_path"])  # type: ignore[attr-defined]
        _open.discard(item.nodeid)
        if faults:
            before = f"{report.longrepr}\n" if report.failed else ""
            report.outcome = "failed"
            report.longrepr = before + "\n".join(faults[:30])
    return report  # type: ignore[return-value]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    faults = [f"leaked {found}" for found in WATCH.scan_all(last=True)]
    faults += [f"not scanned: {fault}" for fault in WATCH.unscanned]
    faults += [f"{test} ended without a scan" for test in sorted(_open)]
    _take({"faults": faults, "planted": WATCH.planted, "served": len(WATCH.served)})
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["leaks"] = _session
        return
    if _session["served"] >= _ENOUGH:
        _session["faults"] += [
            f"no {name} was planted: a scan for nothing finds nothing"
            for name, count in _session["planted"].items()
            if count < _ENOUGH
        ]
    if _session["faults"]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker of pytest-xdist has ended: what it found counts here."""
    found = getattr(node, "workeroutput", {}).get("leaks")
    if found is not None:
        _take(found)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for fault in _session["faults"]:
        terminalreporter.write_line(f"LEAKS: {fault}", red=True)


def _take(found: dict[str, Any]) -> None:
    _session["faults"] += found["faults"]
    _session["served"] += found["served"]
    for name, count in found["planted"].items():
        _session["planted"][name] = _session["planted"].get(name, 0) + count
