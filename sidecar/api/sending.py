"""A send between its request and its answer, the same by whichever route it came in."""

from __future__ import annotations

import re

from multidict import MultiMapping

from sidecar.api.arrival import age_of
from sidecar.api.asked import IDEMPOTENCY_KEY, PREFER, REQUEST_TIMEOUT, Asked
from sidecar.api.edge import Face, disown_ids
from sidecar.api.plain import Send
from sidecar.api.problems import Answer, Problem, json_answer, problem_answer
from sidecar.api.schema import dump_delivery, parse_send
from sidecar.declined import Declined, InFlight, KeyReused, NoChain, TooLate
from sidecar.delivery.model import Delivery, SkipReason, Status
from sidecar.delivery.policy import ABSENT
from sidecar.entries import Wish

_KEY = re.compile(r'"([\x21\x23-\x7e]{1,255})"|([\x21\x23-\x7e][\x21-\x7e]{0,254})')


def arrival_of(face: Face, request: Asked) -> float:
    """When the request came in (monotonic); to be asked before its body is waited for."""
    return face.watch.arrival(lambda: age_of(request))


def wish_of(request: Asked, body: bytes, asked_at: float) -> Wish:
    """What is asked for. Raises `Problem` where that is no send."""
    wish = _wish(request, parse_send(body), asked_at)
    disown_ids(request, wish.message)
    return wish


def _wish(request: Asked, send: Send, asked_at: float) -> Wish:
    headers, deadline = request.headers, send.deadline
    if REQUEST_TIMEOUT in headers:
        timeout = _request_timeout(headers[REQUEST_TIMEOUT])
        deadline = timeout if deadline is None else min(deadline, timeout)
    key = _idempotency_key(headers) if IDEMPOTENCY_KEY in headers else None
    wait = PREFER in headers and _waits(headers[PREFER])
    return Wish(send.message, send.form, asked_at, key, deadline, wait)


def _waits(preferences: str) -> bool:
    return "wait" in preferences.lower().replace(" ", "").split(",")


def _idempotency_key(headers: MultiMapping[str]) -> str:
    values = headers.getall(IDEMPOTENCY_KEY)
    match = _KEY.fullmatch(values[0].strip())
    if len(values) > 1 or match is None:
        raise Problem(400, "bad_header", "Idempotency-Key takes 1 to 255 visible characters, once")
    return match[1] or match[2]


def _request_timeout(value: str) -> float:
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", value) and 0 < float(value) <= 30:
        return float(value)
    raise Problem(400, "bad_header", "Request-Timeout takes seconds, more than 0 and at most 30")


_DECLINED = {InFlight.code: 409, KeyReused.code: 422, NoChain.code: 422, TooLate.code: 504}


def refused(face: Face, declined: Declined) -> Problem:
    """The refusal of a send that was not begun, which is counted."""
    face.metrics.shed(declined.code)
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


def answer_to(delivery: Delivery) -> Answer:
    """What the caller is told of it."""
    document = dump_delivery(delivery)
    headers = {"Idempotency-Replayed": "true"} if delivery.replayed else None
    if delivery.status not in _ENDS:
        return json_answer(document, 202 if delivery.status is Status.UNKNOWN else 200, headers)
    status, code, detail = _ENDS[delivery.status]
    skips = {a.reason for a in delivery.attempts}
    if delivery.status is Status.UNAVAILABLE and SkipReason.LOG_UNAVAILABLE in skips:
        code, detail = "log_unavailable", "the delivery log cannot be written; it was not sent"
    elif delivery.status is Status.UNAVAILABLE and skips - ABSENT == {SkipReason.OVER_BUDGET}:
        code, detail = "over_budget", "every provider's budget is spent; it was not sent"
    # In a problem `status` is the HTTP status (RFC 9457 section 3.1.2), so ours is `outcome` there.
    document["outcome"] = document.pop("status")
    retry_after = None if delivery.status is Status.REJECTED else delivery.retry_after
    return problem_answer(
        status, code, _why(detail, delivery), retry_after, members=document, headers=headers
    )


def _why(detail: str, delivery: Delivery) -> str:
    last = {a.provider: f"{a.provider}: {a.reason or a.outcome}" for a in delivery.attempts}
    return f"{detail} ({'; '.join(last.values())})" if last else detail
