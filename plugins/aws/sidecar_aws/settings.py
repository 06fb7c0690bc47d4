"""What all kinds are told: where AWS is, and as whom to speak to it."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from sidecar import Message, ProviderConfig, Rejected, Secret


def base_url(url: str) -> str:
    """`url` without a closing slash. Raises ValueError where it is no plain http(s) address."""
    parts = urlsplit(url)
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise ValueError(
            "must be an address such as https://vpce-1.email.eu-west-1.vpce.amazonaws.com"
        )
    return url.rstrip("/")


class AwsConfig(ProviderConfig):
    """The settings that the kinds share.

    Without keys botocore looks for them: environment, profile, web identity, container, instance
    role. Without `endpoint_url` it resolves the endpoint of `region`, `AWS_ENDPOINT_URL` included.
    """

    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,63}$")
    endpoint_url: Annotated[str, AfterValidator(base_url)] | None = None
    access_key_id: str | None = Field(default=None, min_length=1)
    secret_access_key: Secret | None = Field(default=None, min_length=1)
    session_token: Annotated[Secret | None, BeforeValidator(lambda value: value or None)] = None
    """Empty counts as absent, so that `${AWS_SESSION_TOKEN:-}` serves both kinds of keys."""

    @model_validator(mode="after")
    def _keys_come_together(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key come together")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token needs access_key_id and secret_access_key")
        return self


class Extra(BaseModel):
    """The base of what one message may change by its `extra`, keyed by the kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def of(cls, message: Message, kind: str) -> Self:
        """Read the message's settings for `kind`.

        Raises `Rejected` for an unknown key or an unusable value: a misspelt key that is passed
        over in silence would be found by the recipients.
        """
        given = message.extra_for(kind)
        if not given:  # nearly every message: not worth a validation
            return cls._empty()
        try:
            return cls.model_validate(dict(given))
        except ValidationError:
            known = ", ".join(cls.model_fields)
            raise Rejected(f"`extra.{kind}` is not valid; it may hold {known}") from None

    @classmethod
    @cache
    def _empty(cls) -> Self:
        return cls()
