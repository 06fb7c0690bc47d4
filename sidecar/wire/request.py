"""What leaves: a request's bytes, in which no value can end its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
    _admit(method, headers, body)
    _encoded([*_lines_of(headers), ""])


def request_bytes(target: Target, method: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Head and body in one piece; the bytes are those of aiohttp's. Raises as `admit_request`."""
    given = _admit(method, headers, body)
    lines = [f"{method} {target.path} HTTP/1.1"]
    if "host" not in given:
        lines.append(f"Host: {target.authority}")
    lines += _lines_of(headers)
    if "accept" not in given:
        lines.append("Accept: */*")
    if body or method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(body)}")
    if "content-type" not in given and (body or method == "POST"):
        lines.append("Content-Type: application/octet-stream")
    lines += ("", "")
    return _encoded(lines) + body


def _admit(method: str, headers: Mapping[str, str], body: bytes) -> frozenset[str]:
    """The names of the headers in lower case."""
    given = _admit_names(method, tuple(headers))
    if len(body) > REQUEST_LIMIT:
        raise Refused("the request is longer than 1 MiB")
    return given


def _lines_of(headers: Mapping[str, str]) -> Iterator[str]:
    # Joined: in an f-string a value that is no text would be made one, and sent.
    return map(": ".join, headers.items())


def _encoded(lines: Sequence[str]) -> bytes:
    """The lines with their ends between them, and no other."""
    head = "\r\n".join(lines).encode("utf-8", "surrogatepass")
    if len(head) - len(head.translate(None, _UNSAFE)) != 2 * (len(lines) - 1):
        raise Misconfigured("a header's value holds a line break or another control character")
    return head


@lru_cache(maxsize=256)
def _admit_names(method: str, names: tuple[str, ...]) -> frozenset[str]:
    """The names of the headers in lower case. Raises `Misconfigured`."""
    given = frozenset(name.lower() for name in names)
    if not all(_TOKEN.fullmatch(name) for name in (method, *names)):
        raise Misconfigured("a header's name, or the method, is not a token")
    if given & _FRAMING or len(given) < len(names):
        raise Misconfigured("a header is given twice, or says how the body is framed")
    return given
