"""The edge of every request: the door, one request id, and every exception made a document."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aiohttp import hdrs, web

from sidecar.api.door import Door
from sidecar.api.problems import Problem, problem_response
from sidecar.delivery.clock import Clock
from sidecar.delivery.discretion import repeats
from sidecar.delivery.model import Message
from sidecar.dispatcher import Dispatcher
from sidecar.metrics import Metrics
from sidecar.world import World

_ID, _TRACE = "request_id", "trace"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Face:
    """What the API shows of the process. `ready` says why it is not, or None."""

    dispatcher: Dispatcher
    door: Door
    metrics: Metrics
    clock: Clock
    world: Callable[[], World]
    ready: Callable[[], Awaitable[str | None]]


FACE = web.AppKey("face", Face)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[_ID], request[_TRACE] = _request_id(request), _trace(request)
    structlog.contextvars.bind_contextvars(request_id=request[_ID], **request[_TRACE])
    try:
        request.app[FACE].door.check(request)
        response = await handler(request)
    except Problem as problem:
        response = problem.response()
    except web.HTTPException as error:
        response = _known_status(error)
    except Exception as error:  # noqa: BLE001  # its text may carry what was sent
        structlog.get_logger().error("internal_error", error=type(error).__name__)
        response = problem_response(500, "internal", "the sidecar failed; its log says where")
    response.headers["X-Request-Id"] = request[_ID]
    if request[_TRACE]:
        response.headers["traceparent"] = request.headers["traceparent"]
    return response


def disown_ids(request: web.Request, message: Message) -> None:
    """Take up no id of the caller's that repeats the recipient or the code: ids are logged."""
    if "X-Request-Id" in request.headers and repeats(request[_ID], message):
        request[_ID] = secrets.token_hex(8)
        structlog.contextvars.bind_contextvars(request_id=request[_ID])
    if request[_TRACE] and repeats(request.headers["traceparent"], message):
        request[_TRACE] = {}
        structlog.contextvars.unbind_contextvars("trace_id")


async def answer_expect(request: web.Request) -> web.StreamResponse | None:
    """Answer `Expect: 100-continue` only to a request that may come in."""
    try:
        request.app[FACE].door.check(request)
    except Problem as problem:  # aiohttp calls this outside of `edge`
        return problem.response()
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        return problem_response(417, "bad_header", "the only Expect there is, is 100-continue")
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return None


def _known_status(error: web.HTTPException) -> web.Response:
    code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(error.status, "http")
    detail = {
        404: "there is no such path; GET /docs lists them",
        405: "this path does not take this method",
        413: "the body must not be over 64 KiB",
    }.get(error.status, error.reason)
    allow = {"Allow": error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else None
    return problem_response(error.status, code, detail, headers=allow)


def _request_id(request: web.Request) -> str:
    given = request.headers.get("X-Request-Id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _trace(request: web.Request) -> dict[str, str]:
    match = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    return {"trace_id": match[1]} if match else {}
