"""What comes of a server that misbehaves at one step, seen from outside and by the server."""

import asyncio
import ipaddress
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar import (
    DeliveryError,
    LocalFault,
    Misconfigured,
    Receipt,
    Refused,
    Rejected,
    Throttled,
    Unavailable,
    Unknown,
)

LOGIN = {"username": "user", "password": "canary-password"}
PIPELINING = "250-stand-in\r\n250-SIZE 1000000\r\n250-PIPELINING\r\n250 AUTH LOGIN PLAIN"
OFFERS = pytest.mark.parametrize("offers", [{}, {"EHLO": PIPELINING}], ids=["stepwise", "at once"])
STEPS = ["GREETING", "EHLO", "AUTH", "MAIL", "RCPT"]


async def outcome(smtp: Any, message: Any, timeout: float = 5.0) -> Receipt | DeliveryError:
    try:
        receipt: Receipt = await smtp.send(message, timeout=timeout)
    except DeliveryError as error:
        return error
    return receipt


REPLIES: list[tuple[str, str, type[object]]] = [
    ("GREETING", "421 4.3.2 later", Unavailable),
    ("GREETING", "554 5.3.2 no", Unavailable),
    ("GREETING", "hello", Unavailable),
    ("EHLO", "421 4.3.2 later", Unavailable),
    ("EHLO", "550 5.7.1 no", Unavailable),
    ("EHLO", "250 nothing offered", Misconfigured),
    ("EHLO", "250-x\r\n250 AUTH GSSAPI", Misconfigured),
    ("AUTH", "535 5.7.8 wrong", Misconfigured),
    ("AUTH", "454 4.7.0 later", Unavailable),
    ("MAIL", "552 5.3.4 too big", Rejected),
    ("MAIL", "451 4.3.0 later", Unavailable),
    ("MAIL", "550 5.1.0 you?", Misconfigured),
    ("RCPT", "550 5.1.1 ada@example.org 739184620517 unknown", Rejected),
    ("RCPT", "450 4.2.0 greylisted", Unavailable),
    ("RCPT", "421 4.7.0 rate", Throttled),
    ("RCPT", "250 2.1.5 ok", Receipt),
    ("RCPT", "251 2.1.5 will forward", Receipt),
    ("RCPT", "250-2.1.5 ok\r\n550 5.1.1 no", Unavailable),
    ("DATA", "451 4.3.0 later", Unavailable),
    ("DATA", "554 5.5.1 no valid recipients", Rejected),
    ("DOT", "451 4.3.0 later", Unavailable),
    ("DOT", "554 5.6.0 content", Rejected),
    ("DOT", "554 5.7.1 spam", Refused),
    ("DOT", "421 4.3.0 closing", Unavailable),
    ("DOT", "garbage", Unknown),
    ("DOT", "550-no\r\n250 2.0.0 taken", Unknown),
    ("DOT", "250-2.0.0 taken\r\n250 2.0.0 as 7", Receipt),
    ("DOT", "250", Receipt),
]


@OFFERS
@pytest.mark.parametrize(("step", "reply", "expected"), REPLIES)
async def test_a_reply_at(
    offers: dict[str, str],
    step: str,
    reply: str,
    expected: type,
    stand_in: Any,
    connect: Any,
    message: Any,
) -> None:
    server = await stand_in(**offers | {step: reply})
    result = await outcome(await connect(server, **LOGIN), message())
    assert type(result) is expected, result
    assert server.commands.count("AUTH") <= 1
    assert server.connections == 1
    printed = f"{result!r} {getattr(result, 'reason', '')} {getattr(result, 'code', '')}"
    assert not [word for word in ("ada@", "739184620517", "canary") if word in printed]


@OFFERS
@pytest.mark.parametrize("step", STEPS)
async def test_a_connection_lost_before_the_data_took_nothing(
    offers: dict[str, str], step: str, stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(**offers | {step: "drop"})
    result = await outcome(await connect(server, **LOGIN), message())
    assert type(result) is Unavailable, result
    assert server.connections == 1


@OFFERS
@pytest.mark.parametrize("step", ["DATA", "DOT"])
async def test_a_connection_lost_in_the_data_may_have_been_enough(
    offers: dict[str, str], step: str, stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(**offers | {step: "drop"})
    result = await outcome(await connect(server), message())
    assert type(result) is Unknown, result
    assert server.connections == 1


@OFFERS
@pytest.mark.parametrize(
    ("step", "expected"), [*((step, Unavailable) for step in STEPS), ("DOT", Unknown)]
)
async def test_silence_ends_with_the_time(
    offers: dict[str, str], step: str, expected: type, stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(**offers | {step: "silence"})
    result = await outcome(await connect(server, **LOGIN), message(), timeout=0.7)
    assert type(result) is expected, result
    assert "in time" in str(result)


async def test_without_starttls_nothing_is_said_in_clear(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in()
    result = await outcome(await connect(server, tls="starttls", **LOGIN), message())
    assert type(result) is Misconfigured
    assert server.commands == ["EHLO"]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("454 4.7.0 later", Unavailable), ("502 5.5.1 no", Misconfigured), ("drop", Unavailable)],
)
async def test_a_refused_starttls_says_nothing_in_clear(
    reply: str, expected: type, stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(EHLO="250-x\r\n250 STARTTLS", STARTTLS=reply)
    result = await outcome(await connect(server, tls="starttls", **LOGIN), message())
    assert type(result) is expected, result
    assert server.commands == ["EHLO", "STARTTLS"]


async def test_a_failed_handshake_says_nothing_in_clear(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(EHLO="250-x\r\n250 STARTTLS")
    result = await outcome(await connect(server, tls="starttls", **LOGIN), message())
    assert type(result) is Unavailable, result
    assert "MAIL" not in server.commands
    assert "AUTH" not in server.commands


async def test_tls_where_the_port_speaks_plain_is_told(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in()
    result = await outcome(await connect(server, tls="implicit"), message())
    assert type(result) is Misconfigured, result
    assert "`tls: starttls`" in result.reason


async def test_plain_where_the_port_speaks_tls_is_told(
    real_server: Any, connect: Any, message: Any
) -> None:
    server = await real_server(implicit=True)
    result = await outcome(await connect(server, tls="starttls"), message(), timeout=0.7)
    assert type(result) is Unavailable, result
    assert "another `tls`" in result.reason


async def test_a_handshake_that_hangs_does_not_use_up_the_attempt(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(GREETING="silence")
    began = asyncio.get_running_loop().time()
    result = await outcome(await connect(server, tls="implicit"), message(), timeout=60.0)
    assert type(result) is Unavailable, result
    assert asyncio.get_running_loop().time() - began < 20.0


async def test_a_refused_connection_is_unavailable(
    stand_in: Any, connect: Any, message: Any, unused_tcp_port: int
) -> None:
    server = await stand_in()
    server.port = unused_tcp_port
    result = await outcome(await connect(server), message())
    assert type(result) is Unavailable, result
    assert server.connections == 0


async def test_the_answer_does_not_wait_for_quit(stand_in: Any, connect: Any, message: Any) -> None:
    server = await stand_in(QUIT="silence")
    smtp = await connect(server)
    assert isinstance(await outcome(smtp, message()), Receipt)
    assert "QUIT" not in server.commands
    await smtp.__aexit__(None, None, None)
    assert server.commands[-1] == "QUIT"


async def test_a_cancelled_send_leaves_no_connection_behind(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(DOT=["silence", "250 ok"])
    smtp = await connect(server)
    sending = asyncio.create_task(smtp.send(message(), timeout=20.0))
    await asyncio.wait_for(server.took_one.wait(), 20.0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert isinstance(await outcome(smtp, message(id="m-2")), Receipt)
    assert server.connections == 2
    assert "RSET" not in server.commands


async def test_waiting_for_a_connection_of_ours_is_no_fault_of_the_server(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(DOT=["silence", "250 ok"])
    smtp = await connect(server, pool=1)
    sending = asyncio.create_task(smtp.send(message(), timeout=20.0))
    await asyncio.wait_for(server.took_one.wait(), 20.0)
    result = await outcome(smtp, message(id="m-2"), timeout=0.2)
    assert type(result) is LocalFault, result
    sending.cancel()
    await asyncio.wait({sending})
    assert isinstance(await outcome(smtp, message(id="m-2")), Receipt)


@pytest.mark.parametrize("to", ["ada@example.org>\r\nRCPT TO:<eve@example.org", "a@b, c@d", "@x"])
async def test_a_bad_address_is_rejected_before_any_connection(
    to: str, stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in()
    assert type(await outcome(await connect(server), message(to=to))) is Rejected
    assert server.connections == 0


async def test_cram_md5_where_nothing_else_is_offered(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in(EHLO="250-x\r\n250 AUTH CRAM-MD5", AUTH="535 5.7.8 no")
    assert type(await outcome(await connect(server, **LOGIN), message())) is Misconfigured
    assert server.lines[-1] == b"AUTH CRAM-MD5\r\n"


async def test_the_envelope_names_sender_recipient_and_size(
    stand_in: Any, connect: Any, message: Any
) -> None:
    server = await stand_in()
    await outcome(await connect(server), message())
    ehlo, mail, rcpt, _ = server.lines
    assert ehlo == b"EHLO [127.0.0.1]\r\n"
    size = len(server.mails[0]) - len(b".\r\n")
    assert mail == b"MAIL FROM:<otp@example.com> SIZE=%d\r\n" % size
    assert rcpt == b"RCPT TO:<ada@example.org>\r\n"


async def test_a_name_that_leads_off_this_machine_gets_nothing_in_clear(
    listen: Any, connect: Any, message: Any
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # finds the way out; sends nothing
        except OSError:
            pytest.skip("this machine has loopback only")
        own = probe.getsockname()[0]
    received = bytearray()

    class Listener(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            received.extend(data)

    port = await listen(Listener, host=own)
    # The resolver reads a decimal number as an address; the settings take it for a name.
    name = str(int(ipaddress.IPv4Address(own)))
    smtp = await connect(SimpleNamespace(port=port), host=name)
    result = await outcome(smtp, message())
    assert type(result) is Misconfigured, result
    assert "loopback only" in result.reason
    assert not received
