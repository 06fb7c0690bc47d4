"""The door: who may come in. Host, origin, content type, token, in this order.

Every check runs before the body is read and before `Expect: 100-continue` is answered. It keeps out
a web page on a developer's machine (DNS rebinding, cross-site posts) and, with a token file, other
processes that reach the loopback address.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp import hdrs

from sidecar.api.asked import SEC_FETCH_SITE, Asked
from sidecar.api.problems import Problem
from sidecar.tokens import TokenFile

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OPEN_TO_ALL = frozenset({("GET", "/livez"), ("GET", "/readyz")})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 section 9.2.1
BODY_LIMIT = 64 * 1024
KNOWN = 64
"""Host headers that are remembered as good; an allowed name is good with any port."""


class Door:
    """`check` raises a `Problem` for a request that may not come in.

    `ports` are those we listen on: a Host header that names another one is not for us.
    """

    def __init__(self, allowed_hosts: Collection[str] = (), token: TokenFile | None = None) -> None:
        self.ports: set[int] = set()
        self.renew(allowed_hosts, token)

    def renew(self, allowed_hosts: Collection[str], token: TokenFile | None) -> None:
        """Let in by these names and tokens from now on."""
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._known: set[str] = set()
        self._token = token

    def check(self, request: Asked) -> None:
        self._check_host(request)
        headers = request.headers
        if SEC_FETCH_SITE in headers or hdrs.ORIGIN in headers:  # no browser, no such header
            self._check_origin(request)
        if request.method not in _SAFE_METHODS:
            self._check_content(request)
        if self._token is not None:
            self._check_token(request, self._token)

    def _check_host(self, request: Asked) -> None:
        hosts = request.headers.getall(hdrs.HOST, [])
        if len(hosts) == 1 and hosts[0] in self._known and request.raw_path.startswith("/"):
            return
        if len(hosts) != 1 or not hosts[0]:
            raise Problem(400, "bad_host", "exactly one Host header is needed")
        named = [hosts[0]]
        if not request.raw_path.startswith("/") and "://" in request.raw_path:
            # Absolute-form, RFC 9112 section 3.2.2.
            named.append(_authority(request.raw_path))
        if not all(self._is_ours(host.lower()) for host in named):
            raise Problem(
                421,
                "foreign_host",
                "this Host is not served here; use localhost or 127.0.0.1 with the sidecar's port, "
                "or add the name to server.allowed_hosts",
            )
        if len(self._known) < KNOWN:
            self._known.add(hosts[0])

    def _is_ours(self, host: str) -> bool:
        name, colon, port = host.rpartition(":")
        if not colon or host.endswith("]"):
            name, port = host, ""
        if host in self._allowed_hosts or name in self._allowed_hosts:
            return True
        return name in _LOCAL_NAMES and (not port or port in map(str, self.ports))

    def _check_origin(self, request: Asked) -> None:
        sites = request.headers.getall(SEC_FETCH_SITE, ())
        origins = request.headers.getall(hdrs.ORIGIN, ())
        if not all(site in ("same-origin", "none") for site in sites) or not all(
            self._is_ours_in_full(_authority(origin).lower()) for origin in origins
        ):
            raise Problem(403, "browser_borne", "a web page of another site sent this request")

    def _is_ours_in_full(self, authority: str) -> bool:
        # In an origin no port means 80 or 443, which is another server.
        return self._is_ours(authority) and (
            authority in self._allowed_hosts or authority.rpartition(":")[2].isdigit()
        )

    def _check_content(self, request: Asked) -> None:
        headers = request.headers
        # Not aiohttp's `content_type`: the mail parser behind it takes 3 s of the loop for 8 KB of
        # semicolons, and raises IndexError and RecursionError for others (Python 3.11).
        kinds = headers.getall(hdrs.CONTENT_TYPE, ())
        if kinds != ["application/json"] and [
            kind.partition(";")[0].strip(" \t").lower() for kind in kinds
        ] != ["application/json"]:
            raise Problem(415, "not_json", "send the header Content-Type: application/json")
        if hdrs.CONTENT_ENCODING in headers or hdrs.TRANSFER_ENCODING in headers:
            _check_encoding(request)
        if (request.content_length or 0) > BODY_LIMIT:
            raise Problem(413, "too_large", "the body must not be over 64 KiB")

    def _check_token(self, request: Asked, known: TokenFile) -> None:
        if (request.method, request.raw_path) in _OPEN_TO_ALL:
            return
        offers = request.headers.getall(hdrs.AUTHORIZATION, ())
        scheme, _, token = (offers[0] if len(offers) == 1 else "").partition(" ")
        # surrogateescape: a header may hold any byte, and compare_digest wants ASCII or bytes.
        offered = token.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() != "bearer" or not known.opens(offered):
            raise Problem(
                401,
                "unauthorized",
                "send the header Authorization: Bearer with a token of server.token_file",
                headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
            )


def _check_encoding(request: Asked) -> None:
    encodings = request.headers.getall(hdrs.CONTENT_ENCODING, ())
    transfers = request.headers.getall(hdrs.TRANSFER_ENCODING, ())
    # aiohttp takes `gzip, chunked` for chunked, and the body for what gzip was to make of it.
    if any(encoding.lower() != "identity" for encoding in encodings) or any(
        transfer.strip(" \t").lower() != "chunked" for transfer in transfers
    ):
        raise Problem(
            415, "encoded", "send the body as it is: no Content-Encoding, at most chunked"
        )


def _authority(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:  # as for `http://[`
        return ""
