"""The API described: OpenAPI for machines, one page without scripts for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from html import escape
from typing import Any

from sidecar import __version__
from sidecar.api.schema import SendRequest
from sidecar.delivery.model import Outcome, Status
from sidecar.delivery.provider import InboxItem

_NULLABLE_TEXT = {"type": ["string", "null"]}
_MONEY = {
    "type": ["object", "null"],
    "properties": {"amount": {"type": "string"}, "currency": {"type": "string"}},
}
_ATTEMPT = {
    "type": "object",
    "required": ["provider", "kind", "outcome", "started_at", "seconds"],
    "properties": {
        "provider": {"type": "string", "description": "The instance's name in the configuration."},
        "kind": {"type": "string"},
        "outcome": {"type": "string", "enum": [o.value for o in Outcome]},
        "reason": {**_NULLABLE_TEXT, "description": "In our own words, or why it was skipped."},
        "provider_code": {**_NULLABLE_TEXT, "description": "The provider's own error code."},
        "started_at": {"type": "number", "description": "Unix time in seconds."},
        "seconds": {"type": "number"},
        "provider_message_id": _NULLABLE_TEXT,
        "circuit": {**_NULLABLE_TEXT, "description": "The breaker after it, like `closed 1/5`."},
        "simulated": {"type": "boolean", "description": "True where nothing left the machine."},
        "cost": _MONEY,
    },
}
_DELIVERY_MEMBERS = {
    "id": {"type": "string"},
    "channel": {"type": "string"},
    "purpose": {"type": "string"},
    "recipient": {"type": "string", "description": "Masked."},
    "provider": {**_NULLABLE_TEXT, "description": "Who took the message."},
    "provider_message_id": _NULLABLE_TEXT,
    "attempts": {"type": "array", "items": {"$ref": "#/components/schemas/Attempt"}},
    "duplicate_possible": {"type": "boolean"},
    "simulated": {"type": "boolean"},
    "cost": _MONEY,
    "replayed": {"type": "boolean"},
    "segments": {"type": "integer", "description": "Billed parts of an SMS."},
    "logged": {"type": "boolean", "description": "Only there, and false, where the log failed."},
}
_STATUSES = [s.value for s in Status]
_DELIVERY = {
    "type": "object",
    "required": ["id", "status", "channel", "attempts", "duplicate_possible", "replayed"],
    "properties": {**_DELIVERY_MEMBERS, "status": {"type": "string", "enum": _STATUSES}},
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. Of a send it carries the delivery too, with its status as `outcome`.",
    "required": ["type", "title", "status", "code", "detail", "retryable"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "A stable word."},
        "detail": {"type": "string"},
        "retryable": {"type": "boolean", "description": "With the header `Retry-After`."},
        "outcome": {"type": "string", "enum": _STATUSES},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        **_DELIVERY_MEMBERS,
    },
}
_SEND_STATUSES = {
    200: "A provider has taken the message.",
    202: "It may have been sent: show the page for entering the code, and offer a resend.",
    400: "Malformed: no HTTP, no JSON, or a bad header.",
    401: "No valid token, where one is configured.",
    403: "Sent by a web page of another site, or by a user that may not come in.",
    408: "The head or the body did not arrive in time.",
    409: "The same idempotency key is under way; `Prefer: wait` waits for it.",
    413: "The body is over 64 KiB.",
    415: "The content type is not application/json, or the body is encoded.",
    417: "An Expect header other than 100-continue.",
    421: "The Host header names another server.",
    422: "Not a valid message, rejected, or the key belongs to another message.",
    500: "The sidecar failed.",
    502: "Every provider that was tried refused or failed; surely not sent.",
    503: "Nothing could be tried, or overloaded, or shutting down, or the log cannot be written.",
    504: "The deadline ended before a provider could finish; surely not sent.",
}
_DOOR_STATUSES = (400, 401, 403, 408, 417, 421, 500)
EXAMPLE = """\
curl -sS http://127.0.0.1:8780/v1/send -H 'Content-Type: application/json' \\
  -d '{"channel": "sms", "to": "+14155550123", "text": "Your code is 482913", "expires_in": 300}'"""


@cache
def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OTP Sidecar",
            "version": __version__,
            "description": "Delivers one-time codes through a chain of providers.",
        },
        "paths": {
            "/v1/send": {"post": _send_operation()},
            "/v1/messages/{id}": {"get": _message_operation()},
            "/v1/inbox": {"get": _read("Messages kept by a development provider.", 404, 503)},
            "/inbox": {"get": _read("The same as a page.", 404, 503, kind="text/html")},
            "/health": {"get": _read("Every chain and provider as it stands.")},
            "/health/messaging": {"get": _read("The same document.")},
            "/livez": {"get": _read("The process answers.")},
            "/readyz": {"get": _read("It takes sends; a provider's outage changes nothing.", 503)},
            "/metrics": {"get": _read("Prometheus text format.", kind="text/plain")},
            "/openapi.json": {"get": _read("This document.", 503)},
            "/docs": {"get": _read("This document as a page.", 503, kind="text/html")},
        },
        "components": {
            "schemas": {
                "Send": SendRequest.model_json_schema(),
                "Attempt": _ATTEMPT,
                "Delivery": _DELIVERY,
                "Problem": _PROBLEM,
            }
        },
    }


def _send_operation() -> dict[str, Any]:
    return {
        "summary": "Deliver one message through the chain of its channel.",
        "parameters": [
            _header("Idempotency-Key", "1 to 255 visible characters; remembered for 24 hours."),
            _header("Request-Timeout", "Seconds the caller waits, at most 30."),
            _header("Prefer", "`wait`: have the outcome of the same key under way."),
        ],
        "requestBody": {"required": True, "content": _json("Send")},
        "responses": {str(s): _response(s, text) for s, text in _SEND_STATUSES.items()},
    }


def _message_operation() -> dict[str, Any]:
    operation = _read("One message from the log.", 404, 503, schema="Delivery")
    where = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {**operation, "parameters": [where]}


def _read(
    summary: str, *more: int, kind: str = "application/json", schema: str | None = None
) -> dict[str, Any]:
    content = _json(schema) if schema else {kind: {}}
    said = {404: "There is none.", 503: "Not now, or too many connections are busy."}
    problems = {s: said.get(s) or _SEND_STATUSES[s] for s in (*_DOOR_STATUSES, *more)}
    return {
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": content},
            **{str(s): _response(s, text) for s, text in sorted(problems.items())},
        },
    }


def _response(status: int, text: str) -> dict[str, Any]:
    if status < 400:
        return {"description": text, "content": _json("Delivery")}
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {"description": text, "content": {"application/problem+json": problem}}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _header(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}


# Pages: no script, no address of another host, everything escaped


@cache
def docs_page() -> str:
    """The description for people."""
    document = openapi()
    fields = document["components"]["schemas"]["Send"]
    operations = [
        f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
        f"<p>{escape(operation['summary'])}</p>"
        + _table({s: r["description"] for s, r in operation["responses"].items()})
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    rows = {
        name + (" *" if name in fields["required"] else ""): schema.get("description", "")
        for name, schema in fields["properties"].items()
    }
    return _page(
        "OTP Sidecar",
        f"<p>Version {__version__}. Machines read <a href=/openapi.json>/openapi.json</a>.</p>"
        f"<pre>{escape(EXAMPLE)}</pre><h2>Fields of a send</h2>{_table(rows)}{''.join(operations)}",
    )


def inbox_page(items: Iterable[InboxItem]) -> str:
    """The messages that a development provider kept."""
    rows = "".join(
        f"<tr><td>{datetime.fromtimestamp(item.at, UTC):%H:%M:%S}<td>{escape(item.channel)}"
        f"<td>{escape(item.to)}<td>{escape(item.subject or '')}<td>{escape(item.text)}"
        for item in items
    )
    return _page("Inbox", f"<table>{rows or '<tr><td>No messages yet.'}</table>")


def _table(rows: Mapping[str, str]) -> str:
    cells = "".join(f"<tr><td><code>{escape(a)}</code><td>{escape(b)}" for a, b in rows.items())
    return f"<table>{cells}</table>"


def _page(title: str, body: str) -> str:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>"
        "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}td{border-top:1px solid #ddd;padding:.2rem .8rem .2rem 0;"
        "vertical-align:top}pre{background:#f4f4f4;padding:1rem;overflow:auto}"
        f"</style><h1>{escape(title)}</h1>{body}</html>"
    )
