"""What a plugin's own tests import, the contract that every provider inherits foremost.

    class TestMine(HttpProviderContract):
        provider_class = Mine
        settings = {"api_key": "canary-key"}
        accepted = Answer(200, {}, b'{"id": "m-1"}')

Needs pytest and pytest-asyncio (or pytest-aiohttp) in `auto` mode.
"""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from sidecar.delivery.errors import DeliveryError, Throttled, Unavailable, Unknown
from sidecar.delivery.model import Message, Receipt
from sidecar.delivery.provider import Provider
from sidecar.hookspecs import PROJECT
from sidecar.manual_clock import ManualClock
from sidecar.settings import ProviderConfig

__all__ = [
    "Answer",
    "HttpProviderContract",
    "ManualClock",
    "ProviderContract",
    "Request",
    "ScriptedProvider",
    "Step",
    "StubServer",
    "stub_server",
]


Step = Receipt | BaseException | Callable[[Message], Any]


class ScriptedProvider(Provider[ProviderConfig]):
    """Does what its script says, one step a call: return, raise, or call (and await) a function.

    When the script has run out it accepts. `sent` holds the messages it was given.
    """

    kind = "scripted"
    channels = frozenset({"email", "sms"})
    Config = ProviderConfig

    def __init__(self, name: str = "scripted", script: Sequence[Step] = ()) -> None:
        super().__init__(name, ProviderConfig(kind=self.kind))
        self.script = list(script)
        self.sent: list[Message] = []

    async def send(self, message: Message, *, timeout: float) -> Receipt:
        self.sent.append(message)
        step = self.script.pop(0) if self.script else Receipt(f"{self.name}-{len(self.sent)}")
        if isinstance(step, BaseException):
            raise step
        answer = step(message) if callable(step) else step
        return await answer if asyncio.iscoroutine(answer) else answer


@dataclass(frozen=True)
class Answer:
    """What a `StubServer` says to one request; `fault` breaks the protocol instead.

    Faults: `silence` (never answers), `eof` (closes after the request), `truncate` (closes in
    the middle of the body), `endless` (a body without end).
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    fault: str | None = None


@dataclass(frozen=True)
class Request:
    """A request that a `StubServer` received; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class StubServer:
    """A scripted HTTP/1.1 server on a free loopback port. Says the last answer again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append(Request(method, path, headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.fault == "silence":
            await reader.read()
        if answer.fault in ("silence", "eof"):
            return False
        length = len(answer.body) + (1 if answer.fault == "truncate" else 0)
        framing = "" if answer.fault == "endless" else f"Content-Length: {length}\r\n"
        lines = "".join(f"{k}: {v}\r\n" for k, v in answer.headers.items())
        writer.write(f"HTTP/1.1 {answer.status} X\r\n{lines}{framing}\r\n".encode() + answer.body)
        while answer.fault == "endless":
            writer.write(b"x" * 65536)
            await writer.drain()
        await writer.drain()
        return answer.fault is None


@asynccontextmanager
async def stub_server(*answers: Answer) -> AsyncIterator[StubServer]:
    """A running `StubServer`; its address is in `url`."""
    stub = StubServer(*answers)
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield stub
    finally:
        server.close()


class ProviderContract:
    """What every provider keeps. Set `provider_class` and `settings`, and inherit."""

    provider_class: ClassVar[type[Provider[Any]]]
    settings: ClassVar[Mapping[str, Any]] = {}
    secrets: ClassVar[Sequence[str]] = ()
    """The secret values among `settings`: they must never print."""

    def make(self, **changes: Any) -> Provider[Any]:
        """An instance named `under-test`, with `settings` and these changes."""
        chosen = {"kind": self.provider_class.kind, **self.settings, **changes}
        config = self.provider_class.Config.model_validate(chosen)
        return self.provider_class("under-test", config)

    def message(self, **changes: Any) -> Message:
        """A message for the provider's (alphabetically) first channel."""
        channel = min(self.provider_class.channels)
        chosen = {
            "id": "m-1",
            "channel": channel,
            "to": "ada@example.com" if channel == "email" else "+14155552671",
            "text": "Your code is 739184620517",
            "subject": "Your code" if channel == "email" else None,
            "expires_in": 300.0,
        }
        return Message(**{**chosen, **changes})

    def test_the_entry_point_named_like_the_kind_brings_the_class(self) -> None:
        (found,) = entry_points(group=PROJECT, name=self.provider_class.kind)
        brought = found.load().register_providers()
        assert self.provider_class in brought, "`register_providers` does not return the class"

    def test_send_is_async(self) -> None:
        is_async = inspect.iscoroutinefunction(self.provider_class.send)
        assert is_async, "write `async def send`: what a plain one returns counts as a crash"

    def test_settings_refuse_an_unknown_key(self) -> None:
        with pytest.raises(ValidationError):
            self.make(no_such_setting=1)

    def test_settings_are_frozen(self) -> None:
        provider = self.make()
        with pytest.raises(ValidationError):
            provider.config.timeout = 1.0

    def test_secrets_do_not_print(self) -> None:
        provider = self.make()
        printed = f"{provider!r} {provider.config!r} {provider.config} {vars(provider)!r}"
        told = [number for number, secret in enumerate(self.secrets) if secret in printed]
        assert not told, "a secret of `secrets` prints (by its number): declare it a `Secret`"

    async def test_it_can_be_closed_unused_and_twice(self) -> None:
        provider = self.make()
        async with provider:
            pass
        await provider.__aexit__(None, None, None)


class HttpProviderContract(ProviderContract):
    """What every provider on HTTP keeps besides: the classes of a wire that fails."""

    url_setting: ClassVar[str] = "base_url"
    accepted: ClassVar[Answer]

    async def send_to(
        self, *answers: Answer, message: Message | None = None, timeout: float = 2.0, **changes: Any
    ) -> tuple[Receipt | DeliveryError, StubServer]:
        """One send to a stub that gives `answers`: what came of it, and what the stub received."""
        async with stub_server(*answers) as stub:
            settings = {self.url_setting: stub.url, "allow_private": True, **changes}
            async with self.make(**settings) as provider:
                try:
                    return await provider.send(message or self.message(), timeout=timeout), stub
                except DeliveryError as error:
                    return error, stub

    async def test_an_accepted_message_gives_a_receipt_for_one_request(self) -> None:
        result, stub = await self.send_to(self.accepted)
        assert isinstance(result, Receipt), result
        assert result.message_id, "the receipt has no message id"
        assert len(stub.requests) == 1, "send once: the chain is the retry"

    async def test_the_loop_goes_on_while_the_vendor_is_silent(self) -> None:
        went_on = asyncio.Event()
        async with stub_server(replace(self.accepted, fault="silence")) as stub:
            provider = self.make(**{self.url_setting: stub.url, "allow_private": True})
            async with provider:
                asyncio.get_running_loop().call_later(0.02, went_on.set)
                with suppress(Exception):
                    await provider.send(self.message(), timeout=0.3)
                turned = went_on.is_set()  # at once: the closing may wait, and the loop turn
        assert turned, "`send` blocks the event loop, which every other send needs: await instead"

    async def test_a_refused_connection_is_unavailable(self) -> None:
        async with stub_server(self.accepted) as stub:
            gone = stub.url
        async with self.make(**{self.url_setting: gone, "allow_private": True}) as provider:
            with pytest.raises(Unavailable):
                await provider.send(self.message(), timeout=2.0)

    @pytest.mark.parametrize("fault", ["silence", "eof", "truncate", "endless"])
    async def test_a_lost_answer_is_unknown(self, fault: str) -> None:
        broken = Answer(self.accepted.status, self.accepted.headers, self.accepted.body, fault)
        result, stub = await self.send_to(broken, timeout=0.3 if fault == "silence" else 5.0)
        assert isinstance(result, Unknown), result
        assert len(stub.requests) == 1

    @pytest.mark.parametrize(
        "body",
        [b"", b"null", b"[]", b"{}", b"<html>ok</html>", b'"text"', gzip.compress(b"0" * 2**20)],
    )
    async def test_a_success_without_an_id_is_unknown(self, body: bytes) -> None:
        result, _ = await self.send_to(Answer(self.accepted.status, {}, body))
        assert isinstance(result, Unknown), result

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    async def test_a_redirect_is_not_followed(self, status: int) -> None:
        async with stub_server(self.accepted) as elsewhere:
            result, _ = await self.send_to(Answer(status, {"Location": elsewhere.url}))
            assert isinstance(result, Unavailable), result
            assert elsewhere.requests == []

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    async def test_a_failing_vendor_is_unavailable(self, status: int) -> None:
        result, stub = await self.send_to(Answer(status, {}, b"<html>oops</html>"))
        assert isinstance(result, Unavailable), result
        assert len(stub.requests) == 1

    async def test_too_many_requests_is_throttled(self) -> None:
        result, _ = await self.send_to(Answer(429, {"Retry-After": "7"}, b"slow down"))
        assert isinstance(result, Throttled), result

    async def test_a_loopback_address_needs_leave(self) -> None:
        result, stub = await self.send_to(self.accepted, allow_private=False)
        assert isinstance(result, DeliveryError)
        assert stub.requests == []

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500])
    async def test_no_error_carries_the_recipient_or_the_text(self, status: int) -> None:
        message = self.message()
        words = f"vendor's words for {message.to} {message.text}"
        for echo in (json.dumps({"code": 1, "message": words}), words):
            result, _ = await self.send_to(Answer(status, {}, echo.encode()), message=message)
            assert isinstance(result, DeliveryError), result
            printed = f"{result!r} {result} {result.reason} {result.code}"
            assert message.to not in printed, "the error repeats the recipient"
            assert "739184620517" not in printed, "the error repeats the code"
            assert "vendor's words" not in printed, "say it in your own words, not the vendor's"
