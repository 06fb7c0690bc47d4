"""One caller's connection: aiohttp's, with a head deadline, and with every refusal a document."""

from __future__ import annotations

import asyncio
from functools import cache
from http import HTTPStatus
from typing import Any, Protocol, cast

import structlog
from aiohttp import web
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from sidecar.api.asked import Asked
from sidecar.api.problems import problem_answer, problem_document
from sidecar.delivery.whereabouts import whereabouts

_PIECE = 16 * 1024
"""Bytes the parser gets at once: the Python one copies the rest for every chunk it finds."""
_MALFORMED = (400, "malformed", "this is not a valid HTTP/1.1 request, or its head is too large")
_SLOW_HEAD = (408, "slow_head", "the head of the request did not arrive in time")


class Desk(Protocol):
    """Who keeps account of the connections of a listener; see `sidecar.api.reception`."""

    body_timeout: float

    def arrived(self, connection: Connection, transport: asyncio.Transport) -> None: ...
    def left(self, connection: Connection) -> None: ...
    def begun_a_head(self, connection: Connection) -> None: ...
    def reading(self, connection: Connection, *, ended: bool = False) -> None: ...
    def stuck(self, connection: Connection, *, ended: bool = False) -> None: ...
    def begin(self, request: Asked, connection: Connection) -> None: ...
    def end(self, connection: Connection) -> None: ...


class Express(Protocol):
    """A shorter way for requests that leave no doubt; see `sidecar.api.express`."""

    def take(self, connection: Connection, data: bytes) -> bool:
        """Serve what `data` asks, and answer it later; False where it is for aiohttp."""


class Connection(RequestHandler):
    """aiohttp has no deadline for a head or a body; the desk's one timer sees to the first.

    `stranger`: its user may not come in, so every request is refused. `express` is offered each
    request until one has gone to aiohttp, whose parser may keep a part of the next.
    """

    __slots__ = ("_behind", "_body", "_express", "_served", "desk", "spoken", "stranger")

    def __init__(
        self,
        desk: Desk,
        server: web.Server,
        keep_alive: float,
        *,
        stranger: bool = False,
        express: Express | None = None,
    ) -> None:
        options: dict[str, Any] = {
            "access_log": None,
            "auto_decompress": False,  # the door refuses what is encoded; nothing shall inflate it
            "keepalive_timeout": keep_alive,
            "lingering_time": desk.body_timeout,  # for the rest of a body that was refused
        }
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self.desk = desk
        self.spoken = False
        self.stranger = stranger
        self._express = express
        self._served = False  # an express request is being served
        self._behind: list[bytes] = []  # what came behind it
        self._body: StreamReader | None = None  # of the request that aiohttp has begun last

    @property
    def waiting(self) -> bool:
        """Whether a head is waited for: none is complete and about to be served."""
        if self._served:  # aiohttp, which knows nothing of it, waits
            return False
        return self._waiter is not None and not self._waiter.done()

    @property
    def quiet(self) -> bool:
        """Whether nothing is asked of us and nothing of ours is unread."""
        return not self._messages and not self._paused and not self._request_in_progress

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.desk.arrived(self, cast(asyncio.Transport, transport))

    def connection_lost(self, exc: BaseException | None) -> None:
        self.desk.left(self)
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # aiohttp's returns nothing
        """Keep the way open for the answer where a whole request has come.

        A caller may say that nothing more will come (`nc -N`, a `shutdown` of its side) and still
        read. One that has gone looks the same until it is written to.
        """
        if self._served:
            self._close = True
            return True
        if self.waiting or self._body is None or not self._body.is_eof():
            return None
        self.close()
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self.desk.stuck(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.desk.stuck(self, ended=True)

    def data_received(self, data: bytes) -> None:
        if self._served:
            self._behind.append(data)
            cast(asyncio.Transport, self.transport).pause_reading()
            return
        if self._express is not None:
            # A caller that does not read its answers is aiohttp's, which waits until it does.
            free = not (self._paused or self._close or self._force_close)
            if free and self._express.take(self, data):
                return
            self._express = None
        while len(data) > _PIECE:
            self._take(data[:_PIECE])
            data = data[_PIECE:]
        self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001  # the Python parser's int() of 5000 digits
            _tell_once(type(error).__name__)
            self.refuse(*_MALFORMED)
            return
        if self._messages:
            self._body = self._messages[-1][1]
        # Nothing is complete, so this was a part of a head. (Empty lines between requests are none,
        # RFC 9112 section 2.2.) A part that came in one packet with the request before it is not
        # seen: such a connection counts as idle. uvloop may bring data before the task that waits
        # for it has begun, so `waiting` does not tell.
        unanswered = self._messages or self._request_in_progress
        if data and not unanswered and not data.isspace():
            self.spoken = True
            self.desk.begun_a_head(self)

    # A request that aiohttp does not see. To aiohttp's own timer and shutdown it is one under way.

    def serve(self) -> None:
        """An express request has begun."""
        self._served = self._request_in_progress = True

    def answer(self, data: bytes, *, close: bool) -> None:
        """It has ended, with this answer."""
        self._over()
        if self.transport is None or self.transport.is_closing():  # uvloop's `write` would raise
            return
        self.transport.write(data)
        if close or self._close:
            self.force_close()
            return
        self._keepalive = True
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )
        if self._behind:
            behind = b"".join(self._behind)
            self._behind.clear()
            self.transport.resume_reading()
            self.data_received(behind)

    def drop(self) -> None:
        """It has ended, and there is no answer."""
        self._over()
        self.force_close()

    def _over(self) -> None:
        self._served = self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)

    def _process_keepalive(self) -> None:
        if self._served:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def refuse(self, status: int, code: str, detail: str) -> None:
        """Answer what is no request yet, and close. Only while no answer is being written."""
        if self.transport is not None and self.quiet:
            body = problem_document(status, code, detail)
            self.transport.write(
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
                "Content-Type: application/problem+json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
        self.force_close()

    def end_waiting(self) -> None:
        """The head's time is up: 408 to one that has begun it, a close to one that was silent."""
        if self.spoken:
            self.refuse(*_SLOW_HEAD)
        else:
            self.force_close()

    async def read(self, request: web.Request) -> bytes:
        """The body.

        Raises TimeoutError where it takes too long, and then waits no more for it, and
        ConnectionError where the caller has gone.
        """
        if request.content.is_eof():  # as nearly always: no timer for that
            return await request.read()
        self.desk.reading(self)
        try:
            async with asyncio.timeout(self.desk.body_timeout):
                return await request.read()
        except TimeoutError:
            self._lingering_time = 0.0
            raise
        except RuntimeError as error:  # aiohttp's word for it (3.14)
            if self.transport is None:
                raise ConnectionError("the caller has gone") from error
            raise
        finally:
            self.desk.reading(self, ended=True)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Ours, because aiohttp's text gives back what was sent, and its log line holds it too."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if status != 400:
            where = "" if exc is None else whereabouts(exc, __name__)
            structlog.get_logger().error("internal_error", error=f"{type(exc).__name__}{where}")
        internal = (500, "internal", "the sidecar failed; its log says where")
        answer = problem_answer(*(_MALFORMED if status == 400 else internal))
        answer.close = True
        return answer.response()


@cache  # whoever can connect could fill the log with these
def _tell_once(error: str) -> None:
    structlog.get_logger().warning("parser_failed", error=error)
