"""One thread that owns one database: what waits for it is committed as one transaction.

The event loop only puts jobs into a queue. An answer is given after the commit, never before; a
job whose caller gave up is passed over, unless it was already being carried out.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sidecar.store import LogUnavailable
from sidecar.store.handover import Deadlines, Queue

GROUP_LIMIT = 128
"""Jobs in one transaction, at most: more save little, and who comes next waits for all of them."""
BACKLOG_LIMIT = 10_000
"""Jobs that wait; with more than these the disk has hung, and the rest is refused at once."""
LAST_WORD = 0.5
"""Seconds that the thread waits at its end for the loop to hear its last answers."""
HANG = 2.0
"""Seconds past its timeout that a job already being carried out is waited for."""


class Locked(LogUnavailable):
    """Another process holds the database's write lock."""


class Database(Protocol):
    """What the thread needs of a database; every call is made on the thread."""

    def begin(self) -> None:
        """Begin a transaction that may write, ending one that is left over."""

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """Take the transaction back. Raises nothing."""

    def explain(self, error: Exception) -> Exception:
        """The database's own error as a `LogUnavailable`; any other as it is."""

    def close(self) -> None:
        """Let go of everything. Raises nothing."""


D = TypeVar("D", bound=Database)
T = TypeVar("T")
Item = TypeVar("Item")
Together = Callable[[D, Sequence[Any]], Sequence[Any]]


@dataclass(slots=True, eq=False)
class _Job(Generic[D]):
    """One operation on its way. `future` belongs to the loop, the rest to the thread once taken."""

    together: Together[D]
    item: Any
    future: asyncio.Future[Any]
    undo: Callable[[D, Any], None] | None = None
    is_awaited: bool = True
    due: float = 0.0
    taken: bool = False
    answer: Any = None
    error: Exception | None = None


class Writer(Generic[D]):
    """The thread, its queue, and the way back to the event loop that opened it.

    `timeout` bounds each operation, in seconds; `commits` counts the transactions committed. It is
    started once.
    """

    def __init__(self, timeout: float, *, hang: float = HANG) -> None:
        self.commits = 0
        self._timeout = timeout
        self._hang = hang
        self._taking = threading.Lock()
        self._trouble: Exception | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._queue: Queue[_Job[D]]
        self._deadlines: Deadlines[_Job[D]]
        self._accepts = False

    async def start(self, connect: Callable[[], tuple[D, T]]) -> T:
        """Start the thread, and give what `connect`, run there, gives beside the database.

        Raises what `connect` raises; the thread has ended then.
        """
        self._loop = asyncio.get_running_loop()
        self._queue = Queue(self._loop, self._begin_waiting)
        self._deadlines = Deadlines(self._loop, self._give_up_waiting)
        opening = _Job(_one_by_one, None, self._loop.create_future())
        # A daemon: a hung disk must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._run, args=(connect, opening), name="delivery-log", daemon=True
        )
        self._thread.start()
        try:
            answer: T = await opening.future
        except asyncio.CancelledError:
            self._queue.end()
            raise
        self._accepts = True
        return answer

    async def do(
        self, work: Callable[[D], T], undo: Callable[[D, T], None] | None = None, lane: str = ""
    ) -> T:
        """What `work` gives, once it is committed; see `join`."""
        return await self.join(_one_by_one, work, undo, lane)

    async def join(
        self,
        together: Callable[[D, Sequence[Item]], Sequence[T]],
        item: Item,
        undo: Callable[[D, T], None] | None = None,
        lane: str = "",
    ) -> T:
        """What `together` gives for `item`, once it is committed.

        Raises LogUnavailable, or what `together` raises: it is called for all that wait, and for
        each alone where that raises. `undo` is carried out with the answer where the commit hangs
        until the caller is told that it failed, and succeeds. Lanes take turns (`handover.Queue`).
        """
        if not self._accepts:
            raise LogUnavailable("the log is not open")
        if len(self._queue) >= BACKLOG_LIMIT:
            raise LogUnavailable("too much waits for the log already")
        job = _Job(together, item, self._loop.create_future(), undo)
        self._queue.put(job, lane)
        try:
            answer: T = await job.future
        except asyncio.CancelledError:
            self._answered_in_vain(job)
            raise
        return answer

    async def close(self, patience: float) -> None:
        """Carry out what is queued, close the database, and wait `patience` seconds for that."""
        self._accepts = False
        if self._thread is not None and self._thread.is_alive():
            self._queue.end()
            # Joined elsewhere, and with a bound: the loop must not wait for a hung disk.
            joined = self._loop.run_in_executor(None, self._thread.join, patience)
            await asyncio.wait({joined}, timeout=patience)

    # On the event loop

    def _begin_waiting(self, jobs: Sequence[_Job[D]]) -> None:
        due = self._loop.time() + self._timeout
        awaited = [job for job in jobs if job.is_awaited]
        for job in awaited:
            job.due = due
        self._deadlines.add(awaited)

    def _give_up_waiting(self, job: _Job[D]) -> None:
        with self._taking:
            if job.taken:  # it may yet succeed, so the caller must not be told that it failed
                self._loop.call_later(self._hang, self._give_up, job)
            else:
                self._give_up(job)

    def _give_up(self, job: _Job[D]) -> None:
        if not job.future.done():
            job.future.set_exception(self._why())

    def _why(self) -> LogUnavailable:
        if self._trouble is not None:
            return LogUnavailable(str(self._trouble))
        return LogUnavailable(f"the log did not answer within {self._timeout * 1000:.0f} ms")

    def _settle(self, jobs: Sequence[_Job[D]]) -> None:
        for job in jobs:
            if job.future.done():
                self._undo(job)
            elif job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.answer)

    def _answered_in_vain(self, job: _Job[D]) -> None:
        # After a stall of the loop the answer and the caller's timeout come in one turn: the
        # future has the answer, the caller is cancelled all the same, and never sees it.
        future = job.future
        if future.done() and not future.cancelled() and future.exception() is None:
            self._undo(job)

    def _undo(self, job: _Job[D]) -> None:
        if job.undo is None or job.error is not None:
            return
        undo, answer = job.undo, job.answer
        late = _Job(
            _one_by_one, lambda db: undo(db, answer), self._loop.create_future(), is_awaited=False
        )
        # Nobody waits for it. Should it fail too, the next start closes what is left open.
        late.future.add_done_callback(asyncio.Future.exception)
        self._queue.put(late)

    # On the thread

    def _run(self, connect: Callable[[], tuple[D, Any]], opening: _Job[D]) -> None:
        try:
            database, opening.answer = connect()
        except Exception as error:  # noqa: BLE001  # it travels to the caller
            opening.error = error
            self._tell([opening])
            return
        self._tell([opening])
        self._serve(database)
        self._hear_the_last()
        self._serve(database)
        database.close()

    def _serve(self, database: D) -> None:
        while (job := self._queue.get()) is not None:
            if self._begin(database, job):
                group = self._take(job)
                self._carry_out(database, group)
                self._tell(group)

    def _hear_the_last(self) -> None:
        """Wait until the loop has looked at the last answers: one given in vain is taken back."""
        heard = threading.Event()
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(heard.set)
            heard.wait(LAST_WORD)

    def _tell(self, jobs: Sequence[_Job[D]]) -> None:
        with suppress(RuntimeError):  # the loop has been closed: nobody is left to be told
            self._loop.call_soon_threadsafe(self._settle, jobs)

    def _begin(self, database: D, job: _Job[D]) -> bool:
        """Begin a transaction, for as long as somebody waits for `job`; whether it was begun."""
        while not job.future.done():
            try:
                database.begin()
            except Exception as error:  # noqa: BLE001  # it travels to the caller
                self._trouble = database.explain(error)
            else:
                self._trouble = None
                return True
            if not isinstance(self._trouble, Locked):
                job.error = self._trouble
                self._tell([job])
                return False
        return False

    def _take(self, first: _Job[D]) -> list[_Job[D]]:
        """All that waits, now that a transaction is open, but for what was given up meanwhile."""
        group = [first, *self._queue.get_waiting(GROUP_LIMIT - 1)]
        with self._taking:
            taken = [job for job in group if not job.future.done()]
            for job in taken:
                job.taken = True
        return taken

    def _carry_out(self, database: D, group: Sequence[_Job[D]]) -> None:
        """The group in the transaction that is open; where it fails, each job in one of its own."""
        try:
            self._commit(database, group)
        except Exception as error:  # noqa: BLE001  # it travels to the caller
            database.rollback()
            if len(group) == 1:
                group[0].error = database.explain(error)
            else:
                for job in group:
                    self._carry_out_alone(database, job)

    def _carry_out_alone(self, database: D, job: _Job[D]) -> None:
        try:
            database.begin()
            self._commit(database, [job])
        except Exception as error:  # noqa: BLE001  # it travels to the caller
            database.rollback()
            job.error = database.explain(error)

    def _commit(self, database: D, group: Sequence[_Job[D]]) -> None:
        # Single ones first: what was claimed in vain is taken back before it is claimed again.
        kinds: dict[Any, list[_Job[D]]] = {_one_by_one: []}
        for job in group:
            kinds.setdefault(job.together, []).append(job)
        for together, jobs in kinds.items():
            answers = together(database, [job.item for job in jobs]) if jobs else ()
            for job, answer in zip(jobs, answers, strict=True):
                job.answer = answer
        database.commit()
        self.commits += 1


def _one_by_one(database: D, works: Sequence[Callable[[D], Any]]) -> Sequence[Any]:
    return [work(database) for work in works]
