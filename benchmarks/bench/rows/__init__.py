"""What is measured: each module finds the readings of a few goals."""

from __future__ import annotations

from bench.course import Run
from bench.report import told
from bench.stats import Reading


def usual_columns(runs: list[Run]) -> tuple[str, ...]:
    """Sends a second, CPU us a send, p50 and p99 in ms: medians with spread."""
    return (
        told(Reading.of([run.per_second for run in runs])),
        told(Reading.of([run.cpu * 1e6 for run in runs])),
        told(Reading.of([run.p50 * 1e3 for run in runs])),
        told(Reading.of([run.p99 * 1e3 for run in runs])),
    )
