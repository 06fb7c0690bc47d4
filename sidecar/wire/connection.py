"""One connection: a request goes out, its reply comes in, and then perhaps another."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import cast

from sidecar import crash
from sidecar.delivery.errors import DeliveryError, Unknown
from sidecar.delivery.timeouts import Timeouts
from sidecar.network import connect_error
from sidecar.wire.engine import Answer, BodyLost
from sidecar.wire.reply import ReplyReader


class Unanswered(Unknown):
    """The connection was lost after the request left and before a byte of the reply came."""


class Connection(asyncio.Protocol):
    """Belongs to one exchange, or lies idle; `lost` hears of its end.

    `idle_since` is in seconds on the loop's clock.
    """

    _transport: asyncio.Transport

    def __init__(self, lost: Callable[[Connection], None], timeouts: Timeouts) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._timeouts = timeouts
        self._reader = ReplyReader()
        self._outcome: asyncio.Future[DeliveryError | None] | None = None
        self._poll = select.poll()
        self.idle_since = 0.0

    async def exchange(self, method: str, request: bytes, deadline: float) -> Answer:
        """Send these bytes and read the reply until `deadline`, seconds on the loop's clock.

        However this ends but by returning, the connection must be aborted.
        """
        if self._loop.time() >= deadline:
            raise connect_error(TimeoutError())
        if self._transport.is_closing():
            raise connect_error(ConnectionResetError())  # it would swallow the request
        reader = self._reader
        reader.begin(method)
        self._outcome = self._loop.create_future()
        timeout = self._timeouts.at(deadline, self._expire)
        try:
            self._transport.write(request)  # from here on it may have been taken
            if crash.is_armed("left"):
                # uvloop writes at the end of this step of the loop.
                self._loop.call_soon(crash.at, "left")
            error = await self._outcome
        finally:
            self._timeouts.call_off(timeout)
            self._outcome = None
        if error is not None:
            if (head := reader.head) is not None:
                error = BodyLost(error.reason, head, code=error.code)
            try:
                raise error
            finally:
                del error  # else this frame and the error hold each other, and the connection
        return reader.answer

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow the last reply."""
        return self._reader.reusable and not self._transport.is_closing()

    @property
    def has_news(self) -> bool:
        """Whether something lies in the system's buffer that the loop has not read yet.

        On an idle connection that is its end, or what nobody asked for. TLS's own messages look the
        same, but those of the handshake lie before the first reply. Costs about 1 us, and spares a
        POST that the peer would never read.
        """
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Close it with the goodbye of TLS, which the peer may leave unanswered for a moment."""
        self._transport.close()

    def abort(self) -> None:
        """Close it at once, whatever is under way."""
        if hasattr(self, "_transport"):
            self._transport.abort()

    def _end(self, error: DeliveryError | None) -> None:
        # A result in both cases: nobody may be left to fetch an exception.
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(error)

    def _expire(self) -> None:
        self._end(Unknown("no complete answer in time"))

    def _break(self) -> None:
        reason = "the connection was lost before the answer was complete"
        self._end(Unknown(reason) if self._reader.begun else Unanswered(reason))

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's inherits from nothing
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._outcome is None or self._outcome.done():
            self.abort()  # nobody asked for this: nor would it be the answer to the next request
            return
        try:
            if self._reader.feed(data):
                self._end(None)
        except Unknown as error:
            self._end(error)

    def eof_received(self) -> None:
        # Returning nothing, it has the loop close the connection.
        if self._outcome is not None and self._reader.end():
            self._end(None)
        self._break()

    def connection_lost(self, exc: Exception | None) -> None:
        self._break()
        self._reader.forget()
        self._lost(self)
