"""What a `kind: smtp` provider can be told."""

from __future__ import annotations

import ipaddress
from typing import Literal, Self

from pydantic import Field, FilePath, field_validator, model_validator

from sidecar import ProviderConfig, Secret
from sidecar_smtp.mime import parse_sender


class SmtpConfig(ProviderConfig):
    """`tls: none` is for loopback only; `ca_file` replaces the system's certificate authorities.

    Without `username` no login is tried.
    """

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=587, ge=1, le=65_535)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: FilePath | None = None
    username: str | None = None
    password: Secret | None = None
    sender: str = Field(max_length=200, description="`otp@example.com` or `Name <otp@example.com>`")
    pool: int = Field(default=8, ge=1, le=64)

    @field_validator("host")
    @classmethod
    def _only_a_host(cls, host: str) -> str:
        if any(c in host for c in "/@[] ") or (":" in host and _address(host) is None):
            raise ValueError("must be a host name or an IP address, without scheme or port")
        return host

    @field_validator("sender")
    @classmethod
    def _one_sender(cls, sender: str) -> str:
        parse_sender(sender)
        return sender

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.username) != bool(self.password and self.password.get_secret_value()):
            raise ValueError("`username` and `password` belong together")
        if self.port == 465 and self.tls == "starttls":  # RFC 8314: TLS from the first byte
            raise ValueError("port 465 speaks TLS from the start: write `tls: implicit`")
        address = _address(self.host)
        if self.tls == "none" and address is not None and not address.is_loopback:
            raise ValueError("`tls: none` is for loopback only; use `starttls` or `implicit`")
        return self


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
