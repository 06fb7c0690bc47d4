"""One signed call to AWS: keys that are at hand, one request, one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from sidecar import DeliveryError, HttpTransport, Reply
from sidecar_aws.access import Access
from sidecar_aws.credentials import Credentials
from sidecar_aws.errors import read_error
from sidecar_aws.settings import AwsConfig
from sidecar_aws.signing import Signer

WORTH_A_TRY = 0.5
"""Seconds that must be left for a second request after renewed keys."""
_EXPIRED = {"ExpiredToken", "ExpiredTokenException"}
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_JSON = "application/x-amz-json-1.0"


class Wire:
    """The way to one service. Make it on a running event loop, close it at the end.

    `model` is botocore's name of the service (`sesv2`), `signing_name` the one in the signature's
    scope (`ses`); `now` gives Unix time.
    """

    def __init__(
        self, model: str, signing_name: str, config: AwsConfig, now: Callable[[], float]
    ) -> None:
        self._signer = Signer(signing_name, now)
        self._transport = HttpTransport(allow_private=config.allow_private)
        self._credentials = Credentials(model, config)
        self._credentials.open()

    async def close(self) -> None:
        await self._credentials.close()
        await self._transport.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        content_type: str | None = None,
        body: bytes = b"",
        target: str | None = None,
        timeout: float,
    ) -> Reply:
        """Any complete answer, within `timeout` seconds; raises what `HttpTransport` raises.

        An answer that the keys have expired is AWS's word that nothing was taken. So they are
        renewed, and where that brings other keys and leaves the time, the request goes out once
        more.
        """
        now = asyncio.get_running_loop().time
        end = now() + timeout
        access = self._credentials.at_hand
        if access is None:
            access = await self._credentials.current(timeout=timeout)
        is_first = True
        while True:
            url = access.url + path
            headers = self._signer.sign(access, method, url, content_type, body, target)
            reply = await self._transport.request(
                method, url, headers=headers, body=body, timeout=max(0.0, end - now())
            )
            if not (is_first and _is_expired(reply)):
                return reply
            fresh = await self._renewed(access, max(0.0, end - now()))
            if fresh.keys == access.keys or end - now() < WORTH_A_TRY:
                return reply
            access, is_first = fresh, False

    async def query(self, fields: Mapping[str, str], *, timeout: float) -> Reply:
        """A call in the Query protocol: `Action`, `Version` and parameters as a form."""
        return await self.post_form(urlencode(fields), timeout=timeout)

    async def post_form(self, form: str, *, timeout: float) -> Reply:
        """The same with a form that is encoded already."""
        return await self.call("POST", "/", content_type=_FORM, body=form.encode(), timeout=timeout)

    async def post_json(self, target: str, body: bytes, *, timeout: float) -> Reply:
        """A call in the AWS JSON 1.0 protocol; `target` is the prefix and the operation."""
        return await self.call(
            "POST", "/", content_type=_JSON, body=body, target=target, timeout=timeout
        )

    async def _renewed(self, refused: Access, timeout: float) -> Access:
        try:
            return await self._credentials.renewed(refused, timeout=timeout)
        except DeliveryError:
            return refused  # what AWS said of the old keys is the better answer


def countdown(seconds: float) -> Callable[[], float]:
    """A function that says how many of `seconds` are left, never less than none."""
    now = asyncio.get_running_loop().time
    end = now() + seconds
    return lambda: max(0.0, end - now())


def _is_expired(reply: Reply) -> bool:
    return reply.status in (400, 401, 403) and read_error(reply).code in _EXPIRED
