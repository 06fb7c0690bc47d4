"""How soon the log's thread gets the interpreter from a busy event loop."""

from __future__ import annotations

import sys

SWITCH, SWITCH_SHARED = 0.005, 0.0005
"""Seconds that a thread waits for Python's lock before whoever holds it is asked for it: Python's
own measure, and the one where several channels are at work."""


def share(channels: int) -> None:
    """Let the log's thread have the interpreter sooner while more than one channel is at work.

    A busy loop gives it away when the thread has waited so long, and in a burst of one channel the
    other's rows wait with it. A channel alone is quicker by Python's own measure.
    """
    sys.setswitchinterval(SWITCH_SHARED if channels > 1 else SWITCH)
