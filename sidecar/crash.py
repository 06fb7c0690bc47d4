"""Places where a tester has the process killed, to show what a crash there leads to.

`OTP_SIDECAR_CRASH_AT=sending:2` kills it when a send passes `sending` for the second time. Without
the variable a place costs one comparison.
"""

from __future__ import annotations

import os
import signal

from sidecar import lines
from sidecar.delivery.errors import ConfigError

VARIABLE = "OTP_SIDECAR_CRASH_AT"
POINTS = {
    "claim": "the claim is in the log; with it the first `sending` row, where one is foreseen",
    "sending": "an attempt's `sending` row is in the log, and nothing of it has left",
    "left": "an HTTP provider's request was handed to the system as a whole",
    "accepted": "a provider has accepted, and the log does not know it",
    "written": "the outcome is in the log, and nobody was answered",
}


class _Armed:
    """The one place to die at, and how often it is passed until then."""

    point: str | None = None
    left = 0


def arm(asked: str | None, environment: str) -> None:
    """Die at `asked`, a point or `point:n`; None or nothing for nowhere. Raises `ConfigError`."""
    if not asked:
        return
    point, _, times = asked.partition(":")
    if environment == "production":
        raise ConfigError(f"{VARIABLE} is for tests; `environment: production` does not take it")
    if point not in POINTS:
        raise ConfigError(f"{VARIABLE}: no point is called that; there are: {', '.join(POINTS)}")
    if times and not (times.isascii() and times.isdigit() and int(times)):
        raise ConfigError(f"{VARIABLE}: behind the colon stands a number from 1, as in {point}:2")
    _Armed.point, _Armed.left = point, int(times or 1)


def is_armed(point: str) -> bool:
    """Whether the process is to die at `point`, for a place that costs more than a comparison."""
    return _Armed.point == point


def at(point: str) -> None:
    """A send passes `point`."""
    if _Armed.point != point:
        return
    _Armed.left -= 1
    if not _Armed.left:
        lines.flush()
        os.kill(os.getpid(), signal.SIGKILL)
