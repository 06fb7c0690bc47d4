"""A process that delivers until it is killed, and says on stdout what the log acknowledged.

`python send_until_killed.py <log> <prefix>`; every line is `<claimed|sending|finished> <id>`, and
is written after the operation returned, never before.
"""

import asyncio
import os
import sys
import time
from itertools import count

from sidecar.delivery.model import Attempt, Delivery, Outcome, Status
from sidecar.store import Claim
from sidecar.store.recovery import under_way
from sidecar.store.sqlite import SqliteLog

WORKERS = 8


async def deliver(log, delivery_id):
    now = time.time()
    claim = Claim(delivery_id, "sms", "otp", "+1***", "r", "b", now, key_hash=f"key {delivery_id}")
    claimed = await log.claim(claim, keep_keys=60.0)
    say("claimed", delivery_id)
    await log.sending(claimed, (), under_way("scripted", "scripted", now))
    say("sending", delivery_id)
    accepted = Attempt("scripted", "scripted", Outcome.ACCEPTED, now, provider_message_id="m")
    delivery = Delivery(delivery_id, "sms", "otp", Status.ACCEPTED, now, now, (accepted,))
    await log.finish(claimed, delivery)
    say("finished", delivery_id)


def say(what, delivery_id):
    os.write(1, f"{what} {delivery_id}\n".encode())


async def main(path, prefix):
    log = SqliteLog(path, timeout=60.0)
    await log.open()
    numbers = count()

    async def work():
        while True:
            await deliver(log, f"{prefix}-{next(numbers)}")

    await asyncio.gather(*(work() for _ in range(WORKERS)))


asyncio.run(main(*sys.argv[1:]))
