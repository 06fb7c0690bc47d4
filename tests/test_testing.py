"""The tools of a plugin's tests: they do what they say, and the contract can fail."""

import asyncio
import gzip
import select

import pytest

from sidecar.delivery.errors import Rejected, Unavailable, Unknown
from sidecar.delivery.model import Message, Receipt
from sidecar.settings import ProviderConfig, Secret
from sidecar.testing import (
    Answer,
    HttpProviderContract,
    ManualClock,
    ProviderContract,
    ScriptedProvider,
    stub_server,
)
from sidecar.transport import HttpTransport, error_for_status

MESSAGE = Message("m-1", "sms", "+14155552671", "Your code is 739184620517")


# The clock


def test_a_manual_clock_moves_only_when_told_to():
    clock = ManualClock(50.0)
    assert (clock.monotonic(), clock.time()) == (50.0, 50.0)
    clock.advance(2.5)
    assert (clock.monotonic(), clock.time()) == (52.5, 52.5)


async def test_a_wait_ends_when_its_future_is_done():
    clock, future = ManualClock(), asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(clock.wait(future, 10.0))
    await asyncio.sleep(0)
    assert clock.waiting == 1
    future.set_result(None)
    assert await waiting
    assert clock.waiting == 0


async def test_a_wait_ends_when_its_time_has_come_and_leaves_the_future_alone():
    clock, future = ManualClock(), asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(clock.wait(future, 10.0))
    await asyncio.sleep(0)
    clock.advance(9.5)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.5)
    assert await waiting is False
    assert not future.cancelled()
    assert clock.waiting == 0


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_a_wait_of_no_time_ends_at_once(seconds):
    clock, future = ManualClock(), asyncio.get_running_loop().create_future()
    assert await clock.wait(future, seconds) is False


async def test_a_cancelled_wait_is_forgotten():
    clock, future = ManualClock(), asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(clock.wait(future, 10.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert clock.waiting == 0
    assert not future.cancelled()


# The scripted provider


async def test_a_script_is_played_step_by_step_then_it_accepts():
    async def later(message):
        return Receipt(f"later-{message.id}")

    error = Unavailable("x")
    provider = ScriptedProvider(
        "s", [Receipt("first"), error, lambda message: Receipt(message.id), later]
    )
    assert await provider.send(MESSAGE, timeout=1.0) == Receipt("first")
    with pytest.raises(Unavailable) as caught:
        await provider.send(MESSAGE, timeout=1.0)
    assert caught.value is error
    assert await provider.send(MESSAGE, timeout=1.0) == Receipt("m-1")
    assert await provider.send(MESSAGE, timeout=1.0) == Receipt("later-m-1")
    assert await provider.send(MESSAGE, timeout=1.0) == Receipt("s-5")
    assert provider.sent == [MESSAGE] * 5


# The stub server


async def ask(url):
    transport = HttpTransport(allow_private=True)
    try:
        return await transport.request(
            "POST", f"{url}/path", headers={"X-Mine": "1"}, body=b"text", timeout=2.0
        )
    finally:
        await transport.close()


async def test_a_stub_notes_requests_and_says_its_last_answer_again():
    async with stub_server(Answer(201, {"X-Id": "a"}, b"one"), Answer(202, {}, b"two")) as stub:
        replies = [await ask(stub.url) for _ in range(3)]
    assert [(reply.status, reply.body) for reply in replies] == [
        (201, b"one"),
        (202, b"two"),
        (202, b"two"),
    ]
    assert replies[0].headers["X-Id"] == "a"
    first = stub.requests[0]
    assert (first.method, first.path, first.body) == ("POST", "/path", b"text")
    assert first.headers["x-mine"] == "1"
    assert "" not in first.headers


async def test_a_stub_is_gone_at_the_end():
    async with stub_server(Answer()) as stub:
        pass
    with pytest.raises(Unavailable):
        await ask(stub.url)


# The contract: a provider that keeps it passes, and one that does not is found out


class Config(ProviderConfig):
    base_url: str = "https://api.example"
    api_key: Secret = Secret("canary-key")


class Careful(ScriptedProvider):
    kind = "console"  # an installed kind: the contract looks for its entry point
    channels = frozenset({"sms"})
    Config = Config
    trusts = False  # what a subclass does wrong
    leaks = False

    def __init__(self, name, config):
        super().__init__(name)
        self.config = config
        self.transport = None

    async def __aenter__(self):
        self.transport = HttpTransport(allow_private=self.config.allow_private)
        return self

    async def __aexit__(self, *exc):
        if self.transport is not None:
            await self.transport.close()

    async def send(self, message, *, timeout):
        reply = await self.transport.request(
            "POST", self.config.base_url, headers={}, body=b"{}", timeout=timeout
        )
        message_id = reply.json().get("id") or (self.trusts and "made-up")
        if reply.status == 200 and message_id:
            return Receipt(message_id)
        error = error_for_status(reply)
        raise type(error)(f"{error.reason} {message.to if self.leaks else ''}", code=error.code)


class Trusting(Careful):
    trusts = True


class Leaking(Careful):
    leaks = True


class Chatty(Config):
    api_key: str = "canary-key"


class Printing(Careful):
    Config = Chatty


def contract(cls):
    class Kept(HttpProviderContract):
        provider_class = cls
        settings = {"api_key": "canary-key"}  # noqa: RUF012 - as a plugin's tests write it
        secrets = ("canary-key",)
        accepted = Answer(200, {}, b'{"id": "m-1"}')

    return Kept()


async def test_a_careful_provider_keeps_the_contract_of_the_wire():
    kept = contract(Careful)
    kept.test_settings_refuse_an_unknown_key()
    kept.test_settings_are_frozen()
    kept.test_secrets_do_not_print()
    await kept.test_it_can_be_closed_unused_and_twice()
    await kept.test_an_accepted_message_gives_a_receipt_for_one_request()
    await kept.test_a_refused_connection_is_unavailable()
    await kept.test_a_lost_answer_is_unknown("eof")
    await kept.test_a_success_without_an_id_is_unknown(b"null")
    await kept.test_a_success_without_an_id_is_unknown(gzip.compress(b"0" * 2**20))
    await kept.test_a_redirect_is_not_followed(307)
    await kept.test_a_failing_vendor_is_unavailable(503)
    await kept.test_too_many_requests_is_throttled()
    await kept.test_a_loopback_address_needs_leave()
    await kept.test_no_error_carries_the_recipient_or_the_text(400)
    await kept.test_the_loop_goes_on_while_the_vendor_is_silent()
    kept.test_send_is_async()


async def test_a_provider_that_makes_an_id_up_is_found_out():
    with pytest.raises(AssertionError):
        await contract(Trusting).test_a_success_without_an_id_is_unknown(b"null")


async def test_a_provider_that_leaks_the_recipient_is_found_out():
    with pytest.raises(AssertionError):
        await contract(Leaking).test_no_error_carries_the_recipient_or_the_text(400)


@pytest.mark.parametrize("status", [400, 404])
async def test_a_provider_that_passes_the_vendor_s_words_on_is_found_out(status):
    class Quoting(Careful):
        async def send(self, message, *, timeout):
            url = self.config.base_url
            asked = self.transport.request("POST", url, headers={}, body=b"", timeout=timeout)
            reply = await asked
            raise Rejected(reply.body.decode().replace(message.to, "").replace(message.text, ""))

    with pytest.raises(AssertionError, match="your own words"):
        await contract(Quoting).test_no_error_carries_the_recipient_or_the_text(status)


async def test_a_provider_that_blocks_the_loop_is_found_out():
    class Blocking(Careful):
        async def send(self, message, *, timeout):
            select.select([], [], [], 0.05)  # as a client that is not async waits for its answer
            raise Unknown("no answer")

    with pytest.raises(AssertionError, match="blocks the event loop"):
        await contract(Blocking).test_the_loop_goes_on_while_the_vendor_is_silent()


def test_a_send_that_is_not_async_is_found_out():
    class Plain(Careful):
        def send(self, message, *, timeout):
            return Receipt("m-1")

    with pytest.raises(AssertionError, match="write `async def send`"):
        contract(Plain).test_send_is_async()


def test_a_provider_that_prints_its_secret_is_found_out():
    with pytest.raises(AssertionError):
        contract(Printing).test_secrets_do_not_print()


def test_a_class_that_its_entry_point_does_not_bring_is_found_out():
    with pytest.raises(AssertionError):
        contract(Careful).test_the_entry_point_named_like_the_kind_brings_the_class()


async def test_a_provider_that_swallows_a_lost_answer_is_found_out():
    class Optimist(Careful):
        async def send(self, message, *, timeout):
            try:
                return await super().send(message, timeout=timeout)
            except Unknown:
                return Receipt("surely")

    with pytest.raises(AssertionError):
        await contract(Optimist).test_a_lost_answer_is_unknown("eof")


def test_the_message_of_the_contract_fits_the_channel():
    assert contract(Careful).message().to == "+14155552671"
    assert contract(Careful).message(text="other").text == "other"

    class Mail(ProviderContract):
        provider_class = type("M", (Careful,), {"channels": frozenset({"email"})})

    assert Mail().message().to == "ada@example.com"
