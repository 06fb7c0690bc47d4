"""Observers: each is told under a guard of its own."""

from __future__ import annotations

import pytest

from sidecar import hookimpl
from sidecar.delivery.model import Attempt, Delivery, Outcome, Status, Transition
from sidecar.observers import Observers
from sidecar.registry import Registry


class Listener:
    def __init__(self):
        self.heard = []

    @hookimpl
    def delivery_ended(self, delivery):
        self.heard.append(delivery.id)

    @hookimpl
    def circuit_changed(self, provider, after):  # a hook may take fewer facts than there are
        self.heard.append((provider, after))


class Breaks:
    @hookimpl
    def delivery_ended(self, delivery):
        raise SystemExit("+14155552671")


def delivery(delivery_id="m-1"):
    opened = Transition("closed", "open", "5 consecutive failures")
    attempts = (
        Attempt("one", "twilio", Outcome.UNAVAILABLE, 0.0, transition=opened),
        Attempt("two", "twilio", Outcome.ACCEPTED, 0.0),
    )
    return Delivery(delivery_id, "sms", "otp", Status.ACCEPTED, 0.0, 1.0, attempts)


class Writes:
    @hookimpl
    def delivery_ended(self, delivery):
        object.__setattr__(delivery.attempts[0], "outcome", "mine")
        object.__setattr__(delivery, "status", Status.REJECTED)
        object.__setattr__(delivery, "attempts", None)


def test_what_a_guest_writes_to_a_delivery_nobody_else_reads():
    registry, told = Registry(), delivery()
    registry.register(Writes())
    Observers(registry).delivery_ended(told)
    assert told == delivery()


def test_everyone_hears_although_one_breaks(capsys):
    registry = Registry()
    first, last = Listener(), Listener()
    for observer in (first, Breaks(), last):
        registry.register(observer)
    Observers(registry).delivery_ended(delivery())
    assert first.heard == last.heard == ["m-1", ("one", "open")]
    assert "+1415" not in capsys.readouterr().out


def test_who_comes_later_hears_of_what_ends_from_then_on():
    registry = Registry()
    first, last = Listener(), Listener()
    observers = Observers(registry)
    observers.delivery_ended(delivery("m-0"))
    registry.register(first)
    observers.delivery_ended(delivery("m-1"))
    registry.register(last)
    observers.delivery_ended(delivery("m-2"))
    assert [heard for heard in first.heard if isinstance(heard, str)] == ["m-1", "m-2"]
    assert [heard for heard in last.heard if isinstance(heard, str)] == ["m-2"]


def test_a_hook_may_take_no_fact_at_all():
    class HearsNothing:
        times = 0

        @hookimpl
        def delivery_ended(self):
            self.times += 1

    registry, observer = Registry(), HearsNothing()
    registry.register(observer)
    Observers(registry).delivery_ended(delivery())
    assert observer.times == 1


class Unreadable:
    def __str__(self):
        raise SystemExit


@pytest.mark.parametrize("module", [None, Unreadable()])
def test_one_whose_class_is_of_no_module_is_a_guest_like_any_other(module):
    class Odd(Listener):
        __module__ = module

    registry, odd, other = Registry(), Odd(), Listener()
    registry.register(odd)
    registry.register(other)
    Observers(registry).delivery_ended(delivery())
    assert odd.heard == other.heard == ["m-1", ("one", "open")]
