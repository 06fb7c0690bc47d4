"""One course of the bench: its tools, what it starts, and a measurement that checks itself."""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench import ledger
from bench.certificates import Certificates
from bench.processes import Worker, cores
from bench.sidecars import Sidecar, Tree, configuration, provider
from bench.stats import Reading

TEXT = "Your code is 482913. It is good for five minutes. Do not share it with anybody."
MAIL, SMS = "email", "sms"


class Target(Protocol):
    """A server that takes sends. `checks`: it keeps a log that must agree with the stub."""

    @property
    def port(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def checks(self) -> bool: ...
    def pids(self) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Run:
    """What one measurement found; latencies in seconds, CPU in seconds a send."""

    per_second: float
    cpu: float
    stub_share: float
    load_share: float
    p50: float
    p99: float
    never: int
    fair: float
    served: int
    refused: int


@dataclass(slots=True)
class Findings:
    """Everything that was found: readings by key, tables and curves for the report."""

    readings: dict[str, Reading] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    curves: list[Chart] = field(default_factory=list)
    compared: int = 0
    busiest_stub: float = 0.0


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the report."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of the report: `series` has points (x, y) by name; both axes may be logarithmic."""

    name: str
    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    log_y: bool = False


@dataclass(slots=True)
class Course:
    """The tools, and how long things take: `scale` shortens a smoke test."""

    tree: Tree
    home: Path
    quick: bool
    certificates: Certificates
    stub: Worker
    load: Worker
    findings: Findings = field(default_factory=Findings)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def ports(self) -> Mapping[str, int]:
        return self.stub.hello

    def pick(self, full: Any, quick: Any) -> Any:
        """A number for the full bench, and one for the smoke test."""
        return quick if self.quick else full

    def span(self, seconds: float, *, warm: float = 1.0, count: int = 64) -> dict[str, Any]:
        """How long a job lasts: seconds, or for the smoke test a count, however slow it is."""
        return {"count": count} if self.quick else {"seconds": seconds, "warm": warm}

    def say(self, text: str) -> None:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    def sidecar(
        self,
        config: Mapping[str, Any] | str,
        program: Sequence[str] = ("sidecar",),
        **variables: str,
    ) -> Sidecar:
        """A sidecar of the tree on its core, in a directory of its own."""
        home = self.home / f"sidecar-{next(self._numbers)}"
        environ = {**self.certificates.environ(), **variables}
        return Sidecar(self.tree, home, cores()[0], config, environ, program)

    def simple(
        self,
        mail: str = "ses",
        sms: str = "sns",
        *,
        program: Sequence[str] = ("sidecar",),
        **more: Any,
    ) -> Sidecar:
        """A sidecar with one provider for each channel, each over TLS."""
        chosen = {name: provider(name, self.ports) for name in (mail, sms)}
        return self.sidecar(configuration(chosen, {MAIL: [mail], SMS: [sms]}, **more), program)

    def run(self, target: Target, channel: str = MAIL, *, text: str = TEXT, **job: Any) -> Run:
        """Measure one target; where it keeps a log, compare that with what the stub took.

        Raises Mismatch where they differ. `delay` is the stub's, in seconds.
        """
        self.stub.ask(delay=job.pop("delay", 0.0))
        if self.quick:
            job["connections"] = min(job.get("connections", 1), 32)
        prefix = f"r{next(self._numbers)}-"
        watch = {"target": target.pids(), "stub": [self.stub.pid]}
        if target.pids() == [self.stub.pid]:
            del watch["target"]
        body = _body(channel, prefix, text)
        found = self.load.ask(port=target.port, path=target.path, body=body, watch=watch, **job)
        if not found["served"]:
            raise SystemExit(f"a {type(target).__name__} served nothing: {found}")
        self._compare(target, prefix, found)
        return self._run(target, found)

    def rounds(self, count: int, measure: Mapping[str, Callable[[], Run]]) -> dict[str, list[Run]]:
        """`measure` each, turn by turn, `count` times, every other time backwards."""
        found: dict[str, list[Run]] = {name: [] for name in measure}
        for number in range(count):
            names = list(measure)
            for name in reversed(names) if number % 2 else names:
                found[name].append(measure[name]())
                self.say(f"  {name}: {found[name][-1].per_second:.0f}/s")
        return found

    def _compare(self, target: Target, prefix: str, found: Mapping[str, Any]) -> None:
        path = self.home / "ledger"
        self.stub.ask(drain=str(path))
        if not target.checks:
            return
        assert isinstance(target, Sidecar)
        rows = target.rows(prefix, found["sent"])
        entries = ledger.read(path)
        answered = found["statuses"].get("200", 0)
        ledger.compare(entries, rows, answered, prefix, lost=found["lost"])
        self.findings.compared += len(entries)

    def _run(self, target: Target, found: Mapping[str, Any]) -> Run:
        served, seconds, cpu = found["served"], found["seconds"], found["cpu"]
        refused = sum(n for status, n in found["statuses"].items() if not status.startswith("2"))
        share = cpu["stub"] / seconds
        if target.checks:
            self.findings.busiest_stub = max(self.findings.busiest_stub, share)
        return Run(
            per_second=served / seconds,
            cpu=cpu.get("target", 0.0) / max(1, served),
            stub_share=share,
            load_share=cpu["load"] / seconds,
            p50=found["p50"],
            p99=found["p99"],
            never=found["never"],
            fair=found["fair"],
            served=served,
            refused=refused,
        )


@dataclass(frozen=True, slots=True)
class Direct:
    """The stub itself as a target, as an app without a sidecar would call it."""

    port: int
    pid: int
    path: str = "/raw"
    checks: bool = False

    def pids(self) -> list[int]:
        return [self.pid]


def _body(channel: str, prefix: str, text: str) -> str:
    to = "u%07d@example.com" if channel == MAIL else "+1415%07d"
    return (
        f'{{"channel": "{channel}", "to": "{to}", "text": "{text}", "expires_in": 300,'
        f' "id": "{prefix}%07d"}}'
    )


@contextlib.contextmanager
def stopping(targets: Mapping[str, Any]) -> Any:
    """Stop all of them at the end."""
    try:
        yield targets
    finally:
        for target in targets.values():
            target.stop()
