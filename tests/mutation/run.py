"""`make mutate`: change the core one bit at a time, and see whether its tests notice.

Every mutant runs in a process of its own, forked from one that has loaded the test tools already:
the changed module is put in the place of its source when the tests import it, so no file is
written. The tests stop at their first failure. What survives is compared with the list in
docs/mutation-testing.md, which gives each survivor its reason.

Exits 0 where every module reaches its score and the list is what the run found, else 1.
"""

import argparse
import asyncio  # noqa: F401 - loaded here, once, for all the processes forked later
import enum
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import click
import hypothesis.stateful
import orjson  # noqa: F401 - as asyncio
import pytest
import pytest_asyncio.plugin
import pytest_timeout
import structlog  # noqa: F401 - as asyncio

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from mutation.operators import Mutant, mutants  # noqa: E402 - found by the path above

LIST = ROOT / "docs" / "mutation-testing.md"
LEAST_SCORE = 90.0
"""Per cent of a module's mutants that must be killed; equivalent ones count as survivors."""
CPU_LIMIT = 60
"""Seconds of processor time after which a mutant has run away; all tests together take 10."""
WALL_LIMIT = 120.0
"""Seconds after which a mutant hangs, on a machine that may be busy."""
TEST_LIMIT = 40
"""Seconds for one test, which takes 6 at most; a busy machine must not look like a failure."""
MEMORY_LIMIT = 4 * 1024**3
NOT_IMPORTED = 99
PYTEST = [
    *["-x", "-q", "--tb=no", f"--timeout={TEST_LIMIT}", "-p", "no:cacheprovider"],
    *["-p", pytest_asyncio.plugin.__name__, "-p", pytest_timeout.__name__],
    "--assert=plain",  # nobody reads why it failed
]


@dataclass(frozen=True)
class Target:
    """A module, the part of it that is changed, and its tests, the quickest to notice first."""

    module: str
    within: str
    tests: tuple[str, ...]

    @property
    def path(self) -> Path:
        return ROOT / (self.module.replace(".", "/") + ".py")


def delivery(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/delivery/test_{name}.py" for name in names)


MONEY = "tests/money/test_chains.py"
RELOAD = "from_one_configuration_to_the_next"
TARGETS = (
    Target("sidecar.privacy", "mask", ("tests/test_privacy.py",)),
    Target("sidecar.redaction", "Redactor", ("tests/test_logs.py",)),
    Target("sidecar.delivery.policy", "", delivery("policy", "chain", "panic")),
    Target(
        "sidecar.delivery.attempt",
        "",
        (*delivery("attempt", "second_look", "chain", "discretion", "determinism"), MONEY),
    ),
    Target(
        "sidecar.delivery.chain",
        "",
        (*delivery("chain", "panic", "room", RELOAD, "determinism"), MONEY),
    ),
    Target(
        "sidecar.delivery.breaker",
        "",
        delivery("breaker", "panic", RELOAD, "breaker_against_a_model"),
    ),
)
ENUMERATIONS = ("sidecar.delivery.model", "sidecar.delivery.policy", "sidecar.delivery.breaker")


class Planted(importlib.machinery.SourceFileLoader, importlib.abc.MetaPathFinder):
    """Loads one module from the code it was given."""

    def __init__(self, target: Target, code: CodeType) -> None:
        super().__init__(target.module, str(target.path))
        self.code = code
        self.loaded = False

    def find_spec(
        self, fullname: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        self.loaded = True
        exec(self.code, module.__dict__)


def members() -> dict[str, list[str]]:
    """The enumerations of the core."""
    found = {}
    for name in ENUMERATIONS:
        for label, value in vars(importlib.import_module(name)).items():
            if isinstance(value, enum.EnumMeta):
                found[label] = [member.name for member in value]
    importlib.import_module("sidecar.testing")
    forget()
    return found


def forget() -> None:
    """Unload the modules that are changed, and those that name them; the others save time."""
    loaded = {n: m for n, m in sys.modules.items() if n.startswith("sidecar.")}
    sources = {n: Path(m.__file__).read_text() for n, m in loaded.items() if m.__file__}
    stale = {target.module for target in TARGETS}
    while more := {n for n, text in sources.items() if any(s in text for s in stale)} - stale:
        stale |= more
    for name in stale & set(loaded):
        del sys.modules[name]


def test(target: Target, code: CodeType) -> int:
    """In a forked process: run the tests of a target against this code; pytest's exit status."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    planted = Planted(target, code)
    sys.meta_path.insert(0, planted)
    status = int(pytest.main([*PYTEST, *target.tests]))
    return status if planted.loaded else NOT_IMPORTED


def statuses(jobs: list[tuple[Target, CodeType]], workers: int) -> Iterator[tuple[int, int]]:
    """(number of the job, exit status of its tests), as they end; a negative one is a signal."""
    running: dict[int, tuple[int, float]] = {}
    waiting = list(enumerate(jobs))[::-1]
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                number, job = waiting.pop()
                running[fork(*job)] = number, time.monotonic()
            for pid, (number, began) in list(running.items()):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    del running[pid]
                    yield number, os.waitstatus_to_exitcode(status)
                elif time.monotonic() - began > WALL_LIMIT:
                    os.kill(pid, signal.SIGKILL)  # ours still: it has not been waited for
            time.sleep(0.02)
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)


def fork(target: Target, code: CodeType) -> int:
    pid = os.fork()
    if pid == 0:
        status = 3
        try:
            status = test(target, code)
        finally:
            os._exit(status)
    return pid


def check_the_check(targets: list[Target], workers: int) -> None:
    """The tests pass on the code as it is, and fail where a module cannot be loaded at all."""
    for text, wanted in ((None, {0}), ("raise RuntimeError", {1, 2, 3, 4})):
        codes = [compile(text or t.path.read_text(), str(t.path), "exec") for t in targets]
        jobs = list(zip(targets, codes, strict=True))
        for number, status in statuses(jobs, workers):
            if status not in wanted:
                sys.exit(f"{targets[number].module}: its tests ended with {status} on the control")


# The list


def listed() -> set[tuple[str, str, str]]:
    """The survivors that the document knows: module, function, mutation."""
    found, module = set(), ""
    for line in LIST.read_text().splitlines() if LIST.exists() else []:
        if heading := re.fullmatch(r"### `([\w.]+)`.*", line):
            module = heading[1]
        elif module and (row := re.fullmatch(r"\| `([^`]+)` \| `(.+)` \| (.*\S.*) \|", line)):
            found.add((module, row[1], row[2].replace("\\|", "|")))
    return found


def row(mutant: Mutant) -> str:
    what = mutant.what.replace("|", "\\|")
    return f"| `{mutant.where}` | `{what}` |"


def main() -> int:
    parser = argparse.ArgumentParser(description="Change the code, and see whether tests notice.")
    parser.add_argument("modules", nargs="*", help="such as `breaker`; all where none is named")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="name the mutants and run nothing")
    chosen = parser.parse_args()
    targets = [
        t for t in TARGETS if not chosen.modules or t.module.split(".")[-1] in chosen.modules
    ]
    os.chdir(ROOT)
    known = members()
    found = [
        (target, mutant)
        for target in targets
        for mutant in mutants(
            target.path.read_text(), str(target.path), known, within=target.within
        )
    ]
    if chosen.list:
        for target, mutant in found:
            click.echo(f"{target.module} {row(mutant)}")
        return 0
    return report(targets, found, run(targets, found, chosen.workers))


def run(targets: list[Target], found: list[tuple[Target, Mutant]], workers: int) -> dict[int, int]:
    """The exit status of the tests for every mutant, by its number."""
    # One seed, so that two runs agree; and a failure need not be made smaller.
    # A machine that is busy must not look like a test that fails.
    hypothesis.settings.register_profile(
        "mutation",
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutation")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.dont_write_bytecode = False  # thousands of processes would compile the same files
    click.echo(f"{len(found)} mutants, {workers} at a time")
    check_the_check(targets, workers)
    ended = {}
    jobs = [(target, mutant.code) for target, mutant in found]
    for number, status in statuses(jobs, workers):
        ended[number] = status
        if status in (5, NOT_IMPORTED):
            sys.exit(f"{found[number][0].module}: no test imports it")
        if status == 0:
            target, mutant = found[number]
            click.echo(f"survived: {target.module} {row(mutant)}")
        if len(ended) % 50 == 0:
            click.echo(f"{len(ended)} of {len(found)}")
    return ended


def report(targets: list[Target], found: list[tuple[Target, Mutant]], ended: dict[int, int]) -> int:
    """Print the scores and the survivors; 1 where something is not as it should be."""
    survivors = [found[number] for number, status in sorted(ended.items()) if status == 0]
    ran_away = Counter(found[n][0].module for n, status in ended.items() if status < 0)
    excused, wrong = listed(), 0
    for target in targets:
        count = sum(t is target for t, _ in found)
        alive = [mutant for t, mutant in survivors if t is target]
        score = 100.0 * (count - len(alive)) / count
        wrong += score < LEAST_SCORE
        click.echo(
            f"{target.module}: {score:.1f} % of {count} killed, {len(alive)} survived"
            f" ({ran_away[target.module]} of the killed ran away)"
        )
    alive = {(target.module, mutant.where, mutant.what) for target, mutant in survivors}
    for target, mutant in survivors:
        if (target.module, mutant.where, mutant.what) not in excused:
            wrong += 1
            click.echo(f"survived, and is not in {LIST.name}: {target.module} {row(mutant)}")
    of_these = {target.module for target in targets}
    for module, where, what in sorted(excused - alive):
        if module in of_these:
            wrong += 1
            click.echo(f"in {LIST.name}, and did not survive: {module} {where}: {what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
