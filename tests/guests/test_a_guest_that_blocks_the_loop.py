"""G1: a plugin that blocks the loop is named, with the place; nobody is named for it instead."""

from __future__ import annotations

import pytest

from harness import guests
from harness.process import CODE, PHONE, let_pass, wait_for
from harness.providers import config

BLOCKS = {
    "sleeps": "time.sleep(1.5); return Receipt('1')",
    # C code that does not let go of Python's lock: the watching thread stands still as well.
    "computes": "sum(range(10**8)) ; return Receipt('1')",
    "in-a-task": """
async def f(): time.sleep(1.5)
await asyncio.create_task(f()); return Receipt('1')""",
    "in-a-callback": """
asyncio.get_running_loop().call_soon(time.sleep, 0)
asyncio.get_running_loop().call_soon(lambda: time.sleep(1.5))
return Receipt('1')""",
}
HOOKED = """
class Hooked(Guest): kind = "hooked"

@hookimpl
def delivery_ended(delivery): time.sleep(1.5)
"""


def blocker(kind):
    body = "\n".join(f"        {line}" for line in BLOCKS[kind].strip().splitlines())
    return (
        f"class Blocker(Guest):\n    kind = {kind!r}\n"
        f"    async def send(self, message, *, timeout):\n{body}\n"
    )


def line_of(tmp_path, word):
    lines = (tmp_path / "guest.py").read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if word in line)


@pytest.mark.parametrize("kind", BLOCKS)
def test_it_is_named_with_its_place_and_the_time_it_took(start, tmp_path, kind):
    found = guests.install(tmp_path, blocker(kind), kind)
    sidecar = start(config("sms", f"acme: {{kind: {kind}}}"), **found)
    assert sidecar.send().status == 200
    for _ in range(4 if kind == "computes" else 0):
        # On a machine full of other work the watching thread is given the lock when all is over;
        # of what lets go of the lock, as every other kind does, none is missed.
        let_pass(0.5)
        if sidecar.events("loop_blocked"):
            break
        assert sidecar.send().status == 200
    blocked = wait_for(lambda: sidecar.events("loop_blocked"), "the alarm")[0]
    assert (blocked["provider"], blocked["kind"]) == ("acme", kind)
    place = line_of(tmp_path, "sum(" if kind == "computes" else "sleep(1.5)")
    assert blocked["where"] == f"guest:{place}"
    over = wait_for(lambda: sidecar.events("loop_recovered"), "its end")[0]
    assert over["provider"] == "acme"
    last = sidecar.call("GET", "/health").json["loop"]
    assert last["last_blocked"]["provider"] == "acme"
    assert last["last_blocked"]["seconds"] == over["seconds"]
    if kind != "computes":  # how long that one takes is the machine's affair
        assert 1.0 < over["seconds"] < 10
        assert last["lag_seconds"] > 1.0
        page = sidecar.call("GET", "/metrics").body.decode()
        (lag,) = [x for x in page.splitlines() if x.startswith("otp_event_loop_lag_seconds ")]
        assert float(lag.split()[1]) > 1.0
    said = "".join(sidecar.raw)
    assert CODE not in said
    assert PHONE not in said


def test_an_observers_hook_is_a_plugins_too(start, tmp_path):
    found = guests.install(tmp_path, HOOKED, "hooked")
    sidecar = start(config("sms", "console: {}", "hooked: {}"), **found)
    assert sidecar.send().status == 200
    blocked = wait_for(lambda: sidecar.events("loop_blocked"), "the alarm")[0]
    assert blocked["provider"] == "hooked"


def test_a_stop_of_the_whole_process_accuses_nobody(start, tmp_path):
    # A call is under way, in the plugin's own code, when the process is stopped.
    busy = """
class Busy(Guest):
    kind = "busy"
    async def send(self, message, *, timeout):
        while True:
            try: await asyncio.sleep(0.001)
            except asyncio.CancelledError: pass
"""
    found = guests.install(tmp_path, busy, "busy")
    sidecar = start(config("sms", "busy: {timeout: 500ms}", "console: {}"), **found)
    assert sidecar.send().trail == [("busy", "unknown"), ("console", "accepted")]
    assert sidecar.health("sms", "busy")["zombies"] == 1
    with sidecar.stopped():
        let_pass(2.5)
    told = wait_for(lambda: sidecar.events("process_was_stopped"), "that to be told")[0]
    assert told["seconds"] > 1.0
    assert sidecar.send().json["status"] == "accepted"
    assert sidecar.events("loop_blocked") == []
    assert sidecar.call("GET", "/health").json["loop"]["last_blocked"] is None
