"""Any sequence of operations, crashes included, leaves the same in SQLite as in memory."""

import asyncio
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sidecar.delivery.model import Attempt, Delivery, Money, Outcome, Status
from sidecar.store import Claim, Claimed, LogUnavailable
from sidecar.store.memory import MemoryLog
from sidecar.store.recovery import under_way
from sidecar.store.sqlite import SqliteLog

KEEP = 100.0
IDS = ["d-1", "d-2", "d-3"]
TERMINAL = [status for status in Status if status is not Status.PENDING]

words = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
seconds = st.floats(0, 1e10)
attempts = st.builds(
    Attempt,
    provider=st.sampled_from(["sns", "twilio-eu"]),
    kind=st.just("kind"),
    outcome=st.sampled_from(Outcome),
    started_at=seconds,
    seconds=seconds,
    reason=words,
    provider_code=words,
    provider_message_id=words,
    simulated=st.booleans(),
    cost=st.none() | st.builds(Money, st.decimals(0, 9, places=5).map(Decimal), st.just("EUR")),
    units=st.integers(0, 3),
)
trails = st.lists(attempts, max_size=3).map(tuple)


class BothLogs(RuleBasedStateMachine):
    """The log in memory is the model of the one on disk. Time only goes on."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = tempfile.mkdtemp()
        self.now = 1_000.0
        self.is_rewritten = False
        self.memory = MemoryLog(now=lambda: self.now)
        self.sqlite = self.on_disk()
        self.both(lambda log: log.open())

    @rule(until=st.floats(0, 60), limit=st.integers(1, 3))
    def sum_up(self, until, limit):
        """What was added to the sums is counted once, whatever follows."""
        self.loop.run(self.awaited(self.sqlite.sum_up(self.now - until, limit)))

    @invariant()
    def the_same_was_spent(self):
        if self.is_rewritten:
            return
        memory, sqlite = (
            {one.key: one for one in self.loop.run(self.awaited(log.costs("")))}
            for log in (self.memory, self.sqlite)
        )
        assert memory == sqlite

    def on_disk(self):
        return SqliteLog(Path(self.folder, "log.db"), timeout=20.0, now=lambda: self.now)

    def both(self, operation):
        """The answer that both logs give."""
        answers = [self.answer(operation(log)) for log in (self.memory, self.sqlite)]
        assert answers[0] == answers[1]
        return answers[0]

    def answer(self, operation):
        try:
            return self.loop.run(self.awaited(operation))
        except LogUnavailable as error:
            return str(error)

    async def awaited(self, operation):
        return await operation

    @rule(by=st.floats(0, 60))
    def time_goes_on(self, by):
        self.now += by

    @rule(
        delivery_id=st.sampled_from(IDS),
        key=st.sampled_from([None, "k-1", "k-2"]),
        body=st.sampled_from(["b-1", "b-2"]),
        segments=st.none() | st.integers(1, 9),
        ahead=trails,
    )
    def claim(self, delivery_id, key, body, segments, ahead):
        claim = Claim(delivery_id, "sms", "otp", "+1***", "r", body, self.now, key, segments)
        self.both(lambda log: log.claim(claim, keep_keys=KEEP, first=ahead))

    @rule(delivery_id=st.sampled_from(IDS), run=st.integers(1, 2), trail=trails, at=seconds)
    def sending(self, delivery_id, run, trail, at):
        # The trail of a run only grows: a shorter one than was written comes from no chain.
        shown = self.answer(self.memory.get(delivery_id))
        trail = (shown.attempts if shown else ()) + trail
        self.both(
            lambda log: log.sending(Claimed(delivery_id, run), trail, under_way("sns", "sns", at))
        )

    @rule(
        delivery_id=st.sampled_from(IDS),
        run=st.integers(1, 2),
        status=st.sampled_from(TERMINAL),
        trail=trails,
        reason=words,
        retry_after=st.none() | seconds,
        logged=st.booleans(),
    )
    def finish(self, delivery_id, run, status, trail, reason, retry_after, logged):
        delivery = Delivery(
            delivery_id,
            "sms",
            "otp",
            status,
            self.now,
            self.now + 1,
            trail,
            reason=reason,
            retry_after=retry_after,
            logged=logged,
        )
        known = self.loop.run(self.awaited(self.memory.get(delivery_id)))
        # An end that is said again says what it said before; here it says something else.
        self.is_rewritten |= known is not None and known.status is not Status.PENDING
        self.both(lambda log: log.finish(Claimed(delivery_id, run), delivery))

    @rule(age=st.floats(0, 200), limit=st.integers(0, 3))
    def prune(self, age, limit):
        self.both(lambda log: log.prune(self.now - age, limit))

    @rule()
    def restart(self):
        self.both(lambda log: log.close())
        self.sqlite = self.on_disk()
        self.both(lambda log: log.open())

    @invariant()
    def the_same_is_in_both(self):
        for delivery_id in IDS:
            self.both(lambda log, one=delivery_id: log.get(one))

    def teardown(self):
        self.both(lambda log: log.close())
        self.loop.close()
        shutil.rmtree(self.folder)


TestBothLogs = BothLogs.TestCase
TestBothLogs.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    suppress_health_check=list(HealthCheck),
)
