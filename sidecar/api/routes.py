"""The routes: each reads its request, asks one room, and writes one document."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import hdrs, web

from sidecar.api.connections import Connection
from sidecar.api.docs import docs_page, inbox_page, openapi
from sidecar.api.door import BODY_LIMIT
from sidecar.api.edge import FACE, Face
from sidecar.api.health import dump_alerts, dump_health, dump_loop
from sidecar.api.problems import Problem, json_answer, problem_answer
from sidecar.api.schema import dump_delivery
from sidecar.api.sending import answer_to, arrival_of, refused, wish_of
from sidecar.declined import Declined
from sidecar.delivery.provider import InboxItem
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
    asked_at = arrival_of(face, request)
    wish = wish_of(request, await _body(request), asked_at)
    try:
        return answer_to(await face.dispatcher.send(wish)).response()
    except Declined as declined:
        raise refused(face, declined) from declined


async def _body(request: web.Request) -> bytes:
    connection = request.protocol
    assert isinstance(connection, Connection)
    try:
        return await connection.read(request)
    except TimeoutError as error:
        raise Problem(408, "slow_body", "the body did not arrive in time", close=True) from error
    except (ConnectionError, web.RequestPayloadError) as error:
        raise Problem(400, "cut_off", "the body ended before its length") from error


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
    return json_answer(dump_delivery(delivery)).response()


async def _health(request: web.Request) -> web.Response:
    face = request.app[FACE]
    document = dump_health(face.world(), face.dispatcher, face.reloads())
    more = {"alerts": dump_alerts(face.alerts()), "loop": dump_loop(face.watch)}
    return json_answer({**document, **more}).response()


async def _livez(_request: web.Request) -> web.Response:
    return json_answer({"status": "ok"}).response()


async def _readyz(request: web.Request) -> web.Response:
    why_not = await request.app[FACE].ready()
    if why_not is None:
        return json_answer({"status": "ok"}).response()
    return problem_answer(503, "not_ready", why_not, retry_after=1.0).response()


async def _metrics(request: web.Request) -> web.Response:
    body = request.app[FACE].metrics.page()
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})


async def _openapi(_request: web.Request) -> web.Response:
    return json_answer(openapi()).response()


async def _docs(_request: web.Request) -> web.Response:
    return web.Response(text=docs_page(), content_type="text/html")


async def _inbox(request: web.Request) -> web.Response:
    return json_answer({"messages": [_dump_item(item) for item in _items(request)]}).response()


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
