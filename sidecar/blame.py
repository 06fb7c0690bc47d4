"""Whose code the event loop is in: read from the stack of its thread, innermost frame first.

The first frame that belongs to the sidecar or to a plugin decides. What a plugin calls - an SDK,
the standard library - counts as the plugin's; where it calls us and we block, it is ours.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import FrameType

from sidecar.delivery.link import Link

_OURS = "sidecar"
_BELOW = {("asyncio.events", "_run"), ("sidecar.runner", "run")}
"""Module and function of the frame below a callback: asyncio's own, or whoever runs uvloop's."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """Where the loop is: `where` is `module:line`.

    `provider` and `kind` are None where it is ours, or where nothing tells which of several it is.
    """

    provider: str | None
    kind: str | None
    where: str


class Blame:
    """Names the plugin of a frame. `home_of(kind)` is the module of the class that serves it."""

    def __init__(
        self, links: Callable[[], Iterable[Link]], home_of: Callable[[str], str | None]
    ) -> None:
        self._links = links
        self._home_of = home_of

    def look(self, loop: asyncio.AbstractEventLoop, thread: int) -> Suspect | None:
        """Who holds `loop`, which runs in `thread`; None while it waits and runs nothing."""
        task = asyncio.current_task(loop)
        frames = list(_of_the_callback(sys._current_frames().get(thread)))  # noqa: SLF001  # the one way there is
        return self.name(frames, task.get_name() if task else "") if frames else None

    def name(self, frames: Iterable[FrameType], task: str) -> Suspect:
        """Who is to be named for `frames`, innermost first, in the task of this name."""
        innermost = None
        for frame in frames:
            innermost = innermost or frame
            module = _module(frame)
            if _top(module) == _OURS:
                return Suspect(None, None, _place(innermost))
            suspects = self._guests_in(module)
            if suspects:
                return _suspect(suspects, task, _place(frame))
        assert innermost is not None, "a stack has a frame"
        return Suspect(None, None, _place(innermost))

    def _guests_in(self, module: str) -> list[Link]:
        """The providers whose class lives in this very module, else in the same package."""
        homes = [(link, self._home_of(link.kind) or "") for link in self._links()]
        exact = [link for link, home in homes if home == module]
        return exact or [link for link, home in homes if _top(home) == _top(module)]


def _suspect(links: list[Link], task: str, where: str) -> Suspect:
    # Our tasks are named `attempt <provider> <id>`, `open <provider>` and so on.
    words = task.split(" ")
    named = [link for link in links if words[1:2] == [link.name]]
    (one, *others) = named or links
    kinds = {link.kind for link in (one, *others)}
    return Suspect(None if others else one.name, one.kind if len(kinds) == 1 else None, where)


def _of_the_callback(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames of the callback that the loop is running, without the loop's own below it."""
    found: list[FrameType] = []
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in _BELOW:
            yield from found
            return
        found.append(frame)
        frame = frame.f_back


def _place(frame: FrameType) -> str:
    return f"{_module(frame)}:{frame.f_lineno}"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))


def _top(module: str) -> str:
    return module.partition(".")[0]
