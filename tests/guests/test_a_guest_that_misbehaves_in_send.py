"""G2 to G4: whatever a provider's `send` does, it stays inside its attempt and the chain goes on.

One real process holds a chain for each misbehaviour, on a channel of that name: the guest, then a
good one.
"""

from __future__ import annotations

import threading
import time
from textwrap import indent

import pytest

from harness import guests
from harness.process import CODE, PATIENCE, PHONE, TEXT, Sidecar, wait_for

DEADLINE = 4.0
SLACK = 0.25
STUBBORN = """
until = time.monotonic() + 1.5
while time.monotonic() < until:
    try: await asyncio.sleep(until - time.monotonic())
    except asyncio.CancelledError: pass
"""
WORDS = 'f"no luck with {message.to}: {message.text}"'

RAISES = {  # the body of a `send`, and the outcome of its attempt
    "exception": (f"raise ValueError({WORDS})", "crashed"),
    "base-exception": (f"raise type('Odd', (BaseException,), {{}})({WORDS})", "crashed"),
    "exit": (f"raise SystemExit({WORDS})", "crashed"),
    "interrupt": (f"raise KeyboardInterrupt({WORDS})", "crashed"),
    "generator-exit": (f"raise GeneratorExit({WORDS})", "crashed"),
    "cancelled": (f"raise asyncio.CancelledError({WORDS})", "crashed"),
    "group": (f"raise BaseExceptionGroup({WORDS}, [SystemExit({WORDS})])", "crashed"),
    "stop-iteration": (f"raise StopIteration({WORDS})", "crashed"),
    "memory": (f"raise MemoryError({WORDS})", "crashed"),
    "timeout": (f"raise TimeoutError({WORDS})", "unknown"),
    "recursion": ("def deeper(): return deeper()\ndeeper()", "crashed"),
    "cancels-itself": ("asyncio.current_task().cancel(); await asyncio.sleep(9)", "crashed"),
    "sdk": ("import json; json.loads('{' + message.text)", "crashed"),
    "mute": (
        "class Mute(Exception):\n    def __str__(self): raise SystemExit(3)\nraise Mute",
        "crashed",
    ),
    "named": ("raise type('E' + message.text.split()[-1], (Exception,), {})", "crashed"),
    "hollow": (
        "class Hollow(Unavailable):\n    def __init__(self): pass\nraise Hollow",
        "crashed",
    ),
    "no-outcome": (f"raise type('Mine', (DeliveryError,), {{}})({WORDS})", "crashed"),
    "no-reason": ("e = Unavailable(''); e.reason = [message.text]; raise e", "crashed"),
    "surrogate": ("e = Unavailable(''); e.reason = '\\ud800'; raise e", "unavailable"),
    "no-number": (f"raise Throttled({WORDS}, retry_after='soon')", "throttled"),
    "tells": (f"raise Unavailable({WORDS}, code=message.text.split()[-1])", "unavailable"),
}
RETURNS = {
    "none": ("return None", "crashed"),
    "text": ("return 'accepted'", "crashed"),
    "dict": ("return {'message_id': 'm-1'}", "crashed"),
    "coroutine": ("return asyncio.sleep(0)", "crashed"),
    "class": ("return Receipt", "crashed"),
    "number-id": ("return Receipt(7)", "crashed"),
    "empty-id": ("return Receipt('')", "crashed"),
    "huge-id": ("return Receipt('x' * 5_000_000)", "crashed"),
    "control-id": ("return Receipt('a\\nb')", "crashed"),
    "half-id": ("return Receipt('\\ud800')", "crashed"),
    "odd-simulated": ("return Receipt('m-1', simulated='no')", "crashed"),
}
LINGERS = {
    "silent": ("await asyncio.sleep(999)", "unknown"),
    "deaf": (
        "while True:\n    try: await asyncio.sleep(999)\n    except asyncio.CancelledError: pass",
        "unknown",
    ),
    "late": (
        f"{STUBBORN}return Receipt('late-1')",
        "unknown",
    ),
    "late-exit": (
        f"{STUBBORN}raise SystemExit({WORDS})",
        "unknown",
    ),
}
LEAVES_BEHIND = {  # accepted, and something is left that would end the process or tell
    "task-exits": f"async def f(): raise SystemExit({WORDS})\nself.kept = asyncio.create_task(f())",
    "task-raises": f"async def f(): raise ValueError({WORDS})\nasyncio.create_task(f())",
    "task-stays": "self.kept = asyncio.create_task(asyncio.sleep(999))",
    "callback-interrupts": f"""
def f(): raise KeyboardInterrupt({WORDS})
asyncio.get_running_loop().call_soon(f)""",
    "callback-raises": f"""
def f(): raise ValueError({WORDS})
asyncio.get_running_loop().call_later(0.01, f)""",
    "stops-the-loop": "asyncio.get_running_loop().stop()",
    "thread-raises": f"""
def f(): raise ValueError({WORDS})
threading.Thread(target=f).start()""",
    "warns": f"import warnings\nwarnings.warn({WORDS})",
    "logs": f"import logging\nlogging.getLogger('guest').error({WORDS})",
    "shared-receipt": "return SHARED",
    "fickle-receipt": """
read = set()
class Fickle(Receipt):
    def __getattribute__(self, name):
        if name in read: raise ValueError(message.text)
        if not name.startswith('__'): read.add(name)
        return object.__getattribute__(self, name)
return Fickle('m-1')""",
    "telling-receipt": "return Receipt(f'{message.to}/{message.text}')",
}
ALL = {
    **RAISES,
    **RETURNS,
    **LINGERS,
    **{kind: (body, "accepted") for kind, body in LEAVES_BEHIND.items()},
}


def guest_module():
    parts = ["from sidecar import DeliveryError\nSHARED = Receipt('shared-1')\n"]
    for number, (kind, (body, _)) in enumerate(ALL.items()):
        parts.append(
            f"class G{number}(Guest):\n"
            f"    kind, channels = {kind!r}, frozenset({{{kind!r}}})\n"
            "    async def send(self, message, *, timeout):\n"
            f"{indent(body.strip(), ' ' * 8)}\n"
            "        return Receipt('guest-1')\n"
        )
    channels = [*ALL, "plain"]
    parts.append(f"class Good(Guest):\n    kind, channels = 'good', frozenset({channels!r})\n")
    return "\n".join(parts)


def configuration():
    lines = ["server: {listen: '127.0.0.1:0'}", "providers:", "  good: {}"]
    lines += [f"  {kind}: {{timeout: 500ms}}" for kind in ALL]
    lines += ["chains:", "  plain: [good]", *(f"  {kind}: [{kind}, good]" for kind in ALL)]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """The process, which has to live through every test here."""
    home = tmp_path_factory.mktemp("guests")
    found = guests.install(home, guest_module(), "good", *ALL)
    (home / "providers.yaml").write_text(configuration())
    sidecar = Sidecar(home / "providers.yaml", {"PATH": "/usr/bin", "HOME": str(home), **found})
    yield sidecar.ready()
    sidecar.stop()


def send(house, channel, **fields):
    body = {"channel": channel, "to": PHONE, "text": TEXT, "deadline": DEADLINE, **fields}
    return house.call("POST", "/v1/send", body)


def tells(house):
    """What the process ever said, where it holds the code, the recipient or a traceback."""
    said = [*house.raw, house.errors.read_text()]
    return [s for s in said if CODE in s or PHONE.lstrip("+") in s or "Traceback" in s]


@pytest.mark.parametrize("kind", ALL)
def test_it_stays_inside_its_attempt_and_the_chain_goes_on(house, kind):
    began = time.monotonic()
    answer = send(house, kind)
    seconds = time.monotonic() - began
    outcome = ALL[kind][1]
    chain = [(kind, outcome)] if outcome == "accepted" else [(kind, outcome), ("good", "accepted")]
    assert answer.trail == chain
    assert (answer.status, answer.json["status"]) == (200, "accepted")
    assert seconds < DEADLINE + SLACK
    assert CODE not in answer.body.decode()
    assert send(house, "plain").status == 200
    assert house.call("GET", "/livez").status == 200
    assert tells(house) == []


@pytest.mark.parametrize("kind", ["exit", "none", "deaf"])
def test_alone_in_its_chain_it_is_answered_as_unknown_within_the_deadline(house, kind):
    began = time.monotonic()
    answer = send(house, kind, deadline=1)
    assert time.monotonic() - began < 1 + SLACK
    assert answer.trail[0] == (kind, ALL[kind][1])
    assert answer.trail[1:] in ([], [("good", "accepted")], [("good", "skipped")])
    assert answer.status in (200, 202)


def test_every_attempt_is_written_as_it_was_answered(house):
    answer = send(house, "exception", id="kept-1")
    assert answer.trail[0] == ("exception", "crashed")
    kept = house.call("GET", "/v1/messages/kept-1")
    assert kept.trail == answer.trail
    assert "ValueError" in kept.json["attempts"][0]["reason"]


def test_a_crash_is_told_with_its_place_in_the_plugin(house):
    attempt = send(house, "sdk").json["attempts"][0]
    line = next(
        number
        for number, text in enumerate(
            (house.config.parent / "guest.py").read_text().splitlines(), 1
        )
        if "json.loads" in text
    )
    assert attempt["reason"] == f"the plugin raised JSONDecodeError at guest.py:{line} in send"
    told = f"sdk: crashed, {attempt['reason']}"
    wait_for(
        lambda: any(told in line["attempts"] for line in house.events("delivery")),
        "the line with the place",
    )
    assert house.health("sdk", "sdk")["last_error"]["reason"] == attempt["reason"]


def test_other_chains_work_while_one_guest_is_deaf(house):
    answers = []
    caller = threading.Thread(target=lambda: answers.append(send(house, "silent", id="slow")))
    caller.start()
    wait_for(lambda: house.call("GET", "/health").json["in_flight"], "the slow send in flight")
    for _ in range(5):
        assert send(house, "plain").status == 200
    assert answers == []
    caller.join(PATIENCE)
    assert answers[0].trail == [("silent", "unknown"), ("good", "accepted")]


def test_zombies_are_counted_and_a_late_result_is_only_logged(house):
    wait_for(lambda: not house.health("late", "late")["zombies"], "those of before to end")
    before = len(house.events("late_result"))
    accepted = send(house, "late", id="late-1")
    assert accepted.trail == [("late", "unknown"), ("good", "accepted")]
    assert house.health("late", "late")["zombies"] == 1
    assert b'otp_zombie_attempts{provider="late"} 1.0' in house.call("GET", "/metrics").body
    wait_for(lambda: len(house.events("late_result")) > before, "the late result")
    told = house.events("late_result")[-1]
    assert (told["provider"], told["outcome"]) == ("late", "accepted")
    assert house.call("GET", "/v1/messages/late-1").trail == accepted.trail
    assert house.health("late", "late")["zombies"] == 0
    send(house, "deaf")
    assert house.health("deaf", "deaf")["zombies"] >= 1


def test_an_exit_of_a_leaked_task_is_refused_and_told(house):
    before = len(house.events("exit_refused"))
    send(house, "task-exits")
    send(house, "callback-interrupts")
    wait_for(lambda: len(house.events("exit_refused")) >= before + 2, "both to be told")
    assert {e["error"] for e in house.events("exit_refused")} >= {"SystemExit", "KeyboardInterrupt"}


def test_five_crashes_open_its_circuit_alone(house):
    for _ in range(6):
        send(house, "dict")
    assert house.health("dict", "dict")["circuit"]["state"] == "open"
    assert house.health("plain", "good")["circuit"]["state"] == "closed"
    assert send(house, "dict").trail == [("dict", "skipped"), ("good", "accepted")]
