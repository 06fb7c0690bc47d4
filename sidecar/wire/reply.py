"""What comes back: an HTTP/1.1 reply, read by httptools within hard bounds. No I/O in here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from sidecar.delivery.errors import Unknown
from sidecar.wire.engine import REPLY_LIMIT, Answer

HEAD_LIMIT = 64 * 1024
"""Bytes of the head, those of interim replies included."""
HEADERS_LIMIT = 128
INTERIM_LIMIT = 16
"""Interim replies (1xx) before the one that counts."""
WIRE_LIMIT = 8 * REPLY_LIMIT
"""Bytes of the whole reply as it comes: chunks of one byte are six on the wire."""
_BODYLESS = (204, 304)


class Headers(Mapping[str, str]):
    """Case-insensitive; of a name that came more than once, the first value.

    Nothing is decoded but what is asked for: most replies are read for their status and body, and
    one header at most.
    """

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = raw

    @property
    def _values(self) -> dict[str, str]:
        values: dict[str, str] = {}
        for name, value in self._raw:
            values.setdefault(name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t"))
        return values

    def __getitem__(self, name: str) -> str:
        if not name.isascii():  # bytes are put in lower case within ASCII only
            return self._values[name.lower()]
        value = self._find(name)
        if value is None:
            raise KeyError(name)
        return value.decode("latin-1").strip(" \t")

    def __contains__(self, name: object) -> bool:
        # Without the error that `Mapping` has raised and caught: most look for what is not there.
        if not isinstance(name, str) or not name.isascii():
            return super().__contains__(name)
        return self._find(name) is not None

    def _find(self, name: str) -> bytes | None:
        wanted = name.lower().encode("ascii")
        for one, value in self._raw:
            if one.lower() == wanted:
                return value
        return None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({list(self._values)})"  # a value may be a secret


class ReplyReader:
    """Reads one reply after the other from a connection; `begin` goes before each.

    `complete` says that the reply is whole, `reusable` that the connection may carry another one,
    `begun` that a byte of it has come.
    """

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        # Several servers write them, and nothing can be smuggled to a client that sends no second
        # request before the first reply is read.
        self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        self.begin("GET")

    def begin(self, method: str) -> None:
        """Expect the reply to a request with this method."""
        self.complete = self.reusable = False
        self._head_only = method == "HEAD"
        self._status = self._came = self._head = self._length = self._interim = 0
        self._in_head = True
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._fault: Unknown | None = None

    def forget(self) -> None:
        """Let go of the parser, which holds this reader; nothing can be read after that."""
        del self._parser

    @property
    def begun(self) -> bool:
        return self._came > 0

    @property
    def answer(self) -> Answer:
        body = self._body
        whole = body[0] if len(body) == 1 else b"".join(body)
        return self._status, Headers(self._headers), whole

    @property
    def head(self) -> Answer | None:
        """The reply without its body; None while the head is not whole."""
        return None if self._in_head else (self._status, Headers(self._headers), b"")

    def feed(self, data: bytes) -> bool:
        """Whether the reply is whole now. Raises `Unknown` for what is no reply, or too long."""
        self._came += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self.complete:
                raise (self._fault or self._unknown("the answer is not valid HTTP")) from None
            self.reusable = False  # the reply is whole, what came behind it is not ours
        if not self.complete:
            if self._in_head and self._came > HEAD_LIMIT:
                raise self._unknown("the head of the answer was longer than 64 KiB")
            if self._came > WIRE_LIMIT:
                raise self._unknown("the answer was longer than 256 KiB")
        return self.complete

    def end(self) -> bool:
        """The peer will send no more: whether that makes the reply whole."""
        if not (self.complete or self._in_head or self._is_framed()):
            self.complete = True
        return self.complete

    def _is_framed(self) -> bool:
        headers = Headers(self._headers)
        codings = [
            value.lower() for name, value in self._headers if name.lower() == b"transfer-encoding"
        ]
        return "content-length" in headers or any(b"chunked" in value for value in codings)

    def _unknown(self, reason: str) -> Unknown:
        return Unknown(reason, code=self._status or None)

    def _refuse(self, reason: str) -> None:
        self._fault = self._unknown(reason)
        raise self._fault

    # What httptools calls. What is raised here ends `feed_data`.

    def on_message_begin(self) -> None:
        self.reusable = False  # where it is complete, this is one that nobody asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer
        self._head += len(name) + len(value) + 4
        self._headers.append((name, value))
        if self._head > HEAD_LIMIT or len(self._headers) > HEADERS_LIMIT:
            self._refuse("the head of the answer was too long")

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        self._status = status = self._parser.get_status_code()
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > INTERIM_LIMIT:
                self._refuse("the answer was not one to this request")
            self._headers = []
            return
        self._in_head = False
        if self._head_only or (status in _BODYLESS and self._is_framed()):
            # A body may be announced that must not come: what follows cannot be told apart.
            self.complete = True

    def on_body(self, data: bytes) -> None:
        if self.complete:
            return
        self._length += len(data)
        if self._length > REPLY_LIMIT:
            self._refuse("the answer was longer than 256 KiB")
        self._body.append(data)

    def on_message_complete(self) -> None:
        if not (self.complete or self._in_head):
            self.complete = True
            self.reusable = self._parser.should_keep_alive()
