"""Each rule of the soak, and of the storm, is shown a breach and must find it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count, repeat
from types import SimpleNamespace

import pytest

from harness import oracle, storm
from harness.leaks import CODE, PHONE
from harness.process import Answer
from sidecar.store.costs import DayCosts
from soak import clocks, verdict
from soak.observer import Observer, smtp_and_other
from soak.service import Usage, Version
from soak.traffic import Heard, Lag
from soak.wallclock import WallClock
from soak.weather import forgotten, forms


def answer(status=200, outcomes=(("one", "accepted"),), **more):
    attempts = [{"provider": name, "outcome": outcome} for name, outcome in outcomes]
    document = {
        "id": "m-1",
        "status": "accepted",
        "attempts": attempts,
        "replayed": False,
        "duplicate_possible": False,
        **more,
    }
    return Answer(status, {}, json.dumps(document).encode())


GOOD = Heard("Your code #1", answer(), 0.5, "k-1", 3.0, at=100.0, channel="sms", began=10.0)
MAIL = replace(GOOD, channel="email")
VERSIONS = [Version("", {"sms": ["one", "two"], "email": ["one"]}, since=5.0, until=20.0)]
RECORD = {"provider": "one", "id": "1", "sha256": GOOD.sha256, "time": 99.8}
FAILED = replace(GOOD, answer=answer(502, [("one", "unavailable"), ("two", "refused")]))


def found(breaches):
    return list(breaches) != []


def test_what_is_right_is_no_breach():
    assert [
        *verdict.twice([GOOD], [RECORD]),
        *verdict.gave_up([GOOD, FAILED], VERSIONS),
        *verdict.foreign_order([GOOD, FAILED], VERSIONS),
        *verdict.late([GOOD]),
        *verdict.crashed([GOOD, FAILED], [("x", b"HTTP/1.1 400 Bad Request")]),
        *storm.odd([GOOD, FAILED]),
        *storm.denied([FAILED], []),
    ] == []


def test_a_second_acceptance_is_found_where_the_policy_has_none():
    told = answer(202, duplicate_possible=True)
    assert not found(verdict.twice([replace(GOOD, answer=told)], [RECORD] * 2))
    assert found(verdict.twice([replace(MAIL, answer=told)], [RECORD] * 2))
    assert found(verdict.twice([replace(GOOD, answer=told)], [RECORD] * 3))
    assert found(verdict.twice([GOOD], [RECORD, {**RECORD, "sha256": "of nobody"}]))


@pytest.mark.parametrize("time", [99.0, 99.8])
def test_what_was_taken_and_called_unsent_is_found(time):
    assert found(storm.denied([FAILED], [{**RECORD, "time": time}]))
    assert not found(storm.denied([FAILED], [{**RECORD, "time": 100.5}])), "by a later run"
    draining = replace(FAILED, answer=Answer(503, {}, b'{"code": "draining"}'))
    assert not found(storm.denied([draining], [{**RECORD, "time": time}])), "not begun"


@pytest.mark.parametrize("status", [500, 400, 429])
def test_an_answer_outside_the_contract_is_found(status):
    assert found(storm.odd([replace(GOOD, answer=answer(status))]))


def test_a_500_to_a_hostile_caller_is_found():
    assert found(verdict.crashed([], [("x", b"HTTP/1.1 500 Internal Server Error")]))


def test_a_chain_that_ended_early_is_found():
    early = replace(GOOD, answer=answer(502, [("one", "unavailable")]))
    assert found(verdict.gave_up([early], VERSIONS))
    assert not found(verdict.gave_up([replace(early, channel="email")], VERSIONS))


def test_a_walk_of_no_version_or_of_two_is_found():
    mixed = replace(GOOD, answer=answer(200, [("two", "unavailable"), ("one", "accepted")]))
    assert found(verdict.foreign_order([mixed], VERSIONS))
    other = Version("", {"sms": ["two", "one"]}, since=10.2)
    assert not found(verdict.foreign_order([mixed], [*VERSIONS, other]))
    assert found(verdict.foreign_order([mixed], [*VERSIONS, replace(other, since=11.0)]))


def test_a_panic_probe_is_no_breach():
    walk = [("one", "skipped"), ("two", "skipped"), ("one", "accepted")]
    assert not found(verdict.foreign_order([replace(GOOD, answer=answer(200, walk))], VERSIONS))


def test_a_late_answer_is_found_and_our_own_lag_is_not_its_fault():
    late = replace(GOOD, seconds=4.5)
    assert found(verdict.late([late]))
    assert not found(verdict.late([replace(late, lag=1.0)]))


def test_a_chain_that_another_disturbs_is_found():
    fine = replace(GOOD, answer=answer(provider="one"))
    busy = replace(GOOD, answer=Answer(409, {}, b"{}"))
    left = replace(GOOD, answer=None, hung_up=True)
    assert not found(verdict.disturbed([fine, busy, left], "one"))
    for other in (answer(503), answer(provider="two"), None):
        assert found(verdict.disturbed([replace(GOOD, answer=other)], "one"))


def service(tmp_path=None, lines: Sequence[dict] = (), **more):
    life = SimpleNamespace(events=lambda name: [x for x in lines if x["event"] == name])
    if tmp_path is not None:
        life.errors = tmp_path / "stderr"
        life.errors.write_text(more.pop("stderr", ""))
    return SimpleNamespace(lives=[life], life=life, database=None, **more)


def test_a_circuit_that_opened_without_a_failure_is_found(monkeypatch):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    line = {"event": "circuit", "provider": "one", "after": "open", "ts": at.isoformat()}
    told = service(lines=[{**line, "reason": "?"}])

    def rows(outcome, before):
        began = at.timestamp() - before
        row = {"provider": "one", "outcome": outcome, "started_at": began, "seconds": 0.1}
        monkeypatch.setattr(oracle, "rows", lambda _: ([], [row]))

    rows("unavailable", 0.2)
    assert not found(verdict.opened_for_nothing(told))
    for outcome, before in (("rejected", 0.2), ("throttled", 0.2), ("unavailable", 60)):
        rows(outcome, before)
        assert found(verdict.opened_for_nothing(told))


@pytest.mark.parametrize("taken", [{"longest": 0.1}, {"starved": 0.1}])
def test_a_stall_is_found_unless_the_machine_took_the_time(taken):
    none, some = (SimpleNamespace(**{"longest": 0, "starved": 0, **t}) for t in ({}, taken))
    assert found(verdict.stalled(service(), [0.15], none))
    assert not found(verdict.stalled(service(), [0.15], some))
    blocked = service(lines=[{"event": "loop_blocked", "seconds": 1}])
    assert found(verdict.stalled(blocked, [], some))


async def test_what_the_machine_takes_is_measured():
    lag = Lag(SimpleNamespace(lives=[]))
    began = time.monotonic()
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(0.01)
    threading.Event().wait(0.5)  # the loop stands still
    await asyncio.sleep(0.1)
    task.cancel()
    assert lag.longest > 0.3
    assert lag.since(began) > 0.3
    assert lag.since(time.monotonic()) == 0


BEFORE = Usage(20, 7, 80.0, [], tasks=8)


@pytest.mark.parametrize(
    "change", [{"descriptors": 24}, {"threads": 10}, {"rss": 93.0}, {"tasks": 12}]
)
def test_growth_is_found(change):
    assert not found(verdict.grew(BEFORE, replace(BEFORE, descriptors=22, rss=91.0), 1, 0))
    assert found(verdict.grew(BEFORE, replace(BEFORE, **change), 0, 0))


def test_connections_that_stay_and_a_lacking_baseline_are_found():
    assert found(verdict.grew(BEFORE, BEFORE, 3, 0))
    assert found(verdict.grew(BEFORE, BEFORE, 0, 1))
    assert found(verdict.grew(None, BEFORE, 0, 0))
    peers = [("127.0.0.1", 25), ("127.0.0.1", 80), ("0.0.0.0", 0)]
    assert smtp_and_other(peers, {25: "smtp_a", 80: "ses_a"}) == (1, 1)


@pytest.mark.parametrize(
    "told",
    [{"exits": [(1, 0.1)]}, {"exits": [(0, 9.0)]}, {"exits": [], "stderr": "Traceback (most"}],
)
def test_an_end_that_is_none_is_found(tmp_path, told):
    assert not found(verdict.ended_badly(service(tmp_path, exits=[(0, 1.0)])))
    assert found(verdict.ended_badly(service(tmp_path, **told)))


def test_a_canary_is_found_wherever_it_stands(tmp_path):
    row = tmp_path / "rows"
    row.write_bytes(b"nothing")
    assert not found(verdict.leaked([GOOD], [("stdout", b"nothing")], [row]))
    assert found(verdict.leaked([replace(GOOD, answer=answer(reason=PHONE))], [], []))
    assert found(verdict.leaked([], [("stdout", CODE.encode().hex().encode())], []))
    row.write_bytes(CODE.encode())
    assert found(verdict.leaked([], [], [row]))


class Pages:
    """A sidecar that says these pages."""

    def __init__(self, gauge="closed", left=None, **statuses):
        self.left = iter(left or repeat(None))
        self.gauge = gauge
        self.statuses = statuses
        self.up = True
        self.life = object()

    def say(self, path):
        left = next(self.left)
        state = "closed" if left is None else "open"
        circuit = {"state": state, "seconds_to_half_open": left}
        standing = {"name": "one", "circuit": circuit, "usable": True}
        bodies = {
            "/health": json.dumps({"chains": {"sms": {"providers": [standing]}}}),
            "/metrics": f'otp_breaker_state{{provider="one",state="{self.gauge}"}} 1.0\n'
            "otp_event_loop_lag_seconds 0.5\n",
        }
        return Answer(self.statuses.get(path[1:], 200), {}, bodies.get(path, "no").encode())

    def usage(self):
        return Usage(1, 1, 1.0, [("127.0.0.1", 80), ("10.1.2.3", 80), ("127.0.0.1", 81)])


@pytest.fixture
def look(monkeypatch):
    async def at(pages):
        observer = Observer(pages, {80: "ses_a"})

        async def get(path):
            return pages.say(path)

        monkeypatch.setattr(observer, "get", get)
        assert await observer.look()
        return observer

    return at


async def test_a_gauge_that_is_behind_and_a_red_probe_are_found(look):
    fine = await look(Pages())
    assert (fine.wrong_gauges, fine.red, fine.lags) == ([], [], [0.5])
    assert (await look(Pages("open"))).wrong_gauges != []
    assert (await look(Pages("open", count(9, -1)))).wrong_gauges == []
    assert (await look(Pages("half_open", count(9, -1)))).wrong_gauges != []
    assert (await look(Pages("half_open", count(1)))).wrong_gauges == [], "opened anew meanwhile"
    assert (await look(Pages(readyz=503))).red != []
    assert (await look(Pages(livez=503))).red != []


async def test_a_peer_that_nobody_configured_is_found(look):
    assert len((await look(Pages())).strange_peers) == 2


def test_every_fault_of_the_daemon_has_a_form():
    assert forgotten() == set()
    assert ("no_starttls", {}) in forms("smtp", tls=False)


OPEN = {"state": "open", "seconds_to_half_open": 3.0}
CLOSED = {"state": "closed", "seconds_to_half_open": None}


def test_a_circuit_that_a_jump_moves_is_found():
    def moved(before, after):
        return found(clocks.differences({"one": before}, {"one": after}, 0.1, 0.2, 3600.0))

    assert not moved(OPEN, {**OPEN, "seconds_to_half_open": 2.9})
    assert not moved(CLOSED, CLOSED)
    assert not moved({**OPEN, "seconds_to_half_open": 0.1}, CLOSED), "tried meanwhile"
    assert moved(OPEN, CLOSED)
    assert moved(CLOSED, OPEN)
    assert moved(OPEN, {**OPEN, "seconds_to_half_open": 4.0})


async def test_a_clock_that_jumps_past_no_circuit_shows_nothing(tmp_path):
    async def health():
        return {"chains": {"sms": {"providers": [{"name": "one", "circuit": CLOSED}]}}}

    assert await clocks.moved(WallClock(tmp_path / "clock"), health, lambda _: 0.0)


async def test_a_key_that_a_jump_forgets_is_found(tmp_path):
    clock = WallClock(tmp_path / "clock")

    async def known(one):
        return one

    async def unknown(one):
        return replace(one, answer=answer(id="m-2"))

    assert not await clocks.forgotten_keys(clock, [GOOD], known)
    assert await clocks.forgotten_keys(clock, [GOOD], unknown)
    assert await clocks.forgotten_keys(clock, [], known)


ENDED = {"id": "m-1", "started_at": 1000.0, "ended_at": 1001.0}


@pytest.mark.parametrize(
    "change", [{"ended_at": 4600.0}, {"ended_at": 999.0}, {"started_at": 4600.0}]
)
def test_a_record_by_a_clock_that_jumped_is_found(monkeypatch, change):
    def lives(row):
        monkeypatch.setattr(oracle, "rows", lambda _: ([row], []))
        return found(clocks.longer_lives(None, 990.0, 1010.0, 3.0))

    assert not lives(ENDED)
    assert lives({**ENDED, **change})


def test_a_core_that_gives_two_logs_is_found(monkeypatch):
    rows = [{"provider": "one", "outcome": outcome} for outcome in ("unavailable", "accepted")]
    monkeypatch.setattr(oracle, "rows", lambda _: ([], rows))
    assert not found(clocks.unsure(None, 1))
    logs = iter([["a"], ["b"]])

    async def dice(plan, seed):
        return next(logs)

    monkeypatch.setattr(clocks, "play", dice)
    assert found(clocks.unsure(None, 1))
    monkeypatch.setattr(oracle, "rows", lambda _: ([], []))
    assert found(clocks.unsure(None, 1))


@pytest.mark.parametrize(("taken", "right"), [(0, False), (1, True), (2, True), (3, False)])
def test_books_that_are_not_the_bill_are_found(monkeypatch, taken, right):
    day = DayCosts("2026-11-29", "one", "USD", 3, accepted=1, billed=2, units=2)
    monkeypatch.setattr(verdict.costed, "costs", lambda *_: [day])
    service = SimpleNamespace(database=":memory:")
    assert found(verdict.misbooked(service, [RECORD] * taken)) != right
