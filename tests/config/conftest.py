"""Providers of our own, and one call from a text to a `Config`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import pytest
from pydantic import Field, field_validator, model_validator

from sidecar import Message, PluginNotFound, Provider, ProviderConfig, Receipt, Secret
from sidecar.config import Config, ConfigFaults, load
from sidecar.config.providers import ProviderClass
from sidecar.settings import Duration, Settings


class Pool(Settings):
    size: int = Field(default=8, ge=1, le=64)
    key: Secret | None = None


class MailConfig(ProviderConfig):
    """A mail account."""

    api_key: Secret = Field(min_length=3)
    sender: str
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    linger: Duration = 5.0
    max_price: float | None = None
    pool: Pool = Pool()

    @field_validator("sender")
    @classmethod
    def _has_an_at(cls, sender: str) -> str:
        if "@" not in sender:
            raise ValueError(f"{sender!r} is not an e-mail address")
        return sender


class TextConfig(ProviderConfig):
    token: Secret | None = None
    key: str | None = None
    sender: str

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not (self.token or self.key):
            raise ValueError("give `token` or `key`")
        return self


class _Sends(Provider[Any]):
    async def send(self, message: Message, *, timeout: float) -> Receipt:
        return Receipt("m-1")


class Mail(_Sends):
    kind = "mail"
    channels = frozenset({"email"})
    Config = MailConfig


class Text(_Sends):
    kind = "text"
    channels = frozenset({"sms", "voice"})
    Config = TextConfig


class Shown(_Sends):
    kind = "console"
    channels = frozenset({"email", "sms"})
    Config = ProviderConfig
    development_only = True


class Needy(_Sends):
    """Asks the environment for something that no key of its section names."""

    kind = "needy"
    channels = frozenset({"sms"})
    Config = ProviderConfig

    @classmethod
    def missing(cls, config: ProviderConfig, environ: Mapping[str, str]) -> list[str]:
        return [] if "NEEDY_ROLE" in environ else ["NEEDY_ROLE"]


class Crashing(_Sends):
    kind = "crashing"
    channels = frozenset({"sms"})
    Config = ProviderConfig

    @classmethod
    def missing(cls, config: ProviderConfig, environ: Mapping[str, str]) -> list[str]:
        raise RuntimeError("hunter2")


CLASSES = {cls.kind: cls for cls in (Mail, Text, Shown, Needy, Crashing)}


def provider_class(kind: str) -> type[Provider[Any]]:
    if kind not in CLASSES:
        raise PluginNotFound(f"no installed plugin serves kind `{kind}`")
    return CLASSES[kind]


class Load(Protocol):
    def __call__(
        self, text: str | bytes, *, dotenv: str | bytes = "", **environ: str
    ) -> Config: ...


class Faults(Protocol):
    def __call__(
        self, text: str | bytes, *, dotenv: str | bytes = "", **environ: str
    ) -> list[str]: ...


@pytest.fixture
def classes() -> list[type[Provider[Any]]]:
    return list(CLASSES.values())


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Load a text as `my.yaml`, with these variables in the environment."""

    def do(text: str | bytes, *, dotenv: str | bytes = "", **environ: str) -> Config:
        path = tmp_path / "my.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        if dotenv:
            given = dotenv.encode() if isinstance(dotenv, str) else dotenv
            (tmp_path / ".env").write_bytes(given)
        return load(path, environ=environ, provider_class=provider_class)

    return do


@pytest.fixture
def faults_of(load_text: Load, tmp_path: Path) -> Faults:
    """The faults of a text, each as its line without the directory."""

    def do(text: str | bytes, *, dotenv: str | bytes = "", **environ: str) -> list[str]:
        with pytest.raises(ConfigFaults) as caught:
            load_text(text, dotenv=dotenv, **environ)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return do


@pytest.fixture
def class_of() -> ProviderClass:
    """Which of these classes serves a kind."""
    return provider_class
