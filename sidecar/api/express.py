"""The short way of a plain `POST /v1/send`: no parser, no request object, no task of its own.

A connection's first bytes are looked at. One whole request in them, without anything that two
servers might read differently, is served here; all else is aiohttp's, and so are the rest of that
connection's requests. Door, checks and answers are the same functions for both.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from contextvars import copy_context
from email.utils import formatdate
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy, istr

from sidecar.api.asked import Asked
from sidecar.api.connections import Connection
from sidecar.api.edge import SERVER, Face, greet, marks, refusal
from sidecar.api.problems import Answer
from sidecar.api.sending import answer_to, arrival_of, refused, wish_of
from sidecar.declined import Declined
from sidecar.delivery.model import Delivery

_LARGEST, _LARGEST_HEAD = 16 * 1024, 4 * 1024
"""Bytes of a request, and of its head; usual ones have some hundred. aiohttp judges the rest."""
AT_ONCE = 32
"""Requests that are begun in one step of the loop, a millisecond or two.

With eight the log's groups are small, and a send at 64 in flight costs a fifth more."""
FEW_AT_ONCE = 8
"""The same where more than one channel is at work, so that no burst holds up the other's steps."""
KNOWN, KNOWN_HEADS = 256, 64
"""Header lines that are remembered, and heads of nothing else."""
_LINE = b"POST /v1/send HTTP/1.1\r\n"
_FIELD = re.compile(rb"[A-Za-z][A-Za-z0-9-]{0,40}: ?[\x21-\x7e][\x20-\x7e]*")
_CHANNEL = re.compile(rb'"channel"\s*:\s*"(sms|email)"')
_RECURRING = frozenset(
    {
        *{"host", "content-type", "content-length", "connection"},
        *{"accept", "accept-encoding", "user-agent"},
    }
)
_NOT_PLAIN = frozenset(
    {
        *{"connection", "proxy-connection", "keep-alive", "upgrade", "sec-websocket-key1"},
        *{"expect", "transfer-encoding", "te", "trailer"},
    }
)


class PlainRequest(dict[str, Any]):
    """A request whose body has come with its head."""

    __slots__ = ("body", "content_length", "headers", "transport")

    method = "POST"
    raw_path = "/v1/send"

    def __init__(self, headers: CIMultiDictProxy[str], body: bytes, connection: Connection) -> None:
        self.headers = headers
        self.body = body
        self.content_length = len(body)
        self.transport = connection.transport


def read(data: bytes, connection: Connection) -> PlainRequest | None:
    """The request that `data` is, if it is exactly one, and plain; None otherwise.

    Plain: printable ASCII, no line folded, no header twice, a Content-Length that is the body's,
    and no header that changes how a request ends or what becomes of its connection (RFC 9112).
    """
    if len(data) > _LARGEST or not data.startswith(_LINE):
        return None
    head, _, body = data.partition(b"\r\n\r\n")
    headers = _known_heads.get(head) or _read_head(head)
    if headers is None or not body or headers.get(hdrs.CONTENT_LENGTH) != str(len(body)):
        return None
    return PlainRequest(headers, body, connection)


_known_heads: dict[bytes, CIMultiDictProxy[str]] = {}
"""Whole heads of lines that recur: nobody can change what they were read as."""


def _read_head(head: bytes) -> CIMultiDictProxy[str] | None:
    if len(head) > _LARGEST_HEAD:
        return None
    fields: dict[str, tuple[str, str]] = {}
    _, *lines = head.split(b"\r\n")
    for line in lines:
        field = _known.get(line) or _read_field(line)
        if field is None:
            return None
        key, named = field
        fields[key] = named
    if len(fields) < len(lines) or "host" not in fields:
        return None
    # Of a list it takes a third of the time.
    headers = CIMultiDictProxy(CIMultiDict([*fields.values()]))
    if _RECURRING.issuperset(fields):
        if len(_known_heads) >= KNOWN_HEADS:  # those that come again are soon back
            _known_heads.clear()
        _known_heads[head] = headers
    return headers


_Field = tuple[str, tuple[str, str]]
_known: dict[bytes, _Field] = {}
"""A caller's headers are the same in every request but for a few."""


def _read_field(line: bytes) -> _Field | None:
    """The name in lower case, then name and value; None where it is not plain."""
    if _FIELD.fullmatch(line) is None:
        return None
    name, _, value = line.decode("ascii").partition(":")
    value = value.strip(" ")
    # istr: the name in lower case, by which it is looked for, is made once.
    key, field = name.lower(), (istr(name), value)
    # Many clients ask for what HTTP/1.1 does anyway: `Connection: keep-alive`.
    if key in _NOT_PLAIN and (key != "connection" or value.lower() != "keep-alive"):
        return None
    # No token is kept, nor what else may be a secret or is new in each request.
    if key in _RECURRING:
        if len(_known) >= KNOWN:  # those that come again are soon back
            _known.clear()
        _known[line] = key, field
    return key, field


def _hint(body: bytes) -> bytes:
    """What seems to be the channel: of use for whose turn it is, and for nothing else."""
    match = _CHANNEL.search(body)
    return match[1] if match else b""


class ExpressLane:
    """Serves plain requests of one listener's connections, a few in one step of the loop.

    Two hundred that come in one moment would be read in one step, and whatever else is under way
    would wait for all of them, at each step of its own.
    """

    def __init__(self, face: Face) -> None:
        self._face = face
        self._loop = asyncio.get_running_loop()
        self._begun = 0  # in this step
        self._waiting: dict[bytes, deque[tuple[Connection, PlainRequest, float]]] = {}

    def take(self, connection: Connection, data: bytes) -> bool:
        request = read(data, connection)
        if request is None:
            return False
        connection.serve()
        asked_at = arrival_of(self._face, request)
        if self._waiting or not self._has_room():
            if not self._waiting:
                self._loop.call_soon(self._go_on)
            lane = self._waiting.setdefault(_hint(request.body), deque())
            lane.append((connection, request, asked_at))
        else:
            self._begin_alone(connection, request, asked_at)
        return True

    def _has_room(self) -> bool:
        if not self._begun:
            self._loop.call_soon(self._end_step)
        self._begun += 1
        return self._begun <= FEW_AT_ONCE or self._begun <= self._at_once()

    def _at_once(self) -> int:
        return FEW_AT_ONCE if self._face.dispatcher.is_shared else AT_ONCE

    def _end_step(self) -> None:
        self._begun = 0

    def _go_on(self) -> None:
        """The next few of those that wait, one of each channel after the other."""
        left = self._at_once()
        try:
            while self._waiting and left > 0:
                for hint, lane in list(self._waiting.items()):
                    request = lane.popleft()
                    if not lane:
                        del self._waiting[hint]
                    left -= 1
                    self._begin_alone(*request)
        finally:
            if self._waiting:
                self._loop.call_soon(self._go_on)

    def _begin_alone(self, connection: Connection, request: PlainRequest, asked_at: float) -> None:
        # What its log lines carry is this request's; the context here is the connection's.
        copy_context().run(self._begin, connection, request, asked_at)

    def _begin(self, connection: Connection, request: PlainRequest, asked_at: float) -> None:
        face = self._face
        greet(request)
        try:
            connection.desk.begin(request, connection)
            face.door.check(request)
            sending = face.dispatcher.begin(wish_of(request, request.body, asked_at))
        except Exception as error:  # noqa: BLE001  # as the edge has it
            self._end(connection, request, self._refusal(error))
        else:
            sending.add_done_callback(partial(self._ended, connection, request))

    def _ended(
        self, connection: Connection, request: PlainRequest, sending: asyncio.Future[Delivery]
    ) -> None:
        if sending.cancelled():
            connection.desk.end(connection)
            connection.drop()
            return
        error = sending.exception()
        try:
            answer = answer_to(sending.result()) if error is None else self._refusal(error)
        except Exception as trouble:  # noqa: BLE001  # as the edge has it
            answer = refusal(trouble)
        self._end(connection, request, answer)

    def _refusal(self, error: BaseException) -> Answer:
        return refusal(refused(self._face, error) if isinstance(error, Declined) else error)

    def _end(self, connection: Connection, request: PlainRequest, answer: Answer) -> None:
        connection.desk.end(connection)
        connection.answer(_dump(answer, request), close=answer.close)


def _dump(answer: Answer, request: Asked) -> bytes:
    """The answer on the wire; the values of its headers are ours, or have been matched."""
    first = _first_lines(answer.status, answer.content_type, int(time.time()))
    more = "".join([f"{n}: {v}\r\n" for n, v in (answer.headers | marks(request)).items()])
    close = "Connection: close\r\n" if answer.close else ""
    head = f"{first}Content-Length: {len(answer.body)}\r\n{more}{close}\r\n"
    return head.encode("ascii") + answer.body


@lru_cache(maxsize=16)
def _first_lines(status: int, content_type: str, second: int) -> str:
    """What is the same in all answers of one kind within a second."""
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {content_type}\r\n"
        f"Date: {formatdate(second, usegmt=True)}\r\nServer: {SERVER}\r\n"
    )
