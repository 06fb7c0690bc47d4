"""One alert on its way to the webhook: its body, its headers, and when it is tried next."""

from __future__ import annotations

import platform
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from sidecar import __version__
from sidecar.alerts.model import Alert
from sidecar.alerts.signing import sign
from sidecar.ids import random_hex

PAUSES = (5.0, 30.0, 120.0, 300.0, 900.0, 1800.0, 2700.0)
"""Seconds after each try that failed: eight tries within two hours. The specification's own example
begins with 5 s too and goes on for three days; an alert is stale by then."""
SPREAD = 0.2
"""The fraction by which a pause is longer or shorter, so that sidecars do not all come at once."""
TRIES = len(PAUSES) + 1
LIFE = 7_200.0
"""Seconds after which a letter is given up, also where it could not be tried."""


@dataclass(slots=True, eq=False)
class Letter:
    """`at` is when it happened, in Unix seconds; `born` and `due` are monotonic."""

    id: str
    alert: Alert
    at: float
    born: float
    due: float
    tries: int = 0
    hurried: bool = False

    @property
    def about(self) -> tuple[str, str]:
        """What it is about: of two about the same the older one goes first."""
        return self.alert.event, self.alert.subject

    def put_off(self, now: float) -> None:
        """After a try that failed: wait for the next."""
        spread = 1.0 + random.uniform(-SPREAD, SPREAD)  # noqa: S311  # spreads tries, no secret
        self.due = now + PAUSES[self.tries - 1] * spread


def new_id() -> str:
    """A `webhook-id`; every try of one letter has the same."""
    return f"msg_{random_hex(16)}"


def body_of(letter: Letter, environment: str) -> bytes:
    """The JSON as the specification recommends it: `type`, `timestamp`, `data`."""
    alert = letter.alert
    at = datetime.fromtimestamp(letter.at, UTC).isoformat(timespec="milliseconds")
    return orjson.dumps(
        {
            "type": f"otp_sidecar.{alert.event}",
            "timestamp": at.replace("+00:00", "Z"),
            "data": {
                "event": alert.event,
                "subject": alert.subject,
                "summary": alert.summary,
                "resolved": alert.resolved,
                "level": alert.level,
                "facts": dict(alert.facts),
                "sidecar": {
                    "version": __version__,
                    "environment": environment,
                    "hostname": platform.node(),
                },
            },
        },
        default=str,
    )


def headers_of(letter_id: str, keys: Iterable[bytes], now: int, body: bytes) -> Mapping[str, str]:
    """The headers of one try; `now` is in Unix seconds, and another one at each try."""
    return {
        "Content-Type": "application/json",
        "User-Agent": f"otp-sidecar/{__version__}",
        "webhook-id": letter_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(keys, letter_id, now, body),
    }
