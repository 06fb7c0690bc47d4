"""Where a provider may live: judged on the address itself, in every spelling."""

import asyncio
import socket

import pytest

from sidecar.delivery.errors import DeliveryError, Misconfigured, Unavailable
from sidecar.network import admit_address, literal_address, resolve
from sidecar.testing import Answer, stub_server
from sidecar.transport import HttpTransport

PUBLIC = ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "::ffff:10.0.0.1",
    "100.64.0.1",
    "fd00::1",
    "198.18.0.1",
    "192.0.2.1",
    "240.0.0.1",
    "255.255.255.255",
]
NEVER = [
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "fe80::1",
    "fe80::1%eth0",
    "224.0.0.1",
    "ff02::1",
    "::ffff:224.0.0.1",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
]


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("allow_private", [False, True])
def test_public_addresses_are_admitted(address, allow_private):
    admit_address(address, allow_private=allow_private)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_not_admitted_without_tls(address):
    with pytest.raises(Misconfigured, match="TLS"):
        admit_address(address, allow_private=True, plain=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_leave(address):
    admit_address(address, allow_private=True)
    admit_address(address, allow_private=True, plain=True)
    with pytest.raises(Misconfigured, match="allow_private"):
        admit_address(address, allow_private=False)


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("allow_private", [False, True])
def test_some_addresses_are_never_admitted(address, allow_private):
    with pytest.raises(Misconfigured, match="link-local"):
        admit_address(address, allow_private=allow_private)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("localhost", None),
        ("provider.example", None),
        ("0x7f000001.example", None),
    ],
)
def test_an_address_is_known_in_every_spelling_that_a_socket_takes(host, address):
    assert literal_address(host) == address


@pytest.mark.parametrize("host", ["127.0.0.1.", "1.2.3.4.5", "999.1.1.1", "a:b", "4294967296"])
def test_what_is_neither_an_address_nor_a_name_is_refused(host):
    with pytest.raises(Misconfigured):
        literal_address(host)


LOOPBACK_SPELLINGS = [
    "127.0.0.1",
    "localhost",
    "0x7f000001",
    "0x7f.1",
    "2130706433",
    "127.1",
    "0177.0.0.1",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
]


async def attempts_on(transport, host, scheme="https"):
    """What a request to a host of ours raises, and how many connections came."""
    connections = []

    async def accept(reader, writer):
        connections.append(writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await transport.request("POST", f"{scheme}://{host}:{port}/", headers={}, timeout=5.0)
    except DeliveryError as error:
        return error, len(connections)
    finally:
        server.close()
        await transport.close()


@pytest.mark.parametrize("host", LOOPBACK_SPELLINGS)
async def test_loopback_is_reached_in_no_spelling_without_leave(host):
    error, connections = await attempts_on(HttpTransport(), host)
    assert isinstance(error, Misconfigured), error
    assert "allow_private" in error.reason
    assert connections == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "[::]", "[::ffff:0.0.0.0]", "169.254.169.254"])
async def test_no_leave_opens_what_is_never_admitted(host):
    error, connections = await attempts_on(HttpTransport(allow_private=True), host)
    assert isinstance(error, Misconfigured), error
    assert connections == 0


async def test_plain_http_needs_leave():
    error, connections = await attempts_on(HttpTransport(), "127.0.0.1", "http")
    assert isinstance(error, Misconfigured)
    assert "allow_private" in error.reason
    assert connections == 0


async def test_plain_http_to_a_name_needs_leave_and_says_how():
    transport = HttpTransport()
    with pytest.raises(Misconfigured, match=r"https://.*allow_private"):
        await transport.request("GET", "http://localhost:1/", headers={}, timeout=1.0)
    await transport.close()


# Names: what counts is what they resolve to


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["169.254.169.254"], ["::1", "8.8.8.8"]]
)
async def test_one_inadmissible_address_of_a_name_is_enough(getaddrinfo, addresses):
    getaddrinfo.answers["provider.example"] = addresses
    transport = HttpTransport()
    with pytest.raises(Misconfigured):
        await transport.request("POST", "https://provider.example/", headers={}, timeout=5.0)
    await transport.close()
    assert getaddrinfo.asked == ["provider.example"]


async def test_a_public_name_over_plain_http_is_refused_even_with_leave(getaddrinfo):
    getaddrinfo.answers["provider.example"] = ["8.8.8.8"]
    transport = HttpTransport(allow_private=True)
    with pytest.raises(Misconfigured, match="TLS"):
        await transport.request("POST", "http://provider.example/", headers={}, timeout=5.0)
    await transport.close()


async def test_a_public_address_over_plain_http_is_refused_even_with_leave():
    transport = HttpTransport(allow_private=True)
    with pytest.raises(Misconfigured, match="TLS"):
        await transport.request("POST", "http://8.8.8.8/", headers={}, timeout=5.0)
    await transport.close()


async def test_a_private_name_over_plain_http_is_reached_with_leave(getaddrinfo):
    getaddrinfo.answers["moto.example"] = ["127.0.0.1"]
    transport = HttpTransport(allow_private=True)
    async with stub_server(Answer(200, {}, b"{}")) as stub:
        port = stub.url.rsplit(":", 1)[1]
        url = f"http://moto.example:{port}/"
        assert (await transport.request("POST", url, headers={}, timeout=5.0)).status == 200
    await transport.close()


async def test_a_name_resolves_to_its_admitted_addresses():
    pairs = await resolve("localhost", allow_private=True)
    assert (int(socket.AF_INET), "127.0.0.1") in pairs


async def test_a_name_that_no_resolver_knows():
    with pytest.raises(Unavailable, match="does not resolve"):
        await resolve("no-such-host.invalid", allow_private=True)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
async def test_what_cannot_be_a_name_is_misconfigured(host):
    with pytest.raises(Misconfigured, match="not a host name"):
        await resolve(host, allow_private=True)


async def test_fifty_hung_look_ups_take_one_thread_and_starve_no_other_name(getaddrinfo, caplog):
    getaddrinfo.answers["hung.example"] = getaddrinfo.hang
    hung = [asyncio.create_task(resolve("hung.example", allow_private=True)) for _ in range(50)]
    assert await resolve("localhost", allow_private=True)
    assert getaddrinfo.asked.count("hung.example") == 1
    for task in hung[1:]:
        task.cancel()
    getaddrinfo.let_go()
    results = await asyncio.gather(*hung, return_exceptions=True)
    assert isinstance(results[0], Unavailable)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[1:])
    assert await resolve("localhost", allow_private=True)
    assert caplog.records == []


async def test_a_look_up_is_made_anew_once_the_last_one_ended(getaddrinfo):
    for _ in range(3):
        await resolve("localhost", allow_private=True)
    assert getaddrinfo.asked == ["localhost"] * 3
