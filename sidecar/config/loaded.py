"""A configuration that has no fault, as the rest of the sidecar has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.config.alerting import Alerts
from sidecar.config.model import ChainSection, HttpClient, Limits, Log, Preflight, Server
from sidecar.config.references import Reference
from sidecar.delivery.provider import Provider
from sidecar.delivery.tariff import Tariff
from sidecar.settings import BreakerOverride, BudgetSection, ProviderConfig


@dataclass(frozen=True, slots=True)
class ProviderSection:
    """One provider. `settings` is None where `missing` names what the environment lacks.

    `timeout` is in seconds; `breaker` is the file's with the provider's own keys on top, `tariff`
    its class's with the provider's `price` on top; None where no price is known. `references` are
    the secrets that it has from sources. `renewable` says whether any of its values may change
    while the file does not; `written` is a digest of what the file itself says.
    """

    name: str
    kind: str
    cls: type[Provider[Any]]
    settings: ProviderConfig | None = field(repr=False)  # a secret may stand in a plain field
    missing: tuple[str, ...]
    optional: bool
    enabled: bool
    timeout: float
    breaker: BreakerOverride
    tariff: Tariff | None = None
    budget: BudgetSection | None = None
    references: frozenset[Reference] = frozenset()
    renewable: bool = False
    written: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without a fault.

    `digest` is the first 12 hex digits of the file's SHA-256. `origins` tells by dotted path where
    a value came from: `providers.yaml:12:5`, `default`, `env NAME`, `.env NAME`, `file /path`,
    `aws-sm otp/twilio#auth_token`. `secrets` holds every secret text that was read, `environ` the
    process's variables with those of `.env` beneath. `seen` has every file that was read, and what
    it looked like. `references` are the secrets that sources gave or should have given, `refresh`
    the seconds after which they are read again, and `hidden` the paths that show nothing of them.
    """

    path: Path
    digest: str
    environment: str
    server: Server
    log: Log
    limits: Limits
    breaker: BreakerOverride
    providers: Mapping[str, ProviderSection]
    chains: Mapping[str, ChainSection]
    origins: Mapping[str, str]
    secrets: frozenset[str]
    environ: Mapping[str, str]
    seen: Mapping[Path, str]
    http_client: HttpClient = "lean"
    budget: BudgetSection | None = None
    alerts: Alerts = field(default_factory=Alerts)
    preflight: Preflight = field(default_factory=Preflight)
    references: frozenset[Reference] = frozenset()
    refresh: float = 300.0
    hidden: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Config(path={str(self.path)!r}, digest={self.digest!r})"
