"""From the loop to the thread: nobody is forgotten, everybody is given up in time."""

import asyncio
import threading
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.store.handover import Deadlines, Queue

PATIENT = 20.0
turns = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["next turn", "until served", "another thread"])),
    max_size=25,
)


@settings(max_examples=60)
@given(turns=turns, limit=st.integers(0, 3))
def test_whatever_is_put_in_is_served_once_and_in_order(turns, limit):
    async def scenario():
        loop = asyncio.get_running_loop()
        served, handed_over = [], []
        queue = Queue(loop, handed_over.extend)

        def serve():
            while (first := queue.get()) is not None:
                group = [first, *queue.get_waiting(limit)]
                assert len(group) <= limit + 1
                served.extend(group)
                for job in group:
                    loop.call_soon_threadsafe(job.set_result, None)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        put = []
        async with asyncio.timeout(PATIENT):
            for jobs, then in turns:
                put += (made := [loop.create_future() for _ in range(jobs)])
                for job in made:
                    queue.put(job)
                if then == "until served":
                    await asyncio.gather(*put)
                elif then == "another thread":
                    await asyncio.to_thread(lambda: None)
                else:
                    await asyncio.sleep(0)
            await asyncio.gather(*put)  # one wake-up that is lost, and this waits for ever
            queue.end()
            await asyncio.to_thread(thread.join, PATIENT)
        assert served == put
        assert handed_over == put
        assert not thread.is_alive()

    asyncio.run(scenario())


async def test_lanes_take_turns():
    queue = Queue(asyncio.get_running_loop(), lambda _: None)
    for number in range(6):
        queue.put(f"sms {number}", "sms")
    queue.put("email 0", "email")
    queue.put("email 1", "email")
    assert queue.get() == "sms 0"
    assert queue.get_waiting(4) == ["email 0", "sms 1", "email 1", "sms 2"]
    assert len(queue) == 3
    queue.put("email 2", "email")
    assert set(queue.get_waiting(2)) == {"email 2", "sms 3"}


async def test_a_lane_that_is_emptied_and_filled_again_waits_for_the_others():
    queue = Queue(asyncio.get_running_loop(), lambda _: None)
    queue.put("sms 0", "sms")
    for number in range(3):
        queue.put(f"email {number}", "email")
    served = []
    for number in range(1, 6):
        served.append(queue.get())
        queue.put(f"sms {number}", "sms")
    assert served == ["sms 0", "email 0", "sms 1", "email 1", "sms 2"]


async def test_what_was_put_in_before_the_end_is_served():
    queue = Queue(asyncio.get_running_loop(), lambda _: None)
    queue.put("one", "a")
    queue.put("two", "b")
    queue.end()
    assert [queue.get(), queue.get(), queue.get()] == ["one", "two", None]


class Timers:
    """A loop's clock and timers, in a test's hand; `armed` counts them."""

    def __init__(self):
        self.now = 0.0
        self.set = []
        self.armed = 0

    def time(self):
        return self.now

    def call_at(self, when, call):
        self.armed += 1
        self.set.append((when, call))
        return self

    def go_on(self, seconds):
        until = self.now + seconds
        while due := [one for one in self.set if one[0] <= until]:
            first = min(due, key=lambda one: one[0])
            self.set.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = until


class Answer:
    def __init__(self):
        self.is_done = False

    def done(self):
        return self.is_done


steps = st.lists(st.one_of(st.just("add"), st.floats(0.01, 2.0), st.integers(0, 9)), max_size=40)


@given(steps=steps)
def test_each_that_is_not_done_is_given_up_when_it_is_due_and_no_other(steps):
    timers, jobs, given_up = Timers(), [], {}
    deadlines = Deadlines(timers, lambda job: given_up.setdefault(job.name, timers.now))
    done_at = {}
    for step in steps:
        if step == "add":
            job = SimpleNamespace(name=len(jobs), due=timers.now + 1.0, future=Answer())
            jobs.append(job)
            deadlines.add([job])
        elif isinstance(step, int):
            for job in jobs[step : step + 1]:
                job.future.is_done = True
                if job.name not in given_up:
                    done_at.setdefault(job.name, timers.now)
        else:
            timers.go_on(step)
        assert len(timers.set) <= 1
    timers.go_on(2.0)
    assert given_up == {job.name: job.due for job in jobs if done_at.get(job.name, 9e9) > job.due}
    assert timers.set == []


def test_a_thousand_that_are_served_in_time_cost_one_timer():
    timers, given_up = Timers(), []
    deadlines = Deadlines(timers, given_up.append)
    for _ in range(1000):
        job = SimpleNamespace(due=timers.now + 1.0, future=Answer())
        deadlines.add([job])
        assert len(deadlines._awaited) == 1, "who was served is let go"
        job.future.is_done = True
    timers.go_on(2.0)
    assert (timers.armed, given_up) == (1, [])
    assert not deadlines._awaited
