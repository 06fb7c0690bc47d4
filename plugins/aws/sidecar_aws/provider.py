"""What the kinds have in common: a wire that lives as long as they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Self, TypeVar

from sidecar import DeliveryError, Message, Provider, Refused
from sidecar_aws.errors import BadSetting
from sidecar_aws.settings import AwsConfig
from sidecar_aws.sources import missing_credentials
from sidecar_aws.wire import Wire

C = TypeVar("C", bound=AwsConfig)


class AwsProvider(Provider[C]):
    """A provider at one AWS service. `model` is botocore's name of it: `sesv2`, `sns`.

    `now` gives Unix time, for the signatures.
    """

    model: ClassVar[str]
    signing_name: ClassVar[str]
    reads = ("AWS_",)

    def __init__(self, name: str, config: C, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(name, config)
        self._now = now
        self._wire: Wire | None = None

    @classmethod
    def missing(cls, config: C, environ: Mapping[str, str]) -> Sequence[str]:
        return () if config.access_key_id is not None else missing_credentials(environ)

    def blame(self, error: DeliveryError, message: Message) -> DeliveryError:
        """`error`, but for a bad value that `message` chose: it must not open the circuit."""
        if isinstance(error, BadSetting) and message.extra_for(self.kind):
            return Refused(error.reason, code=error.code)
        return error

    @property
    def wire(self) -> Wire:
        """The open wire; there is none outside `async with`."""
        assert self._wire is not None, "the provider is not open"
        return self._wire

    async def __aenter__(self) -> Self:
        self._wire = Wire(self.model, self.signing_name, self.config, self._now)
        return self

    async def __aexit__(self, *exc: object) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()
