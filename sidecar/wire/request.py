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
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FRAMING = {"content-length", "transfer-encoding"}


def admit_request(method: str, headers: Mapping[str, str], body: bytes) -> None:
    """Raise for what must not go on a wire, before anything does: `Misconfigured`, `Refused`.

    The framing is the client's own business: a caller's could contradict it.
    """
    _template(method, tuple(headers))
    if _UNSAFE.search("".join(headers.values())):
        raise Misconfigured("a header's value holds a line break or another control character")
    if len(body) > REQUEST_LIMIT:
        raise Refused("the request is longer than 1 MiB")


def request_bytes(target: Target, method: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Head and body of an admitted request, in one piece; the bytes are those of aiohttp's."""
    framed = bool(body) or method not in ("GET", "HEAD")
    head = _template(method, tuple(headers)).format(
        *headers.values(),
        path=target.path,
        host=target.authority,
        length=f"Content-Length: {len(body)}\r\n" if framed else "",
        kind="Content-Type: application/octet-stream\r\n" if body or method == "POST" else "",
    )
    return head.encode("utf-8", "surrogatepass") + body


@lru_cache(maxsize=256)
def _template(method: str, names: tuple[str, ...]) -> str:
    """The head with places for what differs from send to send. Raises `Misconfigured`."""
    given = {name.lower() for name in names}
    if not all(_TOKEN.fullmatch(name) for name in (method, *names)):
        raise Misconfigured("a header's name, or the method, is not a token")
    if given & _FRAMING or len(given) < len(names):
        raise Misconfigured("a header is given twice, or says how the body is framed")
    return "".join(
        (
            f"{method} {{path}} HTTP/1.1\r\n",
            "" if "host" in given else "Host: {host}\r\n",
            *(f"{name}: {{}}\r\n" for name in names),
            "" if "accept" in given else "Accept: */*\r\n",
            "{length}",
            "" if "content-type" in given else "{kind}",
            "\r\n",
        )
    )
