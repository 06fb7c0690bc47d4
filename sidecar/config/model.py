"""The sections of the file, but for the providers' own keys, which only their plugins know.

The docstrings below the fields, or their `description`, are what an editor shows for them;
`sidecar.config.schema` reads the former from the source.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sidecar.config.addresses import Address, OpsAddress, TcpAddress
from sidecar.config.alerting import Alerts
from sidecar.config.section import ELSEWHERE, Section
from sidecar.delivery.policy import OnRejected, OnUnknown, Order, Panic
from sidecar.settings import BreakerOverride, BudgetSection, Duration

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})(?::[0-9]{1,5})?", re.ASCII)


def _clean(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not contain line breaks or other control characters")
    return text


def _clean_path(path: Path) -> Path:
    _clean(str(path))
    return path


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("must be a host name, with or without a port")
    return text.lower()


def _off(value: Any) -> Any:
    # An empty text, as `${NAME:-}` gives it, switches off what `null` switches off.
    return None if value == "" else value


Text = Annotated[str, Field(min_length=1), AfterValidator(_clean)]
FileName = Annotated[Path, AfterValidator(_clean_path)]
HttpClient = Literal["lean", "aiohttp"]


class Server(Section):
    """Where the app reaches the sidecar, and who may."""

    listen: Address = Field(default="127.0.0.1:8780", validate_default=True)
    """`127.0.0.1:8780`, `[::1]:8780`, or `unix:/run/otp-sidecar/api.sock`."""
    ops_listen: Annotated[OpsAddress | None, BeforeValidator(_off)] = None
    """A second listener for `/livez`, `/readyz` and `/metrics` alone, such as `0.0.0.0:8781`."""
    token_file: Annotated[FileName | None, BeforeValidator(_off)] = None
    """A file with the token that callers must present, one per line while it is rotated."""
    allowed_hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = ()
    """Names, besides the loopback ones, that a request's `Host` may carry."""
    peer_uids: tuple[Annotated[int, Field(ge=0, le=4_294_967_294, strict=True)], ...] = ()
    """User ids, besides our own and root's, that may use the Unix socket of `listen`."""
    allow_non_loopback: bool = False
    """Let `listen` be an address that others can reach; needs `token_file`."""
    connections: int = Field(default=512, ge=1, le=100_000)
    """Connections of callers at once; fewer where the system's descriptors are few."""
    header_timeout: Duration = Field(
        default=5.0,
        ge=0.1,
        le=300.0,
        description="How long a caller may take for the head of a request.",
    )
    body_timeout: Duration = Field(
        default=5.0, ge=0.1, le=300.0, description="How long it may take for the body."
    )
    keep_alive: Duration = Field(
        default=75.0, ge=1.0, le=3600.0, description="How long an idle connection is kept."
    )
    drain_delay: Duration = Field(
        default=0.0,
        ge=0.0,
        le=300.0,
        description="After SIGTERM: how long to go on accepting before draining begins.",
    )
    drain: Duration = Field(
        default=20.0,
        ge=0.0,
        le=600.0,
        description="After that: how long to wait for what is in flight.",
    )

    @model_validator(mode="after")
    def _listens_where_it_may(self) -> Server:
        if not self.listen.loopback and not (self.allow_non_loopback and self.token_file):
            raise PydanticCustomError(
                ELSEWHERE,
                "must be loopback or a Unix socket; another address needs "
                "`allow_non_loopback: true` and a `token_file`",
                {"key": "listen"},
            )
        if self.peer_uids and isinstance(self.listen, TcpAddress):
            raise PydanticCustomError(
                ELSEWHERE, "needs `listen` to be a Unix socket", {"key": "peer_uids"}
            )
        ops = self.ops_listen
        if ops is not None and isinstance(self.listen, TcpAddress) and ops.meets(self.listen):
            told = "has the port of `listen`, and both cannot be there: give it another"
            raise PydanticCustomError(ELSEWHERE, told, {"key": "ops_listen"})
        return self


class Log(Section):
    """The delivery log."""

    path: Text = "data/deliveries.db"
    """The database, relative to the working directory; `:memory:` keeps the last 10,000 alone."""
    durability: Literal["normal", "full"] = "normal"
    """`full` survives a power cut too, at about 1 ms more per write."""
    unavailable: Literal["refuse", "degrade"] = "refuse"
    """Where the log cannot be written: refuse to send, or send and flag it."""
    retention: Duration = Field(
        default=30 * 86400.0, gt=0.0, le=3650 * 86400.0, description="How long deliveries are kept."
    )
    keys: Duration = Field(
        default=86400.0,
        gt=0.0,
        le=3650 * 86400.0,
        description="How long an idempotency key is remembered.",
    )

    @model_validator(mode="after")
    def _keeps_what_a_key_needs(self) -> Log:
        if self.keys > self.retention:
            raise PydanticCustomError(
                ELSEWHERE, "must not be longer than `retention`", {"key": "keys"}
            )
        return self


class Limits(Section):
    """How much at once, and for how long."""

    deadline: Duration = Field(
        default=10.0,
        gt=0.0,
        le=30.0,
        description="The whole chain's time for one message; 30s at most.",
    )
    in_flight: int = Field(default=256, ge=1, le=100_000)
    """Sends under way at once."""
    in_flight_per_provider: int = Field(default=64, ge=1, le=100_000)
    """Sends under way at once at one provider."""
    queue: int = Field(default=256, ge=0, le=100_000)
    """Sends that may wait for room."""
    queue_wait: Duration = Field(default=1.0, ge=0.0, le=30.0, description="How long they wait.")


class Preflight(Section):
    """The look at every account, which begins after the start and goes on beside the sends."""

    interval: Duration = Field(
        default=600.0,
        ge=1.0,
        le=86400.0,
        description="Between two checks of an account, give or take a tenth.",
    )
    timeout: Duration = Field(
        default=10.0, gt=0.0, le=60.0, description="How long one check may take."
    )


class ChainSection(Section):
    """The providers of one channel, in order, and what follows from an attempt that failed."""

    providers: tuple[str, ...] = Field(min_length=1, max_length=50)
    """Names of providers, the first choice first."""
    on_unknown: OnUnknown = OnUnknown.FAILOVER
    """After an attempt that may have been taken: try the next provider, or stop."""
    on_rejected: OnRejected = OnRejected.STOP
    """After the message or the recipient was rejected."""
    # YAML 1.1 reads the word `off` as false.
    panic: Annotated[Panic, BeforeValidator(lambda v: Panic.OFF if v is False else v)] = Panic.PROBE
    """With every circuit open: try one provider anyway, or fail fast."""
    max_unknown_failovers: int = Field(default=1, ge=0, le=10)
    """How many attempts that may have been taken the chain goes on after."""
    order: Order = Order.DECLARED
    """As declared, or the cheapest for the message first."""


class Secrets(Section):
    """Secrets that plugins fetch: `${scheme:name#key}`."""

    refresh: Duration = Field(
        default=300.0,
        ge=1.0,
        le=86400.0,
        description="How often they are read again, 10 % more or less.",
    )


class Root(Section):
    """The configuration of an OTP Sidecar."""

    version: Annotated[int, WithJsonSchema({"const": 1})] = 1
    """The version of this format: 1."""
    environment: Literal["development", "test", "staging", "production"] = "development"
    """`production` refuses providers that are for development only."""
    server: Server = Server()
    log: Log = Log()
    limits: Limits = Limits()
    breaker: BreakerOverride = BreakerOverride()
    budget: BudgetSection | None = None
    """What all providers together may cost; each may have a budget of its own."""
    alerts: Alerts = Alerts()
    preflight: Preflight = Preflight()
    http_client: HttpClient = "lean"
    """How providers' HTTP is spoken: by our own client, or by aiohttp's."""
    secrets: Secrets = Secrets()
    providers: dict[str, Any] = Field(default={})
    """The providers by name; `kind` says which plugin serves one and defaults to the name."""
    chains: dict[str, Any]
    """The providers of each channel, in order."""

    @field_validator("version")
    @classmethod
    def _known_version(cls, version: int) -> int:
        if version != 1:
            raise ValueError("this version of OTP Sidecar reads `version: 1` only")
        return version
