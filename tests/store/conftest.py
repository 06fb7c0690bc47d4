"""Both logs behind one fixture, and the values that the tests put into them."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from sidecar.delivery.model import Attempt, Delivery, Money, Outcome, Status
from sidecar.store import Claim
from sidecar.store.memory import MemoryLog
from sidecar.store.recovery import under_way
from sidecar.store.sqlite import SqliteLog

NOW = 1_700_000_000.25
PATIENT = 20.0  # seconds: no test of ours may fail because the machine is busy


class OneLog:
    """A log of one kind that can be shut and opened again, as a restart would."""

    def __init__(self, make):
        self._make = make
        self.log = make()

    async def restart(self):
        await self.log.close()
        self.log = self._make()
        return await self.log.open()


@pytest.fixture(params=["memory", "sqlite"])
def kept(request, tmp_path):
    """Not open yet. The one in memory outlives its restart, so that both can be compared."""
    if request.param == "memory":
        memory = MemoryLog(now=lambda: NOW + 60)
        return OneLog(lambda: memory)
    path = tmp_path / "log" / "deliveries.db"
    return OneLog(lambda: SqliteLog(path, timeout=PATIENT, now=lambda: NOW + 60))


@pytest.fixture
async def log(kept):
    await kept.log.open()
    yield kept.log
    await kept.log.close()


@pytest.fixture
async def sqlite(tmp_path):
    """An open SqliteLog that waits for the machine, not for a clock."""
    log = SqliteLog(tmp_path / "deliveries.db", timeout=PATIENT)
    await log.open()
    yield log
    await log.close()


@pytest.fixture
def claim_of():
    def make(delivery_id="d-1", **changes):
        claim = Claim(
            id=delivery_id,
            channel="sms",
            purpose="otp",
            recipient="+1******4567",
            recipient_hash="r" * 32,
            body_hash="b" * 32,
            at=NOW,
            segments=2,
        )
        return claim._replace(**changes)

    return make


@pytest.fixture
def ended():
    """The delivery that a claim becomes, with these attempts and this status."""

    def make(claim, status, *attempts, **changes):
        delivery = Delivery(
            id=claim.id,
            channel=claim.channel,
            purpose=claim.purpose,
            status=status,
            started_at=claim.at,
            ended_at=claim.at + 0.1,
            attempts=attempts,
            recipient=claim.recipient,
            recipient_hash=claim.recipient_hash,
            segments=claim.segments,
        )
        return replace(delivery, **changes)

    return make


@pytest.fixture
def down():
    return Attempt(
        "sns", "sns", Outcome.UNAVAILABLE, NOW + 0.1, 1 / 3, "the vendor answered 503", "503"
    )


@pytest.fixture
def took():
    return Attempt(
        "twilio-eu",
        "twilio",
        Outcome.ACCEPTED,
        NOW + 0.4,
        0.123456789,
        provider_message_id="SM1",
        simulated=True,
        cost=Money(Decimal("0.00750"), "USD"),
    )


@pytest.fixture
def send(claim_of, ended, took):
    """A whole delivery that was accepted; gives what was written."""

    async def run(log, delivery_id="d-1", **changes):
        claim = claim_of(delivery_id, **changes)
        claimed = await log.claim(claim, keep_keys=86_400.0)
        await log.sending(claimed, (), under_way(took.provider, took.kind, claim.at))
        delivery = ended(claim, Status.ACCEPTED, took)
        await log.finish(claimed, delivery)
        return delivery

    return run


@pytest.fixture
def queued():
    """Starts operations together and gives their tasks, once each has been handed over."""

    async def start(*operations):
        tasks = [asyncio.create_task(operation) for operation in operations]
        await asyncio.sleep(0)
        return tasks

    return start
