"""From a wish to a delivery: claim the key, walk the chain, write the log, tell the observers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count

from sidecar.declined import (
    Draining,
    InFlight,
    KeyReused,
    LogRefuses,
    NoChain,
    Overloaded,
    TooLate,
)
from sidecar.delivery.chain import Chain
from sidecar.delivery.clock import Clock
from sidecar.delivery.link import Limits
from sidecar.delivery.model import Attempt, Delivery, Message, Status
from sidecar.delivery.shares import may_wait
from sidecar.delivery.turns import Turns
from sidecar.entries import Entries, Wish
from sidecar.journal import Backlog, Journal, complain, within
from sidecar.privacy import Fingerprint
from sidecar.recent import Asked, Recent
from sidecar.running import Running, heard
from sidecar.store import Claim, Claimed, DeliveryLog, Existing, LogUnavailable
from sidecar.store.recovery import under_way
from sidecar.switch import share

LAST_MOMENT = 0.2
"""Seconds past its deadline that an answer waits until its end is written."""
UNWRITTEN_LIMIT = 10_000
"""Ended deliveries kept in memory while the log cannot be written; beyond, no send is begun."""


@dataclass(frozen=True, slots=True)
class Routes:
    """One version of the configuration, as sends see it: taken once, when a send begins."""

    chains: Mapping[str, Chain]
    limits: Limits
    deadline: float
    keep_keys: float
    degrade: bool


Told = Callable[[Delivery], None]


class Dispatcher:
    """The one way to send. `tell` hears of every delivery that ended, after it was logged.

    Whoever waits for what `begin` gave is called before that.
    """

    def __init__(
        self, log: DeliveryLog, fingerprint: Fingerprint, routes: Routes, clock: Clock, tell: Told
    ) -> None:
        self.routes = routes
        self.draining = False
        self.begun = 0
        self.replays = 0
        self._log = log
        self._fingerprint = fingerprint
        self._clock = clock
        self._entries = Entries(fingerprint, clock)
        self._turns = Turns(share)
        self._unnamed = count()
        self._tell = tell
        self._under_way: dict[str, Running] = {}
        self._backlog = Backlog(log)
        self._unlogged = Recent(clock)
        self._logged = Recent(clock)  # with `degrade` alone, for when the log is away

    @property
    def under_way(self) -> int:
        """How many sends have begun and not ended."""
        return len(self._under_way)

    def by_channel(self) -> Mapping[str, int]:
        """The same for each channel, those without any included."""
        counts = Counter(running.channel for running in self._under_way.values())
        return {**dict.fromkeys(self.routes.chains, 0), **counts}

    @property
    def unwritten(self) -> int:
        """How many ended deliveries wait for a log that can be written."""
        return len(self._backlog)

    @property
    def is_shared(self) -> bool:
        """Whether more than one channel is at work, or was lately."""
        return self._turns.is_shared()

    async def send(self, wish: Wish) -> Delivery:
        """Deliver, or give what became of the same wish before. Raises `Declined`.

        A caller that goes away does not stop a send: it runs as a task of its own to its end.
        """
        return await asyncio.shield(self.begin(wish))

    def begin(self, wish: Wish) -> asyncio.Future[Delivery]:
        """The same, begun: what becomes of it, or the `Declined`. Not to be cancelled."""
        body_hash = self._fingerprint.of("body", wish.body)
        key_hash = None if wish.key is None else self._fingerprint.of("key", wish.key)
        # No id that a caller may give begins with a space.
        name = key_hash or f"id {wish.message.id or f' {next(self._unnamed)}'}"
        if (running := self._under_way.get(name)) is not None:
            return heard(self._join(running, body_hash, wish))
        if self._unlogged:
            known = self._unlogged.get(Asked(key_hash, wish.message.id, body_hash))
            if known is not None:
                return heard(self._known(known))
        chain = self._admit(wish)
        self.begun += 1
        claim = self._entries.claim(wish, body_hash, key_hash)
        running = self._under_way[name] = Running(body_hash, chain.channel)
        run = self._run(running, wish, chain, self.routes, claim)
        task = running.task = asyncio.get_running_loop().create_task(run)
        self._turns.enter(chain.channel)
        task.add_done_callback(lambda done: self._ended(name, done))
        return task

    async def get(self, delivery_id: str) -> Delivery | None:
        """What the log has of a delivery. Raises `LogUnavailable`."""
        return self._backlog.get(delivery_id) or await self._log.get(delivery_id)

    async def drain(self, seconds: float) -> bool:
        """Begin nothing more and wait for what is under way; False where some did not end."""
        self.draining = True
        tasks = self.tasks()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            return not late
        return True

    async def stop(self) -> None:
        """Cut off what is still under way, and try once more to write what is unwritten.

        What is cut off ends as `unknown` where a provider was being called; its caller is told.
        """
        tasks = self.tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._backlog.close()

    # One send

    async def _run(
        self, running: Running, wish: Wish, chain: Chain, routes: Routes, claim: Claim
    ) -> Delivery:
        deadline = self._deadline(wish, routes)
        ahead = _foresee(chain, wish.message, claim.at)
        claimed = await self._claim(claim, wish.message.id, routes, deadline, ahead)
        running.decide()
        if isinstance(claimed, Existing):
            return await self._known(claimed)
        if claimed is not None:
            claim = self._begun(claim, claimed)
        message = wish.message.named(claim.id)
        journal = Journal(self._log, claimed, self._clock, degrade=routes.degrade, ahead=ahead)
        try:
            if (turn := self._turns.take(claim.channel)) is not None:
                await turn
            attempts = await chain.deliver(message, deadline, journal, ahead)
        except asyncio.CancelledError:  # the drain has ended; what is under way may be taken
            attempts = journal.cut_off()
        if (turn := self._turns.take(claim.channel)) is not None:
            await self._own_turn(turn)
        delivery = self._entries.ended(
            claim,
            attempts,
            wish.asked_at,
            lambda: chain.retry_after(message),
            logged=journal.complete,
        )
        if claimed is not None:
            await self._backlog.finish(claimed, delivery, self._left(deadline) + LAST_MOMENT)
        if (turn := self._turns.take(claim.channel)) is not None:
            await self._own_turn(turn)
        if routes.degrade or not delivery.logged:
            recent = self._logged if delivery.logged else self._unlogged
            asked = Asked(claim.key_hash, wish.message.id, claim.body_hash)
            recent.keep(asked, delivery, routes.keep_keys)
        return delivery

    def _begun(self, claim: Claim, claimed: Claimed) -> Claim:
        """The claim, with the id that the log has for it."""
        self._backlog.forget(claimed.id)
        return claim if claimed.id == claim.id else claim._replace(id=claimed.id)

    async def _own_turn(self, turn: asyncio.Future[None]) -> None:
        with suppress(asyncio.CancelledError):  # the drain has ended, but what was done is told
            await turn

    async def _claim(
        self,
        claim: Claim,
        own_id: str,
        routes: Routes,
        deadline: float,
        ahead: Sequence[Attempt],
    ) -> Claimed | Existing | None:
        # What the log writes too late it takes back, so that the key may be claimed again.
        try:
            if (turn := self._turns.take(claim.channel)) is not None:
                await turn
            while True:
                asked = self._log.claim(claim, keep_keys=routes.keep_keys, first=ahead)
                claimed = await within(self._left(deadline) + LAST_MOMENT, self._log, asked)
                if isinstance(claimed, Claimed):
                    return claimed
                if not await self._backlog.settle(claimed, self._left(deadline) + LAST_MOMENT):
                    return claimed
        except TimeoutError as error:
            raise TooLate from error
        except asyncio.CancelledError:  # the drain has ended
            raise Draining("the sidecar is shutting down; nothing was sent") from None
        except LogUnavailable as error:
            complain("claim", error)
            if routes.degrade:
                return self._logged.get(Asked(claim.key_hash, own_id, claim.body_hash))
            raise LogRefuses("the delivery log cannot be written; nothing was sent") from error

    def _left(self, deadline: float) -> float:
        return deadline - self._clock.monotonic()

    def _deadline(self, wish: Wish, routes: Routes) -> float:
        return wish.asked_at + min(wish.deadline or routes.deadline, routes.deadline)

    async def _known(self, existing: Existing) -> Delivery:
        if not existing.same_body:
            raise KeyReused("this idempotency key or id was used with another message")
        delivery = self._backlog.get(existing.delivery.id) or existing.delivery
        if delivery.status is Status.PENDING:
            raise InFlight("a send under this key is under way")
        self.replays += 1
        return replace(delivery, replayed=True)

    async def _join(self, running: Running, body_hash: str, wish: Wish) -> Delivery:
        if running.body_hash != body_hash:
            raise KeyReused("this idempotency key or id was used with another message")
        left = self._left(self._deadline(wish, self.routes))
        if not wish.wait:
            await running.wait_for_claim(self._clock, left)
            # It has ended where it found an answer of long ago, or too late for its own caller.
            if not running.task.done() or isinstance(running.task.exception(), TooLate):
                raise InFlight("a send under this key is under way; `Prefer: wait` waits for it")
        elif not await self._clock.wait(running.task, left):
            raise InFlight("the send under this key did not end within your deadline")
        delivery = running.task.result()
        self.replays += 1
        return replace(delivery, replayed=True)

    # Small things

    def _admit(self, wish: Wish) -> Chain:
        routes = self.routes
        if self.draining:
            raise Draining("the sidecar is shutting down; nothing was sent")
        chain = routes.chains.get(wish.message.channel)
        if chain is None:
            names = ", ".join(f"`{name}`" for name in routes.chains) or "none"
            raise NoChain(f"no chain is configured for this channel; there are: {names}")
        if self._left(self._deadline(wish, routes)) <= 0:  # it waited in the socket, in a stall
            raise TooLate
        room = routes.limits.in_flight + routes.limits.queue
        full = self.under_way >= room and not may_wait(room, self.by_channel(), chain.channel)
        if full or len(self._backlog) >= UNWRITTEN_LIMIT:
            raise Overloaded("too many sends are under way; nothing was sent")
        return chain

    def tasks(self) -> list[asyncio.Task[Delivery]]:
        """The sends under way."""
        return [running.task for running in self._under_way.values()]

    def _ended(self, name: str, task: asyncio.Task[Delivery]) -> None:
        running = self._under_way.pop(name)
        self._turns.leave(running.channel)
        running.decide()  # where it ended before that
        if task.cancelled() or task.exception() is not None or task.result().replayed:
            return
        # Whoever waits for the answer is called next, and those who observe after that.
        task.get_loop().call_soon(self._tell, task.result())


def _foresee(chain: Chain, message: Message, at: float) -> tuple[Attempt, ...]:
    """What can be written with the claim: who is passed by, and the first call, begun `at`."""
    if (foreseen := chain.foresee(message)) is None:
        return ()
    passed_by, link = foreseen
    bill = None if link.till is None else link.till.quote(message)
    return (*passed_by, under_way(link.name, link.kind, at, bill))
