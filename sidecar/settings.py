"""The types that settings are made of: durations, secrets, and the model every provider extends."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from sidecar.delivery.model import Money
from sidecar.money.amounts import PATTERN, parse_money

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST = 3650 * 86_400.0
"""Seconds of the longest duration that a setting takes."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", re.ASCII)


def parse_duration(value: Any) -> float:
    """Seconds from `10s`, `250ms`, `5m`, `24h`, `30d` or a bare number of seconds.

    Raises ValueError for anything else, negative numbers included.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a duration is written like 10s, 250ms, 5m, 24h or 30d")
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("a duration is written like 10s, 250ms, 5m, 24h or 30d")
    seconds = float(match[1]) * _UNITS[match[2] or "s"]
    if seconds > LONGEST:
        raise ValueError("a duration is at most 3650d")
    return seconds


Duration = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=str | float),
    Field(description="seconds, or a text such as 10s, 250ms, 5m, 24h, 30d"),
]
"""Seconds as a float; written `10s`, `250ms`, `5m`, `24h`, `30d`, or as a bare number."""


Amount = Annotated[
    InstanceOf[Money],
    BeforeValidator(parse_money),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": f"^{PATTERN.pattern}$"}),
]
"""Money, written `100.00 USD`: never a float, and never without its currency (ISO 4217)."""


class Secret(SecretStr):
    """A text that prints as `***`; `get_secret_value()` gives it, once, to the wire."""

    def _display(self) -> str:
        return "***"


class Settings(BaseModel):
    """The base of every settings model: frozen, no unknown keys, no input in an error's text."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )


class BreakerOverride(Settings):
    """A provider's or the file's `breaker:` section; see `sidecar.delivery.breaker`."""

    enabled: bool = True
    failure_threshold: int = Field(default=5, ge=1)
    recovery_timeout: Duration = 60.0
    success_threshold: int = Field(default=2, ge=1)
    growth: float = Field(default=2.0, ge=1.0, le=100.0)
    max_recovery_timeout: Duration = 300.0
    jitter: float = Field(default=0.0, ge=0.0, lt=1.0)
    failure_rate: float | None = Field(default=None, gt=0.0, le=1.0)
    window: Duration = 60.0
    minimum: int = Field(default=20, ge=1)
    slow_call: Duration | None = None


class PriceOverride(Settings):
    """A provider's `price:`, over any part of the tariff that its class publishes.

    `countries` has other prices by the recipient's country (ISO 3166-1 alpha-2). `free_per_month`
    counts what the price counts: messages or segments.
    """

    per_message: Amount | None = None
    per_segment: Amount | None = None
    countries: dict[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], Amount] = Field(default={})
    free_per_month: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _is_one_price(self) -> PriceOverride:
        if self.per_message is not None and self.per_segment is not None:
            raise ValueError("takes `per_message` or `per_segment`, not both")
        if len(self.currencies()) > 1:
            raise ValueError("must be in one currency")
        if self.countries:
            _must_be_countries(self.countries)
        return self

    def currencies(self) -> set[str]:
        """Those of its amounts."""
        amounts = (self.per_message, self.per_segment, *self.countries.values())
        return {amount.currency for amount in amounts if amount is not None}


def _must_be_countries(names: Iterable[str]) -> None:
    from phonenumbers import SUPPORTED_REGIONS  # noqa: PLC0415  # 40 ms, where a price asks for it

    for name in sorted(set(names) - SUPPORTED_REGIONS):
        raise ValueError(f"`countries` names {name}, which no number has: ISO 3166, such as GB")


class BudgetSection(Settings):
    """A provider's or the file's `budget:`; the windows are those of UTC.

    `soft` is the part from which on a provider goes behind the others of its chain.
    """

    monthly: Amount | None = None
    daily: Amount | None = None
    soft: float = Field(default=0.8, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _is_one_currency(self) -> BudgetSection:
        if self.monthly is None and self.daily is None:
            raise ValueError("needs `monthly`, `daily` or both")
        if len(self.currencies()) > 1:
            raise ValueError("must be in one currency")
        return self

    def currencies(self) -> set[str]:
        """Those of its amounts."""
        return {one.currency for one in (self.monthly, self.daily) if one is not None}


# YAML 1.1 reads the word `off` as false.
PreflightMode = Annotated[
    Literal["observe", "skip", "off"], BeforeValidator(lambda v: "off" if v is False else v)
]


class ProviderConfig(Settings):
    """What every provider takes. A plugin's `Config` extends it with its own keys.

    `optional`: absent variables or credentials leave it out, visibly, and are no error.
    `allow_private`: its endpoint may be a loopback or private address. `preflight`: its account is
    looked at every few minutes and shown; `skip` also keeps from it what it would surely refuse.
    """

    kind: str
    optional: bool = False
    enabled: bool = True
    allow_private: bool = False
    timeout: Duration = Field(default=4.0, gt=0.0, le=30.0)
    preflight: PreflightMode = "observe"
    breaker: BreakerOverride | None = None
    price: PriceOverride | None = None
    budget: BudgetSection | None = None

    @field_validator("*", mode="after")
    @classmethod
    def _no_control_characters(cls, value: Any) -> Any:
        # A CR in a configured header or secret would end that header on the wire.
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str) and any(ord(c) < 32 or ord(c) == 127 for c in text):
            raise ValueError("must not contain line breaks or other control characters")
        return value
