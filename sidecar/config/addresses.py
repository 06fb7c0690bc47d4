"""Where the sidecar listens: `127.0.0.1:8780`, `[::1]:8780`, `localhost:8780` or `unix:/path`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_TCP = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9A-Za-z.-]+)):([0-9]{1,5})", re.ASCII)
_SOCKET_PATH_LIMIT = 107  # sockaddr_un.sun_path on Linux is 108 bytes, its NUL included


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """An IP address or `localhost`, and a port; port 0 is one of the system's choice."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    def meets(self, other: TcpAddress) -> bool:
        """Whether both cannot be listened on: one port, and one's host is the other's or any."""
        if self.port != other.port or not self.port:
            return False
        hosts = {self.host, other.host}
        if len(hosts) == 1 or "::" in hosts:
            return True
        if "0.0.0.0" in hosts:  # noqa: S104  # compared, not bound
            return not any(":" in host for host in hosts)
        return "localhost" in hosts and self.loopback and other.loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket, by its absolute path."""

    path: Path

    @property
    def loopback(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"unix:{self.path}"


def parse_tcp(value: Any) -> TcpAddress:
    """`host:port`, the host an IP address or `localhost`. Raises ValueError."""
    if isinstance(value, TcpAddress):
        return value
    match = _TCP.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[3]) > 65535:
        raise ValueError("must be an address with a port, such as 127.0.0.1:8780 or [::1]:8780")
    return TcpAddress(_host(match[1], match[2]), int(match[3]))


def parse_address(value: Any) -> TcpAddress | UnixAddress:
    """`host:port` or `unix:/path`. Raises ValueError."""
    if isinstance(value, UnixAddress):
        return value
    if not isinstance(value, str) or not value.startswith("unix:"):
        return parse_tcp(value)
    path = value.removeprefix("unix:")
    if not path.startswith("/") or not path.isprintable():
        raise ValueError("a Unix socket is written unix:/absolute/path")
    if len(path.encode()) > _SOCKET_PATH_LIMIT:
        raise ValueError(f"the path of a Unix socket has at most {_SOCKET_PATH_LIMIT} bytes")
    return UnixAddress(Path(path))


def _host(in_brackets: str | None, plain: str) -> str:
    if plain == "localhost":
        return plain
    try:
        ip = ipaddress.ip_address(in_brackets or plain)
    except ValueError:
        raise ValueError("the host must be an IP address or localhost") from None
    if (ip.version == 6) != (in_brackets is not None):
        raise ValueError("brackets are for IPv6 addresses, and these need them")
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        raise ValueError("write the IPv4 address itself, not inside an IPv6 one")
    return str(ip)


_TEXT = PlainSerializer(str, return_type=str)

Address = Annotated[
    TcpAddress | UnixAddress,
    BeforeValidator(parse_address),
    _TEXT,
    WithJsonSchema({"type": "string"}),
]
"""`127.0.0.1:8780`, `[::1]:8780`, `localhost:8780` or `unix:/run/otp-sidecar/api.sock`."""

OpsAddress = Annotated[
    TcpAddress, BeforeValidator(parse_tcp), _TEXT, WithJsonSchema({"type": "string"})
]
"""`0.0.0.0:8781`: an address that others may reach."""
