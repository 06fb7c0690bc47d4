"""The edge of every request: the door, one request id, and every exception made a document."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from sidecar.alerts.desk import Case
from sidecar.api.asked import REQUEST_ID, TRACEPARENT, Asked
from sidecar.api.connections import Connection
from sidecar.api.door import Door
from sidecar.api.problems import Answer, Problem, problem_answer
from sidecar.delivery.discretion import repeats
from sidecar.delivery.model import Message
from sidecar.delivery.whereabouts import name_of, whereabouts
from sidecar.dispatcher import Dispatcher
from sidecar.ids import about_request, random_hex
from sidecar.lag import LoopWatch
from sidecar.metrics import Metrics
from sidecar.reload import ReloadState
from sidecar.world import World

SERVER = "otp-sidecar"
"""The header of every answer; aiohttp's own tells its version and Python's."""
_ID, _TRACE = "request_id", "trace"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Face:
    """What the API shows of the process. `ready` says why it is not, or None."""

    dispatcher: Dispatcher
    door: Door
    metrics: Metrics
    watch: LoopWatch
    world: Callable[[], World]
    ready: Callable[[], Awaitable[str | None]]
    reloads: Callable[[], ReloadState]
    alerts: Callable[[], Sequence[Case]] = tuple


_VERSIONS = (HttpVersion11, HttpVersion10)
FACE = web.AppKey("face", Face)
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Guard = Callable[[Handler], Handler]


def guard(door: Door | None, handler: Handler) -> Handler:
    """`handler` behind the door, if there is one, with every exception made a document.

    It stands before aiohttp's router, which answers `Expect: 100-continue` by itself, and a path or
    a method that is not there before any middleware is asked.
    """

    async def guarded(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        greet(request)
        try:
            connection.desk.begin(request, connection)
            _check_protocol(request)
            if door is not None:
                door.check(request)
            _check_expect(request)
            response = await handler(request)
        except Exception as error:  # noqa: BLE001  # its text may carry what was sent
            response = refusal(error).response()
        finally:
            connection.desk.end(connection)
        response.headers.update({"Server": SERVER, **marks(request)})
        return response

    return guarded


def greet(request: Asked) -> None:
    """Give the request its id, and the log lines of its send the same."""
    headers = request.headers
    given = headers.get(REQUEST_ID)
    request[_ID] = given if given and _REQUEST_ID.fullmatch(given) else random_hex(8)
    request[_TRACE] = _trace(headers[TRACEPARENT]) if TRACEPARENT in headers else {}
    _bind(request)


def marks(request: Asked) -> dict[str, str]:
    """The headers that every answer has beside `SERVER`."""
    marks = {"X-Request-Id": request[_ID]}
    if request[_TRACE]:
        marks["traceparent"] = request.headers[TRACEPARENT]
    return marks


def refusal(error: BaseException) -> Answer:
    """The document for whatever went wrong."""
    if isinstance(error, Problem):
        return error.answer()
    if isinstance(error, web.HTTPException):
        return _known_status(error)
    if isinstance(error, ConnectionError):  # the caller has gone; nobody reads this
        return problem_answer(400, "cut_off", "the connection was closed")
    told = f"{name_of(type(error))}{whereabouts(error, __name__)}"
    structlog.get_logger().error("internal_error", error=told)
    return problem_answer(500, "internal", "the sidecar failed; its log says where")


def disown_ids(request: Asked, message: Message) -> None:
    """Take up no id of the caller's that repeats the recipient or the code: ids are logged."""
    if REQUEST_ID in request.headers and repeats(request[_ID], message):
        request[_ID] = random_hex(8)
        _bind(request)
    if request[_TRACE] and repeats(request.headers[TRACEPARENT], message):
        request[_TRACE] = {}
        _bind(request)


def _bind(request: Asked) -> None:
    about_request.set({"request_id": request[_ID], **request[_TRACE]})


def _check_protocol(request: web.BaseRequest) -> None:
    # aiohttp's Python parser takes HTTP/3.0 on a plain line for a version, and both wait after a
    # CONNECT for the bytes of a tunnel that is none.
    if request.version not in _VERSIONS or request.method == hdrs.METH_CONNECT:
        raise Problem(400, "malformed", "only HTTP/1.1 and HTTP/1.0 are spoken", close=True)


def _check_expect(request: web.BaseRequest) -> None:
    expect = request.headers.get(hdrs.EXPECT)
    if expect is not None and expect.lower() != "100-continue":
        raise Problem(417, "bad_header", "the only Expect there is, is 100-continue")


def _known_status(error: web.HTTPException) -> Answer:
    code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(error.status, "http")
    detail = {
        404: "there is no such path; GET /docs lists them",
        405: "this path does not take this method",
        413: "the body must not be over 64 KiB",
    }.get(error.status, error.reason)
    allow = {"Allow": error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else None
    return problem_answer(error.status, code, detail, headers=allow)


def _trace(given: str) -> dict[str, str]:
    match = _TRACEPARENT.fullmatch(given)
    return {"trace_id": match[1]} if match else {}
