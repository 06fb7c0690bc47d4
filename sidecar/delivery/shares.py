"""A limit that all channels share, and the part of it that each of them keeps for itself."""

from __future__ import annotations

from collections.abc import Mapping


def fits(total: int, taken: Mapping[str, int], channel: str) -> bool:
    """Whether one more of `channel` fits into `total` beside what is `taken`, by channel.

    Half of the total is divided among the channels: what one does not use of its part is not taken
    by the others. So a flood on one channel, or one whose providers are all slow, leaves the others
    their places. Every channel that keeps a part has an entry in `taken`, 0 included.
    """
    taken_in_all = sum(taken.values())
    if taken_in_all < total // 2 or len(taken) < 2:
        return taken_in_all < total
    kept = total // (2 * len(taken))
    others = sum(max(0, kept - n) for name, n in taken.items() if name != channel)
    return total - taken_in_all > others
