"""The section `alerts`: where an operator is told, and how that is signed."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from sidecar.alerts.signing import key_of
from sidecar.config.section import ELSEWHERE, Section
from sidecar.settings import Duration, Secret

MOST_SECRETS = 5
"""Signatures of one request; a rotation needs two."""
_ADDRESS = "must be an address such as https://host/path, without a user, a password or a fragment"


def _webhook(given: Any) -> Any:
    """A URL that is one; None for an empty text, as `${NAME:-}` gives it. Raises ValueError.

    Whether its host may be reached is judged where it is called.
    """
    if given is None or given == "":
        return None
    if not isinstance(given, str) or not given.isprintable() or any(c.isspace() for c in given):
        raise ValueError(_ADDRESS)
    try:
        parts = urlsplit(given)
        odd = parts.username is not None or "#" in given or parts.port == 0
    except ValueError:  # its own words repeat a part of the URL
        raise ValueError(_ADDRESS) from None
    if parts.scheme not in ("https", "http") or not parts.hostname or odd:
        raise ValueError(_ADDRESS)
    return given


def _secrets(given: Any) -> Any:
    """One secret or a list, each of which is one. Raises ValueError, without the value."""
    several = given if isinstance(given, list | tuple) else [given]
    several = [one for one in several if one is not None and one != ""]
    if len(several) > MOST_SECRETS:
        raise ValueError(f"must be {MOST_SECRETS} at most")
    for one in several:
        text = one.get_secret_value() if isinstance(one, Secret) else one
        if not isinstance(text, str):
            raise ValueError("must be a text, or a list of texts while one is replaced")
        key_of(text)
    return tuple(several)


class Alerts(Section):
    """Whom to tell at once of what turned bad."""

    webhook: Annotated[str | None, BeforeValidator(_webhook, json_schema_input_type=str | None)] = (
        Field(default=None, repr=False)
    )
    """Where each alert is sent as one signed POST; without it alerts are in the log alone."""
    secret: Annotated[
        tuple[Secret, ...], BeforeValidator(_secrets, json_schema_input_type=str | list[str] | None)
    ] = ()
    """`whsec_` and base64, which signs the POSTs; a list signs with each while one is replaced."""
    allow_private: bool = False
    """The webhook may be at a loopback or private address."""
    fallback_after: Duration = Field(
        default=3600.0,
        ge=60.0,
        le=7 * 86400.0,
        description="A fallback is told of at its first use after so long without one.",
    )

    @model_validator(mode="after")
    def _is_signed_and_private(self) -> Alerts:
        if self.webhook is None:
            return self
        if not self.secret:
            raise PydanticCustomError(
                ELSEWHERE, "`webhook` needs it: what is sent there is signed", {"key": "secret"}
            )
        if urlsplit(self.webhook).scheme == "http" and not self.allow_private:
            raise PydanticCustomError(
                ELSEWHERE,
                "must begin with https://; `allow_private: true` admits http:// to a loopback or "
                "private address",
                {"key": "webhook"},
            )
        return self
