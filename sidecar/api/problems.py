"""Every refusal as an RFC 9457 problem document, with a stable `code` and whether to retry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web


class Problem(Exception):
    """An answer that is not the one asked for. `detail` says what to do; `retry_after` in seconds.

    `pointers` lists faults of the body as JSON pointers (RFC 6901) with a sentence each. `close`
    ends the connection behind the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after: float | None = None,
        pointers: list[dict[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.pointers = pointers
        self.headers = dict(headers or {})
        self.close = close

    def response(self) -> web.Response:
        members: dict[str, Any] = {"errors": self.pointers} if self.pointers else {}
        response = problem_response(
            self.status, self.code, self.detail, self.retry_after, members, self.headers
        )
        if self.close:
            response.force_close()
        return response


def problem_response(
    status: int,
    code: str,
    detail: str,
    retry_after: float | None = None,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The document; with a `retry_after` it is `retryable` and says so in `Retry-After` too."""
    sent = dict(headers or {})
    if retry_after is not None:
        sent["Retry-After"] = str(max(1, math.ceil(retry_after)))
    return web.Response(
        status=status,
        body=problem_document(status, code, detail, members, retryable=retry_after is not None),
        content_type="application/problem+json",
        headers=sent,
    )


def problem_document(
    status: int,
    code: str,
    detail: str,
    members: Mapping[str, Any] | None = None,
    *,
    retryable: bool = False,
) -> bytes:
    """The body of a problem, for where there is no request to answer either."""
    return orjson.dumps(
        {
            "type": f"urn:otp-sidecar:problem:{code}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "code": code,
            "detail": detail,
            "retryable": retryable,
            **(members or {}),
        }
    )


def json_response(
    document: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON document."""
    return web.Response(
        status=status,
        body=orjson.dumps(document),
        content_type="application/json",
        headers=headers,
    )
