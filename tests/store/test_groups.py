"""A group of operations in few statements answers and writes what one after the other would."""

import contextlib
import sqlite3

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sidecar.delivery.model import Attempt, Delivery, Outcome, Status
from sidecar.store import Claim, Claimed, NotUnderWay, schema, tables
from sidecar.store.groups import SIZES, parts
from sidecar.store.recovery import under_way

NOW = 1_700_000_000.0
DOWN = Attempt("ses", "ses", Outcome.UNAVAILABLE, NOW, 0.5, reason="down")

names = st.sampled_from("abcdefg") | st.sampled_from([f"n{number}" for number in range(99)])
claims = st.builds(
    lambda id, key, body, ahead: tables.Wanted(  # noqa: A006  # the field's name
        Claim(id, "sms", "otp", "+1***", "r", body, NOW, key),
        60.0,
        (DOWN, under_way("sns", "sns", NOW)) if ahead else (),
    ),
    names,
    st.none() | st.sampled_from(["k1", "k2", "k3"]) | st.sampled_from([f"k{n}" for n in range(99)]),
    st.sampled_from(["same", "same", "same", "other"]),
    st.booleans(),
)
LATER = st.sampled_from([0.0, 1.0, 30.0, 61.0])
ends = st.tuples(st.just("end"), st.sampled_from([Status.ACCEPTED, Status.FAILED]), st.booleans())
groups = st.lists(claims, min_size=4, max_size=4) | st.lists(
    claims,
    min_size=1,
    max_size=70,
    unique_by=(lambda one: one.claim.id, lambda one: one.claim.key_hash or object()),
)
steps = st.lists(st.tuples(st.just("claim"), groups, LATER) | ends, max_size=6)


@contextlib.contextmanager
def database():
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        schema.migrate(db)
        yield db


def wanted(name, key):
    return tables.Wanted(Claim(name, "sms", "otp", "+1***", "r", "b", NOW, key), 60.0)


def twice(*names):
    """A group with one id twice, of which the first has a key that is known already."""
    return [
        ("claim", [wanted("w", "k1")], 0.0),
        ("claim", [wanted(*name) for name in (*names, ("y", None), ("z", None))], 1.0),
    ]


def everything(db):
    tables_of = ("deliveries", "earlier_runs")
    return [db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in tables_of]


def delivery(id, status):  # noqa: A002  # the field's name
    attempts = (DOWN,) if status is Status.FAILED else ()
    return Delivery(id, "sms", "otp", status, NOW, NOW + 1, attempts, reason="\ud800 it")


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
@example(twice(("x", "k1"), ("x", "k2")))
@example(twice(("x", "k1"), ("x", None)))
def test_a_group_does_what_its_operations_do_one_after_the_other(asked):
    with database() as single, database() as grouped:
        now = NOW
        for kind, *what in asked:
            if kind == "claim":
                now += what[1]  # those of one group come in one moment
                group = [one._replace(claim=one.claim._replace(at=now)) for one in what[0]]
                answers = [tables.claim(single, [one])[0] for one in group]
                assert tables.claim(grouped, group) == answers
            else:
                end_all(single, grouped, *what)
            assert everything(grouped) == everything(single)


def end_all(single, grouped, status, sends_first):
    pending = single.execute("SELECT id, run FROM deliveries WHERE status = 'pending'").fetchall()
    claimed = [Claimed(*row) for row in pending]
    if sends_first:
        attempt = under_way("sns", "sns", NOW + 2)
        begun = [tables.Begun(one, (DOWN,), attempt) for one in claimed]
        for one in begun:
            tables.sending(single, [one])
        tables.sending(grouped, begun)
        assert everything(grouped) == everything(single)
    ended = [tables.Ended(one, delivery(one.id, status)) for one in claimed]
    for one in ended:
        tables.finish(single, [one])
    tables.finish(grouped, ended)


@pytest.mark.parametrize("operation", ["sending", "finish"])
def test_a_group_with_one_that_is_not_under_way_is_refused(operation):
    known, unknown = Claimed("a", 1), Claimed("b", 1)
    with database() as db:
        tables.claim(db, [tables.Wanted(Claim("a", "sms", "otp", "+", "r", "b", NOW), 60.0)])
        ended = [tables.Ended(one, delivery(one.id, Status.FAILED)) for one in (known, unknown)]
        begun = [tables.Begun(one, (), under_way("sns", "sns", NOW)) for one in (known, unknown)]
        with pytest.raises(NotUnderWay):
            getattr(tables, operation)(db, ended if operation == "finish" else begun)


@given(st.lists(st.integers(), max_size=300))
def test_parts_are_all_of_it_in_order(items):
    found = list(parts(items))
    assert [item for part in found for item in part] == items
    assert {len(part) for part in found} <= set(SIZES)
