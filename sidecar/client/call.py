"""One send without its I/O: the request, what a reply means, and whether to ask again."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from sidecar.client.answer import Answer, read_answer, read_attempts
from sidecar.client.errors import (
    BadReply,
    BadRequest,
    InFlight,
    MaybeSent,
    NoAnswer,
    NotSent,
    Rejected,
    SendError,
    Unreachable,
)
from sidecar.client.wire import Broken, Garbled, Reply

GRACE = 1.0
"""Seconds that an answer may take behind the deadline that the sidecar was told."""
LONGEST_DEADLINE = 30.0
MOST_RETRIES = 5
FIRST_PAUSE = 0.2
"""Seconds before the first retry where no Retry-After was given; doubled for each further one."""
BODY_LIMIT = 64 * 1024
_KEY = re.compile(r"[\x21\x23-\x7e][\x21-\x7e]{0,254}")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_BASE = re.compile(r"http://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(?::([0-9]+))?/?")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TELLING = re.compile(r"\w*\d\w*")
_LETTERS = str.maketrans("0123456789", "abcdefabcd")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Target(NamedTuple):
    """Where to, and how: an absolute `path` of a Unix socket, or else `host` and `port`."""

    path: str | None
    host: str
    port: int
    head: bytes
    token: str | None
    timeout: float
    retries: int

    def __repr__(self) -> str:
        return f"{self.path or self.host!r}"  # and no token


def read_target(base: str, token: str | None, timeout: float, retries: int) -> Target:
    """Raises ValueError, without a word of what was given: it may be secret."""
    path, host, port = None, "localhost", 0
    authority = host
    if base.startswith("unix:/"):
        path = base.removeprefix("unix:")
    elif (match := _BASE.fullmatch(base)) is not None:
        host, port = match[1].strip("[]"), _port(match[2] or "80")
        authority = f"{match[1]}:{port}"
    else:
        raise ValueError("base takes http://127.0.0.1:8780 or unix:/path")
    if token is not None and not _TOKEN.fullmatch(token):
        raise ValueError("token takes one word of visible ASCII characters")
    if not 0 < timeout < float("inf"):
        raise ValueError("timeout takes seconds, more than 0")
    if not 0 <= retries <= MOST_RETRIES:
        raise ValueError(f"retries takes 0 to {MOST_RETRIES}")
    opening = f"Authorization: Bearer {token}\r\n" if token is not None else ""
    head = (
        f"POST /v1/send HTTP/1.1\r\nHost: {authority}\r\n"
        f"Content-Type: application/json\r\n{opening}Idempotency-Key: "
    )
    return Target(path, host, port, head.encode(), token, timeout, retries)


def _port(digits: str) -> int:
    """A socket takes the remainder of a larger one: a code would go to another port."""
    if len(digits) > 5 or not 1 <= int(digits) <= 65535:
        raise ValueError("base takes a port from 1 to 65535")
    return int(digits)


class Call:
    """One send: several requests at the most, all under one key, and one end."""

    __slots__ = (
        "_body",
        "_deadline",
        "_doubt",
        "_id",
        "_retries",
        "_target",
        "_wait",
        "give_up",
        "key",
    )

    def __init__(
        self,
        target: Target,
        message: Mapping[str, Any],
        key: str | None,
        deadline: float | None,
        *,
        wait: bool,
    ) -> None:
        """`message` may hold None for what was not given. Raises ValueError, `BadRequest`."""
        if key is not None and not _KEY.fullmatch(key):
            raise ValueError("key takes 1 to 255 visible ASCII characters, no quote first")
        if deadline is not None and not 0 < deadline <= LONGEST_DEADLINE:
            raise ValueError(f"deadline takes seconds, more than 0, {LONGEST_DEADLINE:.0f} at most")
        self.key = key or secrets.token_hex(16)
        given = {name: value for name, value in message.items() if value is not None}
        # What is no Unicode is the sidecar's to refuse: our own error would hold the text.
        self._body = _encode(given).encode("utf-8", "surrogatepass")
        if len(self._body) > BODY_LIMIT:
            raise BadRequest("too_large", "the message is over 64 KiB", key=self.key)
        self._target = target
        self._deadline = deadline or LONGEST_DEADLINE
        self._wait = wait
        self._retries = 0
        self._doubt = False
        self._id = b""
        self.give_up = time.monotonic() + min(target.timeout, self._deadline + GRACE)

    def left(self) -> float:
        """Seconds left. Raises TimeoutError where there are none."""
        left = self.give_up - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def request(self) -> bytes:
        """The whole request; the sidecar is told to answer before we give up.

        Each has an id of its own, of letters alone: one with digits could look like a code, and the
        sidecar would take up another.
        """
        self._id = secrets.token_hex(12).translate(_LETTERS).encode()
        left = self.give_up - time.monotonic()
        told = max(0.001, min(self._deadline, left - min(GRACE, left / 4)))
        # Behind a lost request the first one may still be under way: its end is what we want.
        wait = b"Prefer: wait\r\n" if self._wait or self._doubt else b""
        head = b"%b%b\r\nX-Request-Id: %b\r\nRequest-Timeout: %.3f\r\n%bContent-Length: %d" % (
            self._target.head,
            self.key.encode(),
            self._id,
            told,
            wait,
            len(self._body),
        )
        return b"%b\r\n\r\n%b" % (head, self._body)

    def own(self, reply: Reply) -> Reply:
        """`reply`, which is none to an earlier request. Raises `Garbled` where it is."""
        if reply.about not in (b"", self._id):
            raise Garbled("it answers another request")
        return reply

    # Ends

    def settle(self, reply: Reply) -> Answer:
        """What `reply` means. Raises `SendError`."""
        try:
            document = json.loads(reply.body)
            if reply.status in (200, 202):
                if reply.kind != b"application/json":
                    raise ValueError("kind")  # noqa: TRY301  # the one way out below
                answer = read_answer(document, self.key)
                if answer.accepted is (reply.status == 200):
                    return answer
            elif reply.status >= 400 and reply.kind == b"application/problem+json":
                raise self._problem(reply, document)
        except (ValueError, AttributeError, RecursionError):  # no JSON, or no document of ours
            pass
        raise self.garbled(Garbled("it is not a sidecar's document"), reply.status)

    def lost(self, broken: Broken) -> SendError:
        """No reply came. What may have left stays in doubt, whatever later tries meet."""
        self._doubt = self._doubt or broken.left
        kind = NoAnswer if self._doubt else Unreachable
        return kind(broken.code, _LOST[broken.code], retryable=True, key=self.key)

    def garbled(self, why: Garbled, status: int | None = None) -> BadReply:
        """A reply came that is none of a sidecar's."""
        self._doubt = True
        return BadReply("bad_reply", f"no sidecar's answer: {why}", status=status, key=self.key)

    def _problem(self, reply: Reply, document: Mapping[str, Any]) -> SendError:
        code = document.get("code")
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise ValueError("code")
        told = "attempts" in document  # it tells of the delivery under this key
        facts: dict[str, Any] = {
            "status": reply.status,
            "retryable": document.get("retryable") is True or reply.status == 408,
            "retry_after": reply.retry_after,
            "key": self.key,
            "id": document["id"] if told and isinstance(document.get("id"), str) else None,
            "attempts": read_attempts(document) if told else (),
        }
        kind = _kind(reply.status, code)
        if self._doubt and not told and kind.surely_not_sent:
            # This request was refused at the door; what became of the first, it does not say.
            kind, facts["retryable"] = MaybeSent, True
        return kind(code, self._discreet(document.get("detail")), **facts)

    def _discreet(self, detail: object) -> str:
        """The sidecar's words; none that repeat the message, as another server's might."""
        if not isinstance(detail, str):
            return "no detail"
        message = json.loads(self._body.decode("utf-8", "replace"))
        said = [message[name] for name in ("to", "text", "subject", "html") if name in message]
        texts = [text for text in said if isinstance(text, str)]
        telling = [word for text in texts for word in _TELLING.findall(text)]
        names = [str(message.get("to")).partition("@")[0]]
        secret = [*texts, *telling, *names, self._target.token or "", self.key]
        if any(len(word) >= 4 and word in detail for word in secret):
            return "its detail repeats what was sent, and is withheld"
        return detail[:500]

    # Again

    def pause(self, error: SendError) -> float | None:
        """Seconds to wait before another try under the same key; None: there is to be none."""
        pause = error.retry_after
        if pause is None:
            pause = FIRST_PAUSE * 2**self._retries
        if self._retries >= self._target.retries or not error.retryable:
            return None
        if pause >= self.give_up - time.monotonic():
            return None
        self._retries += 1
        return pause


_LOST = {
    "unreachable": "no sidecar listens there, or it took no request",
    "lost": "the connection was lost before an answer",
    "timed_out": "no answer in time",
}


def _kind(status: int, code: str) -> type[SendError]:
    if status == 409:
        return InFlight
    if status == 422 and code == "rejected":
        return Rejected
    if status in (408, 502, 503, 504):
        return NotSent
    return BadRequest if status < 500 else MaybeSent
