"""The routes: each reads its request, asks one room, and writes one document."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import hdrs, web

from sidecar.api.arrival import age_of
from sidecar.api.connections import Connection
from sidecar.api.docs import docs_page, inbox_page, openapi
from sidecar.api.door import BODY_LIMIT
from sidecar.api.edge import FACE, Face, disown_ids
from sidecar.api.health import dump_health, dump_loop
from sidecar.api.problems import Problem, json_response, problem_response
from sidecar.api.schema import SendRequest, dump_delivery, parse_send
from sidecar.declined import Declined, InFlight, KeyReused, NoChain, TooLate
from sidecar.delivery.model import Delivery, SkipReason, Status
from sidecar.delivery.provider import InboxItem
from sidecar.entries import Wish
from sidecar.guests import inbox_of
from sidecar.metrics import CONTENT_TYPE
from sidecar.store import LogUnavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_KEY = re.compile(r'"([\x21\x23-\x7e]{1,255})"|([\x21\x23-\x7e][\x21-\x7e]{0,254})')


def build_api(face: Face) -> web.Application:
    """The application of the main listener."""
    app = web.Application(client_max_size=BODY_LIMIT)
    app[FACE] = face
    routes: list[tuple[str, str, Handler]] = [
        ("POST", "/v1/send", _send),
        ("GET", "/v1/messages/{id}", _message),
        ("GET", "/v1/inbox", _inbox),
        ("GET", "/inbox", _inbox_page),
        ("GET", "/health", _health),
        ("GET", "/health/messaging", _health),
        ("GET", "/openapi.json", _openapi),
        ("GET", "/docs", _docs),
        *_probes(),
    ]
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    return app


def build_ops(face: Face) -> web.Application:
    """The application of the second listener, for probes and scrapes only."""
    app = web.Application()
    app[FACE] = face
    for method, path, handler in _probes():
        app.router.add_route(method, path, handler)
    return app


def _probes() -> list[tuple[str, str, Handler]]:
    return [
        ("GET", "/livez", _livez),
        ("GET", "/readyz", _readyz),
        ("GET", "/metrics", _metrics),
    ]


# Sending


async def _send(request: web.Request) -> web.Response:
    face = request.app[FACE]
    asked_at = face.watch.arrival(lambda: age_of(request))
    wish = _wish(request, parse_send(await _body(request)), asked_at)
    disown_ids(request, wish.message)
    try:
        delivery = await face.dispatcher.send(wish)
    except Declined as declined:
        face.metrics.shed(declined.code)
        raise _declined(declined) from declined
    return _answer(delivery)


async def _body(request: web.Request) -> bytes:
    connection = request.protocol
    assert isinstance(connection, Connection)
    try:
        return await connection.read(request)
    except TimeoutError as error:
        raise Problem(408, "slow_body", "the body did not arrive in time", close=True) from error
    except (ConnectionError, web.RequestPayloadError) as error:
        raise Problem(400, "cut_off", "the body ended before its length") from error


def _wish(request: web.Request, send: SendRequest, asked_at: float) -> Wish:
    bounds = [b for b in (send.deadline, _request_timeout(request)) if b is not None]
    return Wish(
        message=send.message(),
        body=send.fingerprint(),
        asked_at=asked_at,
        key=_idempotency_key(request),
        deadline=min(bounds, default=None),
        wait="wait" in request.headers.get("Prefer", "").lower().replace(" ", "").split(","),
    )


def _idempotency_key(request: web.Request) -> str | None:
    values = request.headers.getall("Idempotency-Key", [])
    if not values:
        return None
    match = _KEY.fullmatch(values[0].strip())
    if len(values) > 1 or match is None:
        raise Problem(400, "bad_header", "Idempotency-Key takes 1 to 255 visible characters, once")
    return match[1] or match[2]


def _request_timeout(request: web.Request) -> float | None:
    value = request.headers.get("Request-Timeout")
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", value) and 0 < float(value) <= 30:
        return float(value)
    raise Problem(400, "bad_header", "Request-Timeout takes seconds, more than 0 and at most 30")


_DECLINED = {InFlight.code: 409, KeyReused.code: 422, NoChain.code: 422, TooLate.code: 504}


def _declined(declined: Declined) -> Problem:
    return Problem(
        _DECLINED.get(declined.code, 503),
        declined.code,
        str(declined),
        retry_after=declined.retry_after,
    )


_ENDS = {
    Status.REJECTED: (422, "rejected", "the message or its recipient was rejected"),
    Status.FAILED: (502, "all_failed", "every provider that was tried failed; it was not sent"),
    Status.EXPIRED: (504, "deadline_exceeded", "the time ran out; it was surely not sent"),
    Status.UNAVAILABLE: (503, "nothing_to_try", "no provider could be tried; it was not sent"),
    Status.OVERLOADED: (503, "overloaded", "too many sends are under way; it was not sent"),
}


def _answer(delivery: Delivery) -> web.Response:
    document = dump_delivery(delivery)
    headers = {"Idempotency-Replayed": "true"} if delivery.replayed else None
    if delivery.status not in _ENDS:
        return json_response(document, 202 if delivery.status is Status.UNKNOWN else 200, headers)
    status, code, detail = _ENDS[delivery.status]
    skips = {a.reason for a in delivery.attempts}
    if delivery.status is Status.UNAVAILABLE and SkipReason.LOG_UNAVAILABLE in skips:
        code, detail = "log_unavailable", "the delivery log cannot be written; it was not sent"
    # In a problem `status` is the HTTP status (RFC 9457 section 3.1.2), so ours is `outcome` there.
    document["outcome"] = document.pop("status")
    retry_after = None if delivery.status is Status.REJECTED else delivery.retry_after
    return problem_response(
        status, code, _why(detail, delivery), retry_after, members=document, headers=headers
    )


def _why(detail: str, delivery: Delivery) -> str:
    last = {a.provider: f"{a.provider}: {a.reason or a.outcome}" for a in delivery.attempts}
    return f"{detail} ({'; '.join(last.values())})" if last else detail


# Reading


async def _message(request: web.Request) -> web.Response:
    try:
        delivery = await request.app[FACE].dispatcher.get(request.match_info["id"])
    except LogUnavailable as error:
        raise Problem(
            503, "log_unavailable", "the delivery log cannot be read", retry_after=1.0
        ) from error
    if delivery is None:
        raise Problem(404, "not_found", "the log has no message of this id")
    return json_response(dump_delivery(delivery))


async def _health(request: web.Request) -> web.Response:
    face = request.app[FACE]
    document = dump_health(face.world(), face.dispatcher, face.reloads())
    return json_response({**document, "loop": dump_loop(face.watch)})


async def _livez(_request: web.Request) -> web.Response:
    return json_response({"status": "ok"})


async def _readyz(request: web.Request) -> web.Response:
    why_not = await request.app[FACE].ready()
    if why_not is None:
        return json_response({"status": "ok"})
    return problem_response(503, "not_ready", why_not, retry_after=1.0)


async def _metrics(request: web.Request) -> web.Response:
    body = request.app[FACE].metrics.page()
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})


async def _openapi(_request: web.Request) -> web.Response:
    return json_response(openapi())


async def _docs(_request: web.Request) -> web.Response:
    return web.Response(text=docs_page(), content_type="text/html")


async def _inbox(request: web.Request) -> web.Response:
    return json_response({"messages": [_dump_item(item) for item in _items(request)]})


async def _inbox_page(request: web.Request) -> web.Response:
    return web.Response(text=inbox_page(_items(request)), content_type="text/html")


def _items(request: web.Request) -> list[InboxItem]:
    links = request.app[FACE].world().links.values()
    boxes = [box for link in links if (box := inbox_of(link)) is not None]
    if not boxes:
        raise Problem(404, "not_found", "no configured provider keeps messages for reading back")
    return sorted((item for box in boxes for item in box), key=lambda item: -item.at)


def _dump_item(item: InboxItem) -> dict[str, Any]:
    return {
        "id": item.id,
        "channel": item.channel,
        "to": item.to,
        "subject": item.subject,
        "text": item.text,
        "at": item.at,
    }
