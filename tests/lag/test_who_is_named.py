"""Blame: whose frame decides, read from real stacks of code that claims to be of some module."""

from __future__ import annotations

import asyncio
import sys
import threading
from dataclasses import dataclass
from textwrap import dedent

import pytest

from sidecar.blame import Blame, Suspect

HOMES = {"acme": "acme_sms", "ses": "cloud.ses", "sns": "cloud.sns"}


@dataclass
class Named:
    """As much of a link as is looked at."""

    name: str
    kind: str


def links():
    return [Named("acme-eu", "acme"), Named("ses", "ses"), Named("sns", "sns")]


@pytest.fixture
def blame():
    return Blame(links, HOMES.get)


def stack_of(*modules):
    """Frames of functions that call each other, innermost first; the last module's is that."""

    def innermost():
        found, frame = [], sys._getframe(1)
        while frame is not None and len(found) < len(modules):
            found.append(frame)
            frame = frame.f_back
        return found

    call = innermost
    for module in reversed(modules):
        space = {"__name__": module, "call": call}
        exec("def step():\n    return call()", space)
        call = space["step"]
    return call()


@pytest.mark.parametrize(
    ("modules", "task", "named"),
    [
        (["sidecar.delivery.attempt", "acme_sms"], "attempt acme-eu m-1", "acme-eu"),
        (["sidecar.delivery.attempt", "acme_sms", "time"], "", "acme-eu"),
        (["sidecar.observers", "acme_sms.hooks"], "Task-1", "acme-eu"),
        (["acme_sms", "sidecar.transport"], "attempt acme-eu m-1", None),
        (["acme_sms", "sidecar.transport", "ssl"], "attempt acme-eu m-1", None),
        (["sidecar.api.routes", "orjson"], "", None),
        (["aiohttp.web_protocol"], "attempt acme-eu m-1", None),
        (["sidecar_like"], "", None),
        (["cloud.ses"], "", "ses"),
        (["cloud.shared"], "attempt sns m-1", "sns"),
        (["cloud.shared"], "Task-9", None),
        (["cloud.sns"], "attempt acme-eu m-1", "sns"),
    ],
)
def test_the_innermost_frame_of_a_plugin_or_of_ours_decides(blame, modules, task, named):
    suspect = blame.name(stack_of(*modules), task)
    assert suspect.provider == named
    assert suspect.kind == {"acme-eu": "acme"}.get(named, named)


def test_the_place_is_the_plugins_line_and_holds_no_value(blame):
    suspect = blame.name(stack_of("acme_sms", "time"), "attempt acme-eu +14155552671")
    assert suspect == Suspect("acme-eu", "acme", "acme_sms:2")


def test_a_loop_that_waits_is_nobodys_fault(blame):
    loop = asyncio.new_event_loop()
    waiting = threading.Thread(target=loop.run_forever)
    waiting.start()
    try:
        assert blame.look(loop, waiting.ident) is None
    finally:
        loop.call_soon_threadsafe(loop.stop)
        waiting.join()
        loop.close()


def test_a_task_of_a_plugin_is_seen_from_another_thread(blame):
    loop, inside, leave = asyncio.new_event_loop(), threading.Event(), threading.Event()
    space = {"__name__": "acme_sms", "inside": inside, "leave": leave}
    exec(dedent("async def work():\n    inside.set()\n    leave.wait()\n"), space)
    task = loop.create_task(space["work"](), name="attempt acme-eu m-1")
    working = threading.Thread(target=loop.run_until_complete, args=(task,))
    working.start()
    try:
        assert inside.wait(30)
        suspect = blame.look(loop, working.ident)
    finally:
        leave.set()
        working.join()
        loop.close()
    assert (suspect.provider, suspect.where) == ("acme-eu", "acme_sms:3")
