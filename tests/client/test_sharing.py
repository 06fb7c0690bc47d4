"""One client for many: threads, tasks, forks, cancellations, and a sidecar that is started anew."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.leaks import TOKEN
from harness.process import PATIENCE, Sidecar, wait_for
from harness.providers import config, twilio
from harness.senders import CONSOLE, MESSAGE
from harness.standins import twilio_accepts
from sidecar.client import AsyncClient, Client, InFlight


def test_eight_threads_share_one_client(start):
    sidecar = start(CONSOLE)
    with Client(sidecar.where, token=TOKEN) as client, ThreadPoolExecutor(8) as threads:
        keys = [f"login-{i}" for i in range(200)]
        answers = list(threads.map(lambda key: client.send(**MESSAGE, key=key), keys))
        assert [answer.key for answer in answers] == keys
        assert len({answer.id for answer in answers}) == 200
        again = threads.map(lambda key: client.send(**MESSAGE, key=key), keys)
        assert [(a.id, a.replayed) for a in again] == [(a.id, True) for a in answers]
        assert 1 <= len(client._kept) <= 8


async def test_fifty_tasks_share_one_client(start):
    sidecar = await asyncio.to_thread(start, CONSOLE)
    async with AsyncClient(sidecar.where, token=TOKEN) as client:
        keys = [f"login-{i}" for i in range(50)]
        answers = await asyncio.gather(*(client.send(**MESSAGE, key=key) for key in keys))
        assert [answer.key for answer in answers] == keys
        assert len({answer.id for answer in answers}) == 50
        again = await asyncio.gather(*(client.send(**MESSAGE, key=key) for key in keys))
        assert [(a.id, a.replayed) for a in again] == [(a.id, True) for a in answers]
        assert 1 <= len(client._kept) <= 16


async def test_tasks_with_one_key(start, vendor):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    sidecar = await asyncio.to_thread(start, config("sms", twilio(stand_in.url)))
    async with AsyncClient(sidecar.where, token=TOKEN) as client:
        first = asyncio.create_task(client.send(**MESSAGE, key="login-1"))
        await asyncio.to_thread(wait_for, lambda: stand_in.requests, "the first")
        with pytest.raises(InFlight):
            await client.send(**MESSAGE, key="login-1", wait=False)
        second = asyncio.create_task(client.send(**MESSAGE, key="login-1"))
        stand_in.gate.set()
        assert [(await first).replayed, (await second).replayed] == [False, True]
    assert len(stand_in.requests) == 1


async def test_a_cancelled_send_leaves_no_connection_behind_and_is_replayed(start, vendor):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    sidecar = await asyncio.to_thread(start, config("sms", twilio(stand_in.url)))
    async with AsyncClient(sidecar.where, token=TOKEN) as client:
        gone = asyncio.create_task(client.send(**MESSAGE, key="login-1"))
        await asyncio.to_thread(wait_for, lambda: stand_in.requests, "the first")
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert client._kept == []
        stand_in.gate.set()
        other, same = await asyncio.gather(
            client.send(**MESSAGE, key="login-2"), client.send(**MESSAGE, key="login-1")
        )
        assert (other.key, other.replayed) == ("login-2", False)
        assert (same.key, same.replayed) == ("login-1", True)
        assert other.id != same.id


def test_an_interrupted_send_leaves_no_connection_behind(stub, monkeypatch):
    peer = stub(b"")
    with Client(peer.base, timeout=PATIENCE) as client:
        call = iter([None, KeyboardInterrupt])

        def interrupted(link, left):
            if (error := next(call)) is not None:
                raise error

        monkeypatch.setattr("sidecar.client.blocking._Link._bound", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.send(**MESSAGE)
        assert client._kept == []


def test_a_sidecar_is_started_anew_between_two_sends(start, make, vendor, tmp_path):
    stand_in = vendor(twilio_accepts)
    text = config("sms", twilio(stand_in.url))
    sidecar = start(text)
    sender = make(sidecar.where)
    first = sender.send(key="login-1")
    sidecar.kill()
    error = sender.refused(key="login-2")
    assert error.code == "unreachable"
    listen = sidecar.where.removeprefix("http://")
    (tmp_path / "providers.yaml").write_text(f"server: {{listen: '{listen}'}}\n{text}")
    start()
    assert sender.send(key="login-1").id == first.id
    assert not sender.send(key="login-2").replayed
    assert len(stand_in.requests) == 2


def test_a_sidecar_dies_under_a_send_and_the_key_settles_it(start, vendor, tmp_path):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    text = config("sms", twilio(stand_in.url))
    sidecar: Sidecar = start(text)
    with Client(sidecar.where, token=TOKEN, retries=5) as client, ThreadPoolExecutor(1) as thread:
        sent = thread.submit(client.send, **MESSAGE, key="login-1")
        wait_for(lambda: stand_in.requests, "the request")
        listen = sidecar.where.removeprefix("http://")
        (tmp_path / "providers.yaml").write_text(f"server: {{listen: '{listen}'}}\n{text}")
        sidecar.kill()
        start()
        answer = sent.result()
    assert (answer.status, answer.replayed) == ("unknown", True)
    assert len(stand_in.requests) == 1


FORK = """
import os, sys
from sidecar.client import Client
client = Client(sys.argv[1], token=sys.argv[2])
def send(key):
    return client.send(channel="sms", to=sys.argv[3], text=sys.argv[4], key=key)
mine = send("before").id
children = []
for child in range(4):
    if not (pid := os.fork()):
        assert not client._kept, "the parent's connection"
        for n in range(20):
            answer = send(f"child {child} {n}".replace(" ", "-"))
            assert answer.key == f"child-{child}-{n}" and not answer.replayed
        os._exit(0)
    children.append(pid)
kept = list(client._kept)
for n in range(20):
    assert send(f"parent-{n}").key == f"parent-{n}"
assert kept == client._kept, "its connection is its own still"
assert send("before").id == mine
print([os.waitpid(pid, 0)[1] for pid in children])
client.close()
"""


def test_a_process_that_forks(start):
    sidecar = start(CONSOLE)
    arguments = [sidecar.where, TOKEN, MESSAGE["to"], MESSAGE["text"]]
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", FORK, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.stdout, done.stderr) == ("[0, 0, 0, 0]\n", "")
    assert len({m["id"] for m in sidecar.inbox()}) == 101


def test_one_asyncio_client_in_one_loop_after_the_other(start):
    sidecar = start(CONSOLE)
    client = AsyncClient(sidecar.where, token=TOKEN)

    async def use():
        try:
            return (await client.send(**MESSAGE, key="login-1")).replayed
        finally:
            kept = client._kept
            for link in kept:
                await link.close()

    assert [asyncio.run(use()), asyncio.run(use())] == [False, True]


IMPORTS = """
import sys
before = set(sys.modules)
import sidecar.client
print(sorted(name for name in set(sys.modules) - before))
sidecar.client.AsyncClient
print(sorted(name for name in set(sys.modules) - before))
"""


def test_it_loads_the_standard_library_and_itself():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    sync, both = (set(eval(line)) for line in done.stdout.splitlines())
    for loaded in (sync, both):
        strangers = {n for n in loaded if n.partition(".")[0] not in sys.stdlib_module_names}
        strangers -= {n for n in loaded if n.startswith("sidecar.client")}
        assert strangers == {"sidecar"}
    assert "asyncio" not in sync
    assert "http.client" not in both
