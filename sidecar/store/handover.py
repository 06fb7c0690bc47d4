"""From the event loop to one thread: a queue that wakes it once a turn, and one timer for all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

J = TypeVar("J")


class Queue(Generic[J]):
    """What the loop puts in is there for the thread at once; a thread that sleeps is woken.

    It is woken once a turn, for all that the turn brings: one that wakes amid the turn does not get
    the interpreter, or takes it from those who are about to bring more. `handed_over` is told of
    them then, on the loop: patience with the thread begins here, not while the loop stands still.

    Jobs stand in lanes, and the lanes take turns: a burst in one waits for itself.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handed_over: Callable[[list[J]], None]
    ) -> None:
        self._loop = loop
        self._handed_over = handed_over
        self._lanes: dict[str, deque[J]] = {}
        self._put = self._got = 0  # each is counted in one thread alone
        self._turn = 0  # the lane whose turn it is, on the thread
        self._is_asleep = False  # the thread, or it is just about to be
        self._has_ended = False
        self._alarm: SimpleQueue[None] = SimpleQueue()
        self._fresh: list[J] = []

    def __len__(self) -> int:
        return self._put - self._got

    def put(self, job: J, lane: str = "") -> None:
        """On the event loop."""
        waiting = self._lanes.get(lane)
        if waiting is None:
            waiting = self._lanes[lane] = deque()
        self._put += 1  # first: whoever sleeps looks at the count before it does
        waiting.append(job)
        if not self._fresh:
            self._loop.call_soon(self._hand_over)
        self._fresh.append(job)

    def end(self) -> None:
        """On the event loop: nothing is put in any more."""
        self._has_ended = True
        self._alarm.put(None)

    def _hand_over(self) -> None:
        fresh, self._fresh = self._fresh, []
        if self._is_asleep:
            self._is_asleep = False
            self._alarm.put(None)
        self._handed_over(fresh)

    def get(self) -> J | None:
        """On the thread: the next one, waited for; None when all were served and it has ended."""
        while not (job := self.get_waiting(1)):
            if self._has_ended:
                # What was put in before the end came is served.
                return next(iter(self.get_waiting(1)), None)
            self._is_asleep = True
            # Looked at once more: who came before the flag was up wakes nobody.
            if not len(self) and not self._has_ended:
                self._alarm.get()
            self._is_asleep = False
        return job[0]

    def get_waiting(self, limit: int) -> list[J]:
        """On the thread: what waits, `limit` of it at most, one of each lane after the other."""
        lanes = list(self._lanes.values())
        if len(filled := [lane for lane in lanes if lane]) == 1:  # as nearly always
            found = [filled[0].popleft() for _ in range(min(limit, len(filled[0])))]
        else:
            found = self._one_of_each(lanes, limit)
        self._got += len(found)
        return found

    def _one_of_each(self, lanes: list[deque[J]], limit: int) -> list[J]:
        found: list[J] = []
        empty = 0
        while len(found) < limit and empty < len(lanes):
            lane = lanes[self._turn % len(lanes)]
            self._turn += 1
            if lane:
                found.append(lane.popleft())
                empty = 0
            else:
                empty += 1
        return found


class Awaited(Protocol):
    """Something with a future, and the time on the loop's clock at which it is given up."""

    @property
    def future(self) -> asyncio.Future[object]: ...
    @property
    def due(self) -> float: ...


A = TypeVar("A", bound=Awaited)


class Deadlines(Generic[A]):
    """Calls `give_up` for each that is due and not done, with one timer for all of them.

    They are added in the order in which they are due, as where all have the same patience.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, give_up: Callable[[A], None]) -> None:
        self._loop = loop
        self._give_up = give_up
        self._awaited: deque[A] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, fresh: Sequence[A]) -> None:
        awaited = self._awaited
        while awaited and awaited[0].future.done():
            awaited.popleft()
        awaited.extend(fresh)
        if fresh and self._timer is None:
            self._timer = self._loop.call_at(fresh[0].due, self._look)

    def _look(self) -> None:
        # What is done leaves the timer as it is: it may find nothing, and that is cheaper than to
        # cancel it for everyone who was served.
        self._timer = None
        now = self._loop.time()
        while self._awaited:
            one = self._awaited[0]
            if not one.future.done():
                if one.due > now:
                    self._timer = self._loop.call_at(one.due, self._look)
                    return
                self._give_up(one)
            self._awaited.popleft()
