"""A look at an account is a guest's call: whatever it does, sends, start and end go on as ever."""

from __future__ import annotations

from textwrap import indent

import pytest

from harness import guests
from harness.process import CODE, PHONE, wait_for
from harness.providers import config

READY = "return s.AccountReport(s.AccountState.READY, 'fine'"
DEAF = """
while True:
    try: await asyncio.sleep(999)
    except BaseException: pass
"""
CHECKS = {  # the body of a `check`, and the state and words that come of it
    "raises": (f"raise ValueError('{CODE} {PHONE}')", "unreachable", "ValueError"),
    "exits": (f"raise SystemExit('{CODE}')", "unreachable", "SystemExit"),
    "interrupts": ("raise KeyboardInterrupt", "unreachable", "KeyboardInterrupt"),
    "cancels": ("asyncio.current_task().cancel(); await asyncio.sleep(9)", "unreachable", ""),
    "hangs": ("await asyncio.sleep(999)", "unreachable", "no answer within 1 s"),
    "deaf": (DEAF, "unreachable", "no answer within 1 s"),
    "hollow": (
        "raise type('H', (Unavailable,), {'__init__': lambda self: None})",
        "unreachable",
        "H",
    ),
    "texts": ("return 'ready'", "unreachable", "returned str"),
    "endless": (f"{READY}, {{str(n): 10**(300 * n) for n in range(99)}})", "ready", "fine"),
    "stranger": (
        f"{READY}, {{'a': float('inf'), 'b': s, 3: 4, '\\ud800': '\\ud800'}})",
        "ready",
        "",
    ),
    "mute": (
        "class M(dict):\n    def items(self): raise SystemExit(3)\n" + READY + ", M())",
        "unreachable",
        "SystemExit",
    ),
    "long": ("return s.AccountReport(s.AccountState.DEGRADED, 'x' * 10**6)", "degraded", "x"),
}
REFUSALS = {
    "raising": "raise ValueError(message.to)",
    "exiting": "raise SystemExit(message.text)",
    "numbers": "return 7",
    "truths": "return True",
    "wordless": "return ''",
}


def guest(kind, check, refuse="return None"):
    return (
        f"class {kind.title()}(Guest):\n    kind = {kind!r}\n"
        f"    async def check(self, *, timeout):\n{indent(check, ' ' * 8)}\n"
        f"    def would_refuse(self, message, report):\n{indent(refuse, ' ' * 8)}\n"
    )


def install(directory, found):
    text = "import sidecar as s\n" + "\n".join(guest(kind, *one) for kind, one in found.items())
    return guests.install(directory, text, *found)


def test_a_check_that_misbehaves_stays_inside(start, tmp_path):
    found = install(tmp_path, {kind: (body,) for kind, (body, _, _) in CHECKS.items()})
    more = "preflight: {interval: 1s, timeout: 1s}"
    lines = [f"{kind}: {{preflight: skip}}" for kind in CHECKS]
    sidecar = start(config("sms", *lines, more=more), **found)
    assert sidecar.send().status == 200

    def accounts():
        chain = sidecar.call("GET", "/health").json["chains"]["sms"]
        found = {one["name"]: one["account"] for one in chain["providers"]}
        return found if all(one["checked_at"] for one in found.values()) else None

    seen = wait_for(accounts, "every account to be looked at")
    for kind, (_, state, words) in CHECKS.items():
        assert seen[kind]["state"] == state, kind
        assert len(seen[kind]["summary"]) <= 500
        assert words in seen[kind]["summary"] or "has not ended" in seen[kind]["summary"]
    assert set(seen["stranger"]["facts"]) == {"?"}
    assert len(seen["endless"]["facts"]) <= 32
    wait_for(
        lambda: "has not ended" in sidecar.health("sms", "deaf")["account"]["summary"],
        "the deaf one not to be asked twice",
    )
    assert sidecar.send().status == 200
    assert sidecar.call("GET", "/readyz").status == 200
    assert sidecar.stop() == 0
    assert CODE not in "".join(sidecar.raw) + sidecar.errors.read_text()


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_that_is_none_lets_the_message_pass(start, tmp_path, kind):
    degraded = "return s.AccountReport(s.AccountState.DEGRADED, 'a sandbox')"
    found = install(tmp_path, {kind: (degraded, REFUSALS[kind])})
    sidecar = start(config("sms", f"{kind}: {{preflight: skip}}", "console: {}"), **found)
    wait_for(lambda: sidecar.health("sms", kind)["account"]["state"] == "degraded", "the look")
    for _ in range(3):
        assert sidecar.send().json["provider"] == kind
    assert sidecar.stop() == 0
    told = {"raising": ["ValueError"], "exiting": ["SystemExit"]}.get(kind, [])
    errors = [line["error"] for line in sidecar.events("would_refuse_failed")]
    assert [error.partition(" at guest.py:")[0] for error in errors] == told, "once"
    assert all(error.endswith(" in would_refuse") for error in errors)
