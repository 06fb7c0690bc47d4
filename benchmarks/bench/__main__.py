"""`make bench`: measure everything, and write the page.

    PYTHONPATH=benchmarks python -m bench [--quick] [--tree CHECKOUT] [--only speed,latency]

`--tree` puts another checkout under test, with its own `.venv` where it has one. `--quick` is a
smoke test: every row must be there and sane; it installs nothing and writes to a temporary place.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench import peers, report, sanity, svg
from bench.certificates import Certificates
from bench.course import Course
from bench.processes import Worker, cores
from bench.sidecars import Tree

HOME = Path(__file__).parents[1]
PARTS = (
    "speed",
    "profile",
    "latency",
    "crowd",
    "clients",
    "chain",
    "footprint",
    "ageing",
    "growth",
)
"""In this order: `chain` needs the price of a POST from `clients`."""


def main() -> None:
    """Run the parts that were chosen; exit 1 where a smoke test finds a row amiss."""
    given = _arguments()
    usable = cores()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="otp-sidecar-bench-") as name:
        home = Path(name)
        certificates = Certificates.make(home)
        tools = usable[1]
        os.sched_setaffinity(0, {tools})
        with (
            Worker("bench.stub", tools, str(certificates.chain)) as stub,
            Worker("bench.load", tools) as load,
        ):
            course = Course(Tree(given.tree), home, given.quick, certificates, stub, load)
            for part in given.only:
                importlib.import_module(f"bench.rows.{part}").measure(course)
    minutes = (time.monotonic() - began) / 60
    page = report.page(course.findings, _facts(given, course, usable, minutes))
    _write(given.out, page, course)
    sys.stdout.write(f"{report.goals(course.findings)}\n\nwritten to {given.out}\n")
    if given.quick and (amiss := sanity.amiss(course.findings, page, whole=given.only == PARTS)):
        sys.exit("\n".join(amiss))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test of two minutes")
    parser.add_argument("--tree", type=Path, default=HOME.parent, help="the checkout under test")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    parser.add_argument("--out", type=Path, help="the folder of results.md and results/")
    given = parser.parse_args()
    given.tree = given.tree.resolve()
    given.only = tuple(given.only.split(","))
    if unknown := set(given.only) - set(PARTS):
        parser.error(
            f"--only: no such part: {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}"
        )
    if given.out is None:
        given.out = Path(tempfile.mkdtemp(prefix="otp-sidecar-results-")) if given.quick else HOME
    return given


def _write(out: Path, page: str, course: Course) -> None:
    pictures = out / "results"
    pictures.mkdir(parents=True, exist_ok=True)
    (out / "results.md").write_text(page)
    for chart in course.findings.curves:
        (pictures / f"{chart.name}.svg").write_text(svg.draw(chart))


def _facts(
    given: argparse.Namespace, course: Course, usable: tuple[int, int], minutes: float
) -> dict[str, str]:
    again = "make bench QUICK=1" if given.quick else "make bench"
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": f"`{again}`, which took {minutes:.0f} minutes",
        "sidecar": _revision(given.tree),
        "machine": f"{os.cpu_count()} cores, {_processor()}",
        "cores": f"the sidecar and the peers on core {usable[0]}, the tools on {usable[1]}",
        "Python": f"{platform.python_version()}, {_build()}",
        **{name: importlib.metadata.version(name) for name in ("aiohttp", "uvloop")},
    }
    try:
        versions = peers.versions(peers.prepare_python(install=False))
        facts["peers"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    except peers.Missing as missing:
        facts["peers"] = f"not measured: {missing}"
    try:
        versions = peers.node_versions(peers.prepare_node(install=False))
        facts["node"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    except peers.Missing as missing:
        facts["node"] = f"not measured: {missing}"
    facts["ledger"] = (
        f"{course.findings.compared:,} messages that the stub took were compared with the"
        " sidecar's log, row by row and both ways: no difference"
    )
    facts["stub"] = (
        f"at most {course.findings.busiest_stub:.0%} of a core while a sidecar was measured,"
        " by its own accounting"
    )
    return facts


def _build() -> str:
    """Whether the interpreter says that its own run was used to optimise it: a sixth of the CPU."""
    flag = "--enable-optimizations"
    has_it = flag in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    if not has_it and sys.base_prefix == "/usr":
        return "the system's own; Debian's are optimised by `make profile-opt`"
    return f"configured with{'' if has_it else 'out'} `{flag}`"


def _revision(tree: Path) -> str:
    command = ["git", "-C", str(tree), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not a checkout of git"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
