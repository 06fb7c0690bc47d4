"""The client for threads: plain sockets, a few of them kept."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from sidecar.client.answer import Answer
from sidecar.client.call import Call, read_target
from sidecar.client.errors import SendError
from sidecar.client.wire import PIECE, Broken, Garbled, Reader, Reply

BASE = "http://127.0.0.1:8780"
TIMEOUT = 12.0
"""Seconds: the 10 s that a sidecar takes at the most by default, and some."""
KEEP = 16
"""Connections kept open for the next sends; more are opened as needed, and closed."""
_SLACK = 0.02
"""Seconds by which a socket's timeout may be off: setting it anew is a system call."""


class Client:
    """Sends through the sidecar at `base`; to be shared by all threads, and across forks.

    `base` is `http://host:port` or `unix:/path`, `token` one of its `server.token_file`. A send
    takes at most `timeout` seconds, retries included. `retries` (0 to 5) are made under the same
    key, after Retry-After, as long as there is time. Raises ValueError for what is none of these.

    Kept connections are closed by `close()`, or at the end of a `with` block.
    """

    def __init__(
        self,
        base: str = BASE,
        *,
        token: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = 0,
    ) -> None:
        self._target = read_target(base, token, timeout, retries)
        self._kept: list[_Link] = []
        self._closed = False
        _clients.add(self)

    def send(
        self,
        *,
        channel: str,
        to: str,
        text: str,
        purpose: str | None = None,
        subject: str | None = None,
        html: str | None = None,
        reply_to: str | None = None,
        expires_in: float | None = None,
        extra: Mapping[str, Mapping[str, Any]] | None = None,
        id: str | None = None,  # noqa: A002  # the API's own word
        key: str | None = None,
        deadline: float | None = None,
        wait: bool = True,
    ) -> Answer:
        """Have one message delivered: `accepted`, or `unknown`, which is to be treated as sent.

        `key` is the idempotency key of this login attempt, 1 to 255 visible ASCII characters;
        without one a random key is used, told in the answer and in every error. `deadline` is how
        many seconds the sidecar may take, at most 30. With `wait` a key that is under way in
        another request is waited for; without, that is `InFlight`. `expires_in` is in seconds. The
        other fields are those of `POST /v1/send`.

        Raises `SendError`; ValueError where `key` or `deadline` is none; RuntimeError when closed.
        """
        fields = {
            "channel": channel,
            "to": to,
            "text": text,
            "purpose": purpose,
            "subject": subject,
            "html": html,
            "reply_to": reply_to,
            "expires_in": expires_in,
            "extra": extra,
            "id": id,
        }
        return self._deliver(Call(self._target, fields, key, deadline, wait=wait))

    def close(self) -> None:
        """Close the kept connections. Sends under way end; no further ones can be made."""
        self._closed = True
        self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._target!r})"

    # One send

    def _deliver(self, call: Call) -> Answer:
        while True:
            try:
                return call.settle(self._exchange(call))
            except SendError as error:
                pause = call.pause(error)
                if pause is None:
                    raise
            time.sleep(pause)

    def _exchange(self, call: Call) -> Reply:
        if self._closed:
            raise RuntimeError("the client is closed")
        try:
            if (link := self._take()) is not None:
                try:
                    return self._through(link, call)
                except Broken as broken:
                    call.lost(broken)
                    if not broken.stale:
                        raise
                    # Closed while it was kept, most likely. The key makes it safe to ask again.
            return self._through(self._connect(call), call)
        except Broken as broken:
            raise call.lost(broken) from None
        except Garbled as garbled:
            raise call.garbled(garbled) from None

    def _through(self, link: _Link, call: Call) -> Reply:
        try:
            reply = call.own(link.exchange(call))
        except BaseException:  # whatever it was, a late answer must not meet the next request
            link.close()
            raise
        if reply.keep and len(self._kept) < KEEP:
            self._kept.append(link)
            if self._closed:  # in the meantime, by another thread
                self._forget()
        else:
            link.close()
        return reply

    def _take(self) -> _Link | None:
        # The one used last: it is the least likely to have been closed. `pop` is atomic.
        while self._kept:
            try:
                link = self._kept.pop()
            except IndexError:  # another thread was quicker
                return None
            if link.quiet():
                return link
            link.close()
        return None

    def _connect(self, call: Call) -> _Link:
        path, host, port = self._target.path, self._target.host, self._target.port
        try:
            left = call.left()
            if path is None:
                return _Link(socket.create_connection((host, port), left), left)
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(left)
                connection.connect(path)
            except BaseException:
                connection.close()
                raise
            return _Link(connection, left)
        except (OSError, UnicodeError):  # a host name may be none
            raise Broken("unreachable", left=False) from None

    def _forget(self) -> None:
        while self._kept:
            try:
                self._kept.pop().close()
            except IndexError:
                return


class _Link:
    """One connection, for one request at a time."""

    __slots__ = ("_poll", "_socket", "_timeout")

    def __init__(self, connected: socket.socket, timeout: float) -> None:
        self._socket = connected
        self._timeout = timeout
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)

    def quiet(self) -> bool:
        """Whether it is open and nothing has arrived: whatever did, is no answer to come."""
        return not self._poll.poll(0)

    def exchange(self, call: Call) -> Reply:
        """One request and its reply. Raises `Broken`, `Garbled`."""
        reader = Reader()
        left = False
        try:
            self._bound(call.left())
            self._socket.sendall(call.request())
            left = True  # before, the sidecar has an incomplete request at the most, and drops it
            while True:
                self._bound(call.left())
                data = self._socket.recv(PIECE)
                if not data:
                    raise Broken("lost", left=True, stale=not reader.begun)
                if (reply := reader.feed(data)) is not None:
                    return reply
        except TimeoutError:
            raise Broken("timed_out", left=left) from None
        except OSError:
            raise Broken("lost", left=left, stale=not reader.begun) from None

    def close(self) -> None:
        self._socket.close()

    def _bound(self, left: float) -> None:
        if abs(self._timeout - left) > _SLACK:
            self._socket.settimeout(left)
            self._timeout = left


_clients: WeakSet[Client] = WeakSet()


def _disinherit() -> None:
    """In a forked child: its parent's connections are not its own. Theirs stay open."""
    for client in _clients:
        client._forget()  # noqa: SLF001  # of this module


os.register_at_fork(after_in_child=_disinherit)
