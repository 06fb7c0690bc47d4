"""The writer's promises: what is committed together, who is told what, and when."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from sidecar.store import Claimed, LogUnavailable
from sidecar.store.writer import BACKLOG_LIMIT, GROUP_LIMIT, Locked, Writer

PATIENT = 20.0
SOON = 0.02


class Ledger:
    """A database of a list. Its gates let a test stop the thread inside a call."""

    def __init__(self):
        self.rows = []
        self.commits = []
        self.closed = False
        self.fault = None
        self.may_begin = threading.Event()
        self.may_commit = threading.Event()
        self.committing = threading.Event()
        self.refused = threading.Semaphore(0)
        self.may_begin.set()
        self.may_commit.set()

    def begin(self):
        if not self.may_begin.wait(SOON / 4):
            self.refused.release()
            raise Locked("locked by a test")
        self.draft = []

    def commit(self):
        fault = self.fault
        self.committing.set()
        assert self.may_commit.wait(PATIENT)
        if fault is not None:
            raise fault
        self.rows += self.draft
        self.commits.append(list(self.draft))

    def rollback(self):
        self.draft = []

    def explain(self, error):
        return LogUnavailable("explained") if isinstance(error, OSError) else error

    def close(self):
        self.closed = True


@asynccontextmanager
async def writing(timeout=PATIENT, **settings):
    ledger = Ledger()
    writer = Writer(timeout, **settings)
    await writer.start(lambda: (ledger, None))
    try:
        yield writer, ledger
    finally:
        ledger.may_begin.set()
        ledger.may_commit.set()
        await writer.close(PATIENT)


def write(row):
    def work(ledger):
        if isinstance(row, Exception):
            raise row
        ledger.draft.append(row)
        return row

    return work


async def stopped_in_commit(writer, ledger, **options):
    """A job whose commit hangs until `may_commit` is set."""
    ledger.committing.clear()
    ledger.may_commit.clear()
    while True:
        task = asyncio.create_task(writer.do(write("stopped"), **options))
        stopped = asyncio.create_task(asyncio.to_thread(ledger.committing.wait, PATIENT))
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done() or ledger.committing.is_set():
            assert await stopped
            return task
        # A busy machine let its short time run out before it was begun: once more.


async def test_what_waits_is_committed_as_one_transaction(queued):
    async with writing() as (writer, ledger):
        first = await stopped_in_commit(writer, ledger)
        rest = await queued(*(writer.do(write(number)) for number in range(100)))
        ledger.may_commit.set()
        assert await asyncio.gather(first, *rest) == ["stopped", *range(100)]
        assert ledger.commits == [["stopped"], list(range(100))]
        assert writer.commits == 2


async def test_one_transaction_has_its_limit(queued):
    async with writing() as (writer, ledger):
        first = await stopped_in_commit(writer, ledger)
        rest = await queued(*(writer.do(write(number)) for number in range(GROUP_LIMIT + 1)))
        ledger.may_commit.set()
        await asyncio.gather(first, *rest)
        assert [len(commit) for commit in ledger.commits] == [1, GROUP_LIMIT, 1]


async def test_a_failing_job_takes_no_other_with_it(queued):
    async with writing() as (writer, ledger):
        first = await stopped_in_commit(writer, ledger)
        rest = await queued(
            *(writer.do(write(row)) for row in ("a", OSError("secret"), "b", KeyError("c"), "d"))
        )
        ledger.may_commit.set()
        await first
        answers = await asyncio.gather(*rest, return_exceptions=True)
        assert [answers[0], answers[2], answers[4]] == ["a", "b", "d"]
        assert (type(answers[1]), str(answers[1])) == (LogUnavailable, "explained")
        assert isinstance(answers[3], KeyError)
        assert ledger.rows == ["stopped", "a", "b", "d"]


async def test_nobody_is_told_of_success_when_the_commit_fails(queued):
    async with writing() as (writer, ledger):
        first = await stopped_in_commit(writer, ledger)
        rest = await queued(*(writer.do(write(number)) for number in range(3)))
        ledger.fault = OSError("disk")
        ledger.may_commit.set()
        assert await first == "stopped"
        answers = await asyncio.gather(*rest, return_exceptions=True)
        assert [str(answer) for answer in answers] == ["explained"] * 3
        ledger.fault = None
        assert await writer.do(write("well again")) == "well again"
        assert ledger.rows == ["stopped", "well again"]


async def test_a_job_waits_for_the_lock_as_long_as_its_caller_does(queued):
    async with writing() as (writer, ledger):
        ledger.may_begin.clear()
        (task,) = await queued(writer.do(write("patient")))
        for _ in range(3):
            assert await asyncio.to_thread(ledger.refused.acquire, timeout=PATIENT)
        assert not task.done()
        ledger.may_begin.set()
        assert await task == "patient"


async def test_closing_does_not_wait_for_a_lock_that_nobody_wants_any_more():
    async with writing(timeout=SOON) as (writer, ledger):
        ledger.may_begin.clear()
        with pytest.raises(LogUnavailable):
            await writer.do(write("given up"))
        await writer.close(PATIENT)
        assert not writer._thread.is_alive()
        assert ledger.closed


async def test_a_job_is_given_up_while_the_database_is_locked_and_never_done():
    async with writing(timeout=SOON) as (writer, ledger):
        ledger.may_begin.clear()
        with pytest.raises(LogUnavailable):
            await writer.do(write("given up"))
        ledger.may_begin.set()
        await still_serves(writer)
        assert "given up" not in ledger.rows


async def test_the_one_who_gives_up_is_told_what_the_trouble_was():
    async with writing(timeout=SOON) as (writer, ledger):
        ledger.may_begin.clear()
        reasons = set()
        async with asyncio.timeout(PATIENT):
            while "locked by a test" not in reasons:
                with pytest.raises(LogUnavailable) as refused:
                    await writer.do(write("given up"))
                reasons.add(str(refused.value))
        ledger.may_begin.set()
        await still_serves(writer)
        assert writer._trouble is None


async def test_a_job_behind_a_hanging_commit_is_given_up_and_never_done():
    async with writing(timeout=SOON) as (writer, ledger):
        hanging = await stopped_in_commit(writer, ledger)
        with pytest.raises(LogUnavailable, match="did not answer within 20 ms"):
            await writer.do(write("given up"))
        # The hanging one is past its own time by now; that it is written after all decides.
        ledger.may_commit.set()
        assert await hanging == "stopped"
        await still_serves(writer)
        assert "given up" not in ledger.rows


async def test_a_job_whose_caller_was_cancelled_is_not_done(queued):
    async with writing() as (writer, ledger):
        first = await stopped_in_commit(writer, ledger)
        (cancelled,) = await queued(writer.do(write("cancelled")))
        cancelled.cancel()
        ledger.may_commit.set()
        await asyncio.wait({first, cancelled})
        await writer.do(write("next"))
        assert ledger.rows == ["stopped", "next"]


@pytest.mark.parametrize("how", ["hangs too long", "cancelled"])
async def test_what_succeeds_after_its_caller_left_is_undone(how):
    undone = asyncio.get_running_loop().create_future()

    def undo(_, answer):
        undone.get_loop().call_soon_threadsafe(undone.set_result, answer)

    async with writing(timeout=SOON, hang=SOON) as (writer, ledger):
        task = await stopped_in_commit(writer, ledger, undo=undo)
        if how == "cancelled":
            task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or isinstance(task.exception(), LogUnavailable)
        ledger.may_commit.set()
        assert await asyncio.wait_for(undone, PATIENT) == "stopped"


async def test_a_loop_that_stands_still_as_it_asks_does_not_use_up_the_patience():
    patience = 1.0
    async with writing(timeout=patience) as (writer, ledger):
        async with asyncio.timeout(PATIENT):
            while not writer._queue._is_asleep:  # noqa: ASYNC110  # the thread tells nobody
                await asyncio.sleep(0)
        task = asyncio.create_task(writer.do(write("asked")))
        await asyncio.sleep(0)
        threading.Event().wait(1.1 * patience)  # the rest of the turn in which it was asked
        assert await task == "asked"
        assert ledger.rows == ["asked"]


async def test_what_succeeds_in_the_turn_in_which_its_caller_leaves_is_undone():
    """The loop stood still: the answer and the end of the caller's patience are there at once."""
    undone = asyncio.get_running_loop().create_future()

    def undo(_, answer):
        undone.get_loop().call_soon_threadsafe(undone.set_result, answer)

    async def hurried():
        async with asyncio.timeout(25 * SOON):  # a busy machine must hand it over before
            return await writer.do(write("late"), undo=undo)

    async with writing() as (writer, _):
        task = asyncio.create_task(hurried())
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # it is handed over at the end of the turn
        blocked = threading.Event()
        while not writer.commits:
            blocked.wait(SOON)
        blocked.wait(30 * SOON)  # the thread has told it, and nobody could hear
        with pytest.raises(TimeoutError):
            await task
        assert await asyncio.wait_for(undone, PATIENT) == "late"


async def test_what_fails_after_its_caller_left_is_not_undone():
    undone = []
    async with writing(timeout=SOON, hang=SOON) as (writer, ledger):
        ledger.fault = OSError("disk")
        task = await stopped_in_commit(writer, ledger, undo=lambda *_: undone.append(1))
        ledger.fault = None
        with pytest.raises(LogUnavailable):
            await task
        ledger.may_commit.set()
        await still_serves(writer)
        await still_serves(writer)
    assert undone == []


async def test_a_backlog_is_refused_at_once(queued):
    async with writing() as (writer, ledger):
        first = await stopped_in_commit(writer, ledger)
        rest = await queued(*(writer.do(write(0)) for _ in range(BACKLOG_LIMIT)))
        with pytest.raises(LogUnavailable, match="too much waits"):
            await writer.do(write("one more"))
        ledger.may_commit.set()
        await asyncio.gather(first, *rest)
        assert await writer.do(write("room again")) == "room again"


async def test_closing_writes_what_is_queued_and_ends_the_thread(queued):
    async with writing() as (writer, ledger):
        tasks = await queued(*(writer.do(write(number)) for number in range(700)))
        await writer.close(PATIENT)
        assert await asyncio.gather(*tasks) == list(range(700))
        assert ledger.closed
        assert not writer._thread.is_alive()
        with pytest.raises(LogUnavailable, match="not open"):
            await writer.do(write("too late"))


async def test_a_hanging_disk_does_not_keep_close_from_returning():
    async with writing(timeout=SOON) as (writer, ledger):
        hanging = await stopped_in_commit(writer, ledger)
        await writer.close(SOON)
        assert writer._thread.is_alive()
        assert writer._thread.daemon
        ledger.may_commit.set()
        assert await hanging == "stopped"


async def test_what_the_start_raises_reaches_its_caller():
    def connect():
        raise OSError("cannot open")

    writer = Writer(PATIENT)
    with pytest.raises(OSError, match="cannot open"):
        await writer.start(connect)
    with pytest.raises(LogUnavailable, match="not open"):
        await writer.do(write("never"))
    await writer.close(PATIENT)
    assert not writer._thread.is_alive()


async def test_two_thousand_claims_at_once_share_a_few_commits(sqlite, claim_of):
    before = sqlite.commits
    claims = [claim_of(f"d-{n}", key_hash=f"k-{n}") for n in range(2000)]
    answers = await asyncio.gather(*(sqlite.claim(one, keep_keys=60.0) for one in claims))
    assert answers == [Claimed(one.id, 1) for one in claims]
    assert sqlite.commits - before <= len(claims) / 10


async def still_serves(writer):
    """Wait until the thread has been through its queue; a short timeout may need some tries."""
    async with asyncio.timeout(PATIENT):
        while True:
            try:
                return await writer.do(write("served"))
            except LogUnavailable:
                await asyncio.sleep(0)


async def test_an_answer_that_comes_too_late_at_the_end_is_taken_back():
    undone = []
    async with writing() as (writer, ledger):
        late = await stopped_in_commit(writer, ledger, undo=lambda _, answer: undone.append(answer))
        late.cancel()
        await asyncio.sleep(0)
        closing = asyncio.create_task(writer.close(PATIENT))
        await asyncio.sleep(SOON)
        ledger.may_commit.set()
        await closing
        assert undone == ["stopped"]
        assert ledger.closed
