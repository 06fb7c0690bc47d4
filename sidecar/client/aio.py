"""The client for asyncio: one protocol a connection, a few of them kept."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, cast

from sidecar.client.answer import Answer
from sidecar.client.blocking import BASE, KEEP, TIMEOUT
from sidecar.client.call import Call, read_target
from sidecar.client.errors import SendError
from sidecar.client.wire import Broken, Garbled, Reader, Reply


class AsyncClient:
    """`Client` for asyncio, with the same arguments, to be shared by all tasks of one event loop.

    Each send under way has a connection of its own; how many there are is the caller's to bound.
    Made before a fork, or outside of a loop, it can be used behind it. A send that is cancelled may
    have been sent, like one without an answer.

    Kept connections are closed by `close()`, or at the end of an `async with` block.
    """

    def __init__(
        self,
        base: str = BASE,
        *,
        token: str | None = None,
        timeout: float = TIMEOUT,  # of a whole send
        retries: int = 0,
    ) -> None:
        self._target = read_target(base, token, timeout, retries)
        self._kept: list[_Link] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def send(
        self,
        *,
        channel: str,
        to: str,
        text: str,
        purpose: str | None = None,
        subject: str | None = None,
        html: str | None = None,
        reply_to: str | None = None,
        expires_in: float | None = None,
        extra: Mapping[str, Mapping[str, Any]] | None = None,
        id: str | None = None,  # noqa: A002  # the API's own word
        key: str | None = None,
        deadline: float | None = None,
        wait: bool = True,
    ) -> Answer:
        """Have one message delivered; see `Client.send`, which takes and raises the same."""
        fields = {
            "channel": channel,
            "to": to,
            "text": text,
            "purpose": purpose,
            "subject": subject,
            "html": html,
            "reply_to": reply_to,
            "expires_in": expires_in,
            "extra": extra,
            "id": id,
        }
        return await self._deliver(Call(self._target, fields, key, deadline, wait=wait))

    async def close(self) -> None:
        """Close the kept connections. Sends under way end; no further ones can be made."""
        self._closed = True
        gone = [link.close() for link in self._of(asyncio.get_running_loop())]
        self._kept.clear()
        if gone:
            await asyncio.wait(gone)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._target!r})"

    # One send

    async def _deliver(self, call: Call) -> Answer:
        while True:
            try:
                return call.settle(await self._exchange(call))
            except SendError as error:
                pause = call.pause(error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    async def _exchange(self, call: Call) -> Reply:
        if self._closed:
            raise RuntimeError("the client is closed")
        kept = self._of(asyncio.get_running_loop())
        try:
            if (link := _take(kept)) is not None:
                try:
                    return await self._through(link, kept, call)
                except Broken as broken:
                    call.lost(broken)
                    if not broken.stale:
                        raise
                    # Closed while it was kept, most likely. The key makes it safe to ask again.
            return await self._through(await self._connect(call), kept, call)
        except Broken as broken:
            raise call.lost(broken) from None
        except Garbled as garbled:
            raise call.garbled(garbled) from None

    async def _through(self, link: _Link, kept: list[_Link], call: Call) -> Reply:
        try:
            reply = call.own(await link.exchange(call))
        except BaseException:  # a cancellation too: its late answer must not meet the next request
            link.abort()
            raise
        if reply.keep and not self._closed and len(kept) < KEEP:
            kept.append(link)
        else:
            link.close()
        return reply

    def _of(self, loop: asyncio.AbstractEventLoop) -> list[_Link]:
        """The connections of this loop: those of one that has ended are of no use."""
        if loop is not self._loop:
            self._loop, self._kept = loop, []
        return self._kept

    async def _connect(self, call: Call) -> _Link:
        target, loop = self._target, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(call.left()):
                if target.path is None:
                    made = await loop.create_connection(_Link, target.host, target.port)
                else:
                    made = await loop.create_unix_connection(_Link, target.path)
        except (OSError, UnicodeError):  # a host name may be none
            raise Broken("unreachable", left=False) from None
        return made[1]


def _take(kept: list[_Link]) -> _Link | None:
    while kept:
        link = kept.pop()  # the one used last: it is the least likely to have been closed
        if link.quiet():
            return link
        link.abort()
    return None


class _Link(asyncio.Protocol):
    """One connection, for one request at a time."""

    __slots__ = ("_answer", "_gone", "_poll", "_reader", "_transport")

    def __init__(self) -> None:
        self._gone = asyncio.get_running_loop().create_future()
        self._answer: asyncio.Future[Reply] | None = None
        self._reader = Reader()

    def quiet(self) -> bool:
        """Whether it is open and nothing has arrived, also where the loop did not look yet."""
        return not self._transport.is_closing() and not self._poll.poll(0)

    async def exchange(self, call: Call) -> Reply:
        """One request and its reply. Raises `Broken`, `Garbled`."""
        if self._transport.is_closing():
            raise Broken("lost", left=False, stale=True)
        loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._answer = loop.create_future()
        try:
            timer = loop.call_later(call.left(), self._fail, Broken("timed_out", left=True))
        except TimeoutError:
            raise Broken("timed_out", left=False) from None
        self._transport.write(call.request())
        try:
            return await self._answer
        finally:
            timer.cancel()
            self._answer = None

    def close(self) -> asyncio.Future[None]:
        """Close it; the future ends when it is closed."""
        self._transport.close()
        return self._gone

    def abort(self) -> None:
        self._transport.abort()

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():  # nobody has asked for this
            self._fail(Garbled("it is longer than its Content-Length"))
            self._transport.abort()
            return
        try:
            reply = self._reader.feed(data)
        except Garbled as garbled:
            self._fail(garbled)
            return
        if reply is not None:
            self._answer.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(Broken("lost", left=True, stale=not self._reader.begun))
        if not self._gone.done():
            self._gone.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
