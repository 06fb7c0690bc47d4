"""Endpoint and keys of one provider, kept fresh behind its back.

botocore finds and renews them, in a thread; the event loop only ever looks at the last answer. A
send waits for a renewal only where there are no valid keys at all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from sidecar import LocalFault, Unavailable
from sidecar_aws.access import Access, Keys
from sidecar_aws.settings import AwsConfig
from sidecar_aws.threads import in_own_thread

LOOK_EVERY = 60.0
"""Seconds; botocore renews keys from 15 minutes before their end on."""
MARGIN = 10
"""Seconds before their end in which keys are no longer used."""


class Login(Protocol):
    """A source of access. Its methods may raise what `current` does."""

    def access(self) -> Access:
        """The access of this moment; may block."""

    def is_due(self, seconds: int | None = None) -> bool:
        """Whether it ends within `seconds`, by default within the source's own margin."""


class Credentials:
    """The access of one provider. `model` is botocore's name of the service: `sesv2`, `sns`.

    `look_every` is the seconds between two looks at the clock.
    """

    def __init__(self, model: str, config: AwsConfig, *, look_every: float = LOOK_EVERY) -> None:
        self._model = model
        self._config = config
        self._look_every = look_every
        self._login: Login | None = _settled(config)
        self._access = self._login.access() if self._login is not None else None
        self._fetching: asyncio.Task[Access] | None = None
        self._keeper: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to fetch, and to keep what was fetched fresh, in the background."""
        self._keeper = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """End the background work; a thread that hangs is left behind."""
        tasks = [task for task in (self._keeper, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def at_hand(self) -> Access | None:
        """Valid access, where `current` would give it at once."""
        return None if self._access is None or self._is_due(MARGIN) else self._access

    async def current(self, *, timeout: float) -> Access:
        """Valid access, at once where it is at hand, else within `timeout` seconds.

        Raises `Misconfigured` where there are no credentials, `Unavailable` where their source
        does not answer in time, and `LocalFault` where that source is the settings: then it is
        this machine that was slow to load botocore.
        """
        return self.at_hand or await self._wait(self._fetch(), timeout)

    async def renewed(self, refused: Access, *, timeout: float) -> Access:
        """Access after AWS called the keys of `refused` expired; found anew, files included."""
        if self._access is refused:
            self._login = None
            return await self._wait(self._fetch(), timeout)
        return await self.current(timeout=timeout)

    def _is_due(self, seconds: int | None = None) -> bool:
        return self._login is None or self._login.is_due(seconds)

    def _fetch(self) -> asyncio.Task[Access]:
        """The fetch under way, or a new one: however many wait, the source is asked once."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch_in_thread())
            self._fetching.add_done_callback(_look_at)
        return self._fetching

    async def _fetch_in_thread(self) -> Access:
        known = self._login

        def blocking() -> tuple[Login, Access]:
            login = known or _log_in(self._model, self._config)
            return login, login.access()

        self._login, access = await in_own_thread(blocking)
        self._access = access
        return access

    async def _wait(self, fetch: asyncio.Task[Access], timeout: float) -> Access:
        await asyncio.wait({fetch}, timeout=timeout)
        if not fetch.done() or fetch.cancelled():
            if self._config.access_key_id is not None:  # nobody is asked for these
                raise LocalFault("botocore was not loaded in time")
            raise Unavailable("the AWS credentials were not there in time")
        return fetch.result()

    async def _keep_fresh(self) -> None:
        while True:
            if self._is_due():
                await asyncio.wait({self._fetch()})
            await asyncio.sleep(self._look_every)


def _log_in(model: str, config: AwsConfig) -> Login:
    if (settled := _settled(config)) is not None:
        return settled
    from sidecar_aws.sdk import log_in  # noqa: PLC0415  # loads botocore: in the thread, if at all

    return log_in(model, config)


@dataclass(frozen=True, slots=True)
class _Settled:
    """Where the settings say it all, botocore has nothing to find: 11 MB that need no loading."""

    keys: Access

    def access(self) -> Access:
        return self.keys

    def is_due(self, seconds: int | None = None) -> bool:
        return False


def _settled(config: AwsConfig) -> _Settled | None:
    key, secret, token = config.access_key_id, config.secret_access_key, config.session_token
    if not (config.endpoint_url and config.region and key and secret):
        return None
    keys = Keys(key, secret.get_secret_value(), token.get_secret_value() if token else None)
    return _Settled(Access(config.endpoint_url, config.region, keys))


def _look_at(fetch: asyncio.Task[Access]) -> None:
    if not fetch.cancelled():
        fetch.exception()  # retrieved, so that asyncio does not print it where nobody waits
