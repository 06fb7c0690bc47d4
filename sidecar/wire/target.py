"""Where a request goes: a URL that was judged, in the parts that a client needs."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from yarl import URL

from sidecar.delivery.errors import Misconfigured
from sidecar.network import Found, admit_address, literal_address

Origin = tuple[bool, str, int]
"""Whether it is plain, host and port."""


@dataclass(frozen=True, slots=True)
class Target:
    """An admitted URL. `plain` says that no TLS is spoken.

    `host` is a name in ASCII (IDNA) or an address, `authority` what `Host` says, `path` has the
    query with it. `found` is the address that the host spells, or None for a name, which `resolve`
    judges. Requests with the same `origin` may share a connection.
    """

    url: URL
    plain: bool
    host: str
    port: int
    authority: str
    path: str
    found: Found | None
    origin: Origin


def admit(url: str, *, allow_private: bool) -> Target:
    """Judge what no resolver will see: the scheme, and a host that is an address already.

    Raises `Misconfigured`.
    """
    try:
        parsed = URL(url)  # what aiohttp goes by: two parsers may disagree about the host
        port = parsed.port
    except ValueError:
        raise Misconfigured("the provider's address is not a URL") from None
    host, plain = parsed.raw_host or "", parsed.scheme == "http"
    if parsed.scheme not in ("https", "http"):
        raise Misconfigured("the provider's address must begin with https://")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise Misconfigured("the provider's address must not carry a user or a password")
    if not port or not host or host.startswith("."):
        raise Misconfigured("the provider's address has no host or no port to connect to")
    address = literal_address(host)
    found = None
    if address is not None:
        admit_address(address, allow_private=allow_private, plain=plain)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        found = [(int(family), address)]
    elif plain and not allow_private:
        raise Misconfigured(
            "the provider's address must begin with https://; `allow_private: true` admits "
            "http:// to a loopback or private one"
        )
    authority = parsed.host_port_subcomponent or host
    origin = plain, host, port
    return Target(parsed, plain, host, port, authority, parsed.raw_path_qs, found, origin)
