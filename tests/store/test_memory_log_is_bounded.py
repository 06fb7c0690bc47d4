"""The log in memory forgets the oldest ends, and never what is under way."""

from sidecar.store import Claimed
from sidecar.store.memory import MemoryLog


async def test_the_first_to_end_goes_first_and_takes_its_key_along(send, claim_of):
    log = MemoryLog(limit=2)
    await log.open()
    await log.claim(claim_of("pending"), keep_keys=60.0)
    for number in (1, 2, 3):
        await send(log, f"d-{number}", key_hash=f"k-{number}")
    there = [await log.get(name) is not None for name in ("pending", "d-1", "d-2", "d-3")]
    assert there == [True, False, True, True]
    again = claim_of("d-4", key_hash="k-1")
    assert await log.claim(again, keep_keys=60.0) == Claimed("d-4", 1)


async def test_ten_times_its_limit_leaves_nothing_behind(send):
    log = MemoryLog(limit=10)
    await log.open()
    for number in range(100):
        await send(log, f"d-{number}", key_hash=f"k-{number}")
    assert (len(log._entries), len(log._by_key), len(log._ended)) == (10, 10, 10)
