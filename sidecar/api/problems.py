"""Every refusal as an RFC 9457 problem document, with a stable `code` and whether to retry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
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

    def answer(self) -> Answer:
        members: dict[str, Any] = {"errors": self.pointers} if self.pointers else {}
        answer = problem_answer(
            self.status, self.code, self.detail, self.retry_after, members, self.headers
        )
        answer.close = self.close
        return answer


@dataclass(slots=True)
class Answer:
    """What is answered: the same by whichever route the request came in. `close` ends it."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False

    def response(self) -> web.Response:
        """The answer as aiohttp's."""
        response = web.Response(
            status=self.status,
            body=self.body,
            content_type=self.content_type,
            headers=self.headers,
        )
        if self.close:
            response.force_close()
        return response


def problem_answer(
    status: int,
    code: str,
    detail: str,
    retry_after: float | None = None,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The document; with a `retry_after` it is `retryable` and says so in `Retry-After` too."""
    sent = dict(headers or {})
    if retry_after is not None:
        sent["Retry-After"] = str(max(1, math.ceil(retry_after)))
    body = problem_document(status, code, detail, members, retryable=retry_after is not None)
    return Answer(status, body, "application/problem+json", sent)


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


def json_answer(
    document: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """A JSON document."""
    sent = dict(headers) if headers else {}
    return Answer(status, orjson.dumps(document), "application/json", sent)
