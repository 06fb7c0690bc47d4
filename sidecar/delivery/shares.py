"""Limits that all channels share, so that a flood on one of them leaves the others theirs.

Half of a limit is divided among the channels; every one has an entry in `taken`, 0 included.
"""

from __future__ import annotations

from collections.abc import Mapping


def fits(total: int, taken: Mapping[str, int], channel: str) -> bool:
    """Whether one more of `channel` fits into `total` beside what is `taken`, by channel.

    What a channel does not use of its part is not taken by the others, and the total is never
    exceeded. For what is held for seconds: whoever comes late cannot wait until it is given back.
    """
    taken_in_all = sum(taken.values())
    if taken_in_all < total // 2 or len(taken) < 2:
        return taken_in_all < total
    kept = _part(total, taken)
    others = sum(max(0, kept - n) for name, n in taken.items() if name != channel)
    return total - taken_in_all > others


def may_wait(total: int, waiting: Mapping[str, int], channel: str) -> bool:
    """Whether one more of `channel` may wait beside those `waiting`, by channel.

    All of the total may be one channel's; another may then still have its part, on top of it. For
    what is short and cheap: nobody is refused while there is room, and nobody is kept out.
    """
    return sum(waiting.values()) < total or waiting.get(channel, 0) < _part(total, waiting)


def _part(total: int, taken: Mapping[str, int]) -> int:
    return total // (2 * max(1, len(taken)))
