"""What leaves: a request's bytes, in which no value can end its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from sidecar.delivery.errors import Misconfigured, Refused
from sidecar.wire.target import Target

REQUEST_LIMIT = 1024 * 1024
"""Bytes of a request's body; a message of 64 KiB makes a fraction of it."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_UNSAFE = bytes({*range(0x20), 0x7F} - {ord("\t")})
_FRAMING = {"content-length", "transfer-encoding"}


def admit_request(method: str, headers: Mapping[str, str], body: bytes) -> None:
    """Raise for what must not go on a wire, before anything does: `Misconfigured`, `Refused`.

    The framing is the client's own business: a caller's could contradict it.
    """
    _admitted(method, headers, body)


def request_bytes(target: Target, method: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Head and body in one piece; the bytes are those of aiohttp's. Raises as `admit_request`."""
    given, lines = _admitted(method, headers, body)
    host = "" if "host" in given else f"Host: {target.authority}\r\n"
    accept = "" if "accept" in given else "Accept: */*\r\n"
    framed = bool(body) or method not in ("GET", "HEAD")
    length = f"Content-Length: {len(body)}\r\n" if framed else ""
    typed = "content-type" in given or not (body or method == "POST")
    kind = "" if typed else "Content-Type: application/octet-stream\r\n"
    first = f"{method} {target.path} HTTP/1.1\r\n{host}"
    return b"%b%b%b%b" % (first.encode(), lines, f"{accept}{length}{kind}\r\n".encode(), body)


def _admitted(method: str, headers: Mapping[str, str], body: bytes) -> tuple[frozenset[str], bytes]:
    """The names of the headers in lower case, and their lines."""
    given = _admit_names(method, tuple(headers))
    # Joined: in an f-string a value that is no text would be made one, and sent.
    text = "\r\n".join([*map(": ".join, headers.items()), ""])
    lines = text.encode("utf-8", "surrogatepass")
    unsafe = len(lines) - len(lines.translate(None, _UNSAFE))
    if unsafe != 2 * len(headers):  # the ends of the lines are of them, and nothing else may be
        raise Misconfigured("a header's value holds a line break or another control character")
    if len(body) > REQUEST_LIMIT:
        raise Refused("the request is longer than 1 MiB")
    return given, lines


@lru_cache(maxsize=256)
def _admit_names(method: str, names: tuple[str, ...]) -> frozenset[str]:
    """The names of the headers in lower case. Raises `Misconfigured`."""
    given = frozenset(name.lower() for name in names)
    if not all(_TOKEN.fullmatch(name) for name in (method, *names)):
        raise Misconfigured("a header's name, or the method, is not a token")
    if given & _FRAMING or len(given) < len(names):
        raise Misconfigured("a header is given twice, or says how the body is framed")
    return given
