"""What the process asks of the system for itself: no core dumps, and enough descriptors."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass

MOST_DESCRIPTORS = 65_536
"""As far as the soft limit is raised: more is never used, and some systems allow a billion."""
OPS_CONNECTIONS = 64
"""Connections of the second listener: probes and scrapes need a few."""


@dataclass(frozen=True, slots=True)
class Seats:
    """How many callers may be connected to one listener at once.

    `connections` are served; up to `most` are accepted, so that those above still get an answer.
    """

    connections: int
    most: int


def harden() -> None:
    """Forbid core dumps, which would hold codes and secrets, and raise the descriptor limit."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS allows less than its hard limit says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def spare_descriptors() -> int:
    """How many descriptors the process may still open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    return most - len(os.listdir("/dev/fd"))  # noqa: PTH208  # names are enough


def share_seats(connections: int, reserve: int, spare: int, listeners: int) -> list[Seats]:
    """The seats of the main listener, and of the second one where `listeners` is 2.

    `connections` is what the configuration allows, `reserve` how many descriptors the providers may
    need, `spare` how many there are. Where they are few, the providers get half: a connection that
    is taken in and cannot be served is worse than one that waits.
    """
    room = max(8, spare - min(reserve, spare // 2))
    second = min(room // 4, 2 * OPS_CONNECTIONS) if listeners > 1 else 0
    seats = [_seats(connections, room - second)]
    return [*seats, _seats(min(connections, OPS_CONNECTIONS), second)] if second else seats


def _seats(connections: int, room: int) -> Seats:
    served = min(connections, max(1, room * 3 // 4))
    return Seats(served, max(served + 1, min(room, 4 * served)))
