"""E: 64 sends per provider, 256 in all, a queue of 256 for a second; beyond that 503, fast."""

from __future__ import annotations

import asyncio
import re
import resource
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from harness.crowd import Held, send, until
from harness.providers import config, sendgrid, twilio
from harness.standins import sendgrid_accepts, twilio_accepts

CROWD = 2000
PLACES = 64
DESCRIPTORS = 6000
PATIENT = ", timeout: 30s"
LONG = "limits: {deadline: 30s}\n"


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip(f"needs {DESCRIPTORS} descriptors, the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def counted(sidecar, name):
    """The sum of a metric's samples, by the labels given."""
    page = sidecar.call("GET", "/metrics").body.decode()
    return sum(float(value) for value in re.findall(rf"^{name} (\S+)$", page, re.MULTILINE))


def rows(tmp_path):
    with closing(sqlite3.connect(tmp_path / "data" / "deliveries.db")) as log:
        found = log.execute("select status, count(*) from deliveries group by 1").fetchall()
    return dict(found)


async def test_2000_at_once(start, vendor, tmp_path, many_descriptors):
    held = Held(twilio_accepts)
    stand_in = vendor(held)
    sidecar = start(config("sms", twilio(stand_in.url, more=PATIENT), more=LONG))
    turn = asyncio.Semaphore(32)
    sends = [
        asyncio.create_task(send(sidecar.port, "sms", turn=turn, id=f"m-{n}")) for n in range(CROWD)
    ]
    await until(lambda: sum(task.done() for task in sends) >= CROWD - PLACES, "the refusals")
    refused = [task.result() for task in sends if task.done()]
    held.gate.set()
    answers = await asyncio.gather(*sends)

    assert Counter(answer.status for answer in answers) == {200: PLACES, 503: CROWD - PLACES}
    assert len(refused) == CROWD - PLACES, "each of them came while the provider held the others"
    assert {answer.code for answer in refused} == {"overloaded"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert all(answer.json["retryable"] for answer in refused)

    assert held.taken == held.most == PLACES, "what was refused was not sent"
    accepted = {answer.json["id"] for answer in answers if answer.status == 200}
    assert len(accepted) == PLACES
    assert rows(tmp_path)["accepted"] == PLACES
    assert set(rows(tmp_path)) <= {"accepted", "overloaded"}
    shed = await asyncio.to_thread(counted, sidecar, r'otp_shed_total\{reason="\w+"\}')
    logged = await asyncio.to_thread(
        counted, sidecar, r'otp_requests_total\{channel="sms",status="overloaded"\}'
    )
    assert shed + logged == CROWD - PLACES
    assert rows(tmp_path).get("overloaded", 0) == logged

    standing = await asyncio.to_thread(sidecar.health, "sms", "twilio")
    assert standing["circuit"]["state"] == "closed"
    assert standing["circuit"]["consecutive_failures"] == 0
    assert standing["in_flight"] == 0
    again = await asyncio.gather(*(send(sidecar.port, "sms") for _ in range(PLACES)))
    assert [answer.status for answer in again] == [200] * PLACES
    for n in range(100 - PLACES):
        assert (await send(sidecar.port, "sms", id=f"again-{n}")).status == 200
    assert await asyncio.to_thread(sidecar.stop) == 0
    assert sidecar.events("circuit") == []


async def test_as_many_as_there_is_room_for_all_succeed(start, vendor):
    held = Held(twilio_accepts)
    stand_in = vendor(held)
    sidecar = start(config("sms", twilio(stand_in.url, more=PATIENT), more=LONG))
    sends = [asyncio.create_task(send(sidecar.port, "sms")) for _ in range(PLACES)]
    await until(lambda: held.inside == PLACES, "all to be in flight")
    held.gate.set()
    assert {answer.status for answer in await asyncio.gather(*sends)} == {200}
    more = await asyncio.gather(*(send(sidecar.port, "sms") for _ in range(PLACES + 100)))
    assert {answer.status for answer in more} == {200}, "a short queue is there for short bursts"
    assert held.most == PLACES


SMALL = "limits: {deadline: 30s, in_flight: 32, in_flight_per_provider: 16, queue: 32}\n"
CAPPED = 24
"""What one of two channels may have of 32 places: 8 are kept for the other."""


@pytest.fixture
def two_channels(start, vendor):
    held = [Held(twilio_accepts) for _ in range(3)]
    slow = [vendor(one) for one in held]
    names = ("a", "b", "c")
    providers = [twilio(one.url, name, PATIENT) for one, name in zip(slow, names, strict=True)] + [
        sendgrid(vendor(sendgrid_accepts).url)
    ]
    lines = "".join(f"  {text}\n" for text in providers)
    chains = "chains: {sms: [a, b, c], email: [sendgrid]}\n"
    sidecar = start(f"{SMALL}providers:\n{lines}{chains}")
    yield sidecar, held
    for one in held:
        one.gate.set()


async def test_a_flood_on_one_channel_leaves_the_other_its_places(two_channels):
    sidecar, held = two_channels
    flood = [asyncio.create_task(send(sidecar.port, "sms")) for _ in range(300)]
    await until(lambda: sum(one.inside for one in held) == CAPPED, "its places to be taken")
    for _ in range(5):
        mails = await asyncio.gather(*(send(sidecar.port, "email") for _ in range(8)))
        assert [mail.status for mail in mails] == [200] * 8
    assert sum(one.inside for one in held) == CAPPED
    await until(lambda: sum(task.done() for task in flood) >= 300 - CAPPED, "the refusals")
    for one in held:
        one.gate.set()
    answers = await asyncio.gather(*flood)
    assert Counter(answer.status for answer in answers) == {200: CAPPED, 503: 300 - CAPPED}
    assert sum(one.taken for one in held) == CAPPED


async def test_a_slow_provider_leaves_the_other_channel_its_speed(start, vendor):
    held = Held(twilio_accepts)
    slow, quick = vendor(held), vendor(sendgrid_accepts)
    text = "".join(f"  {one}\n" for one in (twilio(slow.url, more=PATIENT), sendgrid(quick.url)))
    sidecar = start(f"{LONG}providers:\n{text}chains: {{sms: [twilio], email: [sendgrid]}}\n")
    took = {"alone": [], "beside": []}

    async def some_mails(how):
        for _ in range(60):
            mail = await send(sidecar.port, "email")
            assert mail.status == 200
            took[how].append(mail.seconds)

    for _ in range(3):  # in turn, so that a machine that slows down slows both
        await some_mails("alone")
        held.gate.clear()
        crowd = [asyncio.create_task(send(sidecar.port, "sms")) for _ in range(300)]
        await until(lambda: held.inside == PLACES, "the slow provider to be full")
        await some_mails("beside")
        held.gate.set()
        await asyncio.gather(*crowd)
    alone, beside = (sorted(seconds)[int(0.95 * len(seconds))] for seconds in took.values())
    assert beside <= 3 * alone + 0.05, (alone, beside)
