"""A plugin that cancels every task but its own: the process serves, reloads and ends as before."""

from __future__ import annotations

import pytest

from harness import guests
from harness.process import wait_for
from harness.providers import config

CANCELS = "for t in asyncio.all_tasks() - {asyncio.current_task()}: t.cancel()"
GUEST = f"""
class Wild(Guest):
    kind = "wild"
    async def send(self, message, *, timeout):
        {CANCELS}
        return Receipt("wild-1")
class Leaves(Guest):
    kind = "leaves"
    async def __aexit__(self, *exc):
        {CANCELS}
        await asyncio.sleep(0)
class Opens(Guest):
    kind = "opens"
    async def __aenter__(self):
        await asyncio.sleep(0)
        {CANCELS}
        return self
class Good(Guest):
    kind = "good"
"""
EVERYTHING = {"keep_tidy", "watch", "Reloader.run", "Rotation.run", "Preflight.run"}
EVERYTHING |= {"Courier._run", "Bureau._look"}


@pytest.fixture
def wild(start, tmp_path):
    found = guests.install(tmp_path, GUEST, "wild", "leaves", "opens", "good")

    def begin(*kinds):
        return start(config("sms", *(f"{kind}: {{}}" for kind in kinds)), **found)

    return begin


def change_to(sidecar, *kinds):
    """Change the file, and wait until it is in effect."""
    before = len(sidecar.events("reloaded"))
    text = config("sms", *(f"{kind}: {{}}" for kind in kinds))
    sidecar.config.write_text(f"server: {{listen: '127.0.0.1:0'}}\n{text}")
    wait_for(lambda: len(sidecar.events("reloaded")) > before, "the reload")


def goes_on(sidecar):
    """It sends, follows the file, and ends without a word on stderr."""
    change_to(sidecar, "good")
    assert sidecar.send().trail == [("good", "accepted")]
    assert sidecar.stop() == 0
    assert sidecar.events("stopped")
    assert sidecar.errors.read_text() == ""


def test_in_a_send_everything_begins_anew(wild):
    sidecar = wild("wild")
    sidecar.send()
    wait_for(lambda: sidecar.events("exit_refused"), "the refusal")
    wait_for(lambda: len(sidecar.events("work_ended")) >= len(EVERYTHING), "all to be told")
    assert {line["work"] for line in sidecar.events("work_ended")} == EVERYTHING
    assert {line["error"] for line in sidecar.events("work_ended")} == {"CancelledError"}
    goes_on(sidecar)


def test_in_a_close_at_a_reload(wild):
    sidecar = wild("leaves")
    change_to(sidecar, "good", "wild")
    wait_for(lambda: sidecar.events("exit_refused"), "the refusal")
    goes_on(sidecar)


def test_in_its_opening_at_the_start(wild):
    sidecar = wild("opens")
    assert sidecar.send().trail == [("opens", "accepted")]
    assert sidecar.events("exit_refused")
    goes_on(sidecar)


def test_in_its_opening_at_a_reload(wild):
    sidecar = wild("good")
    text = config("sms", "opens: {}", "good: {}")
    sidecar.config.write_text(f"server: {{listen: '127.0.0.1:0'}}\n{text}")
    wait_for(lambda: sidecar.events("exit_refused"), "the refusal")
    assert sidecar.send().trail == [("good", "accepted")]
    goes_on(sidecar)


def test_in_a_close_at_the_end(wild):
    sidecar = wild("leaves", "good")
    assert sidecar.stop() == 0
    assert sidecar.events("stopped")
    assert sidecar.errors.read_text() == ""
