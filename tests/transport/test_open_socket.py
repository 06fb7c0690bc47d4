"""The guarded socket of the providers that do not speak HTTP."""

import asyncio
import socket

import pytest

from sidecar import open_socket
from sidecar.delivery.errors import Misconfigured, Unavailable


async def greet(reader, writer):
    writer.write(b"220 hello\r\n")
    await writer.drain()
    await reader.read()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_connected_socket_comes_back(serve, host):
    port = await serve(greet)
    sock = await open_socket(host, port, allow_private=True)
    with sock:
        assert sock.getpeername() == ("127.0.0.1", port)
        assert not sock.getblocking()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        loop = asyncio.get_running_loop()
        assert await loop.sock_recv(sock, 64) == b"220 hello\r\n"


async def test_the_second_address_is_tried_where_the_first_refuses(serve, getaddrinfo):
    port = await serve(greet)
    getaddrinfo.answers["mail.example"] = ["127.0.0.2", "127.0.0.1"]
    sock = await open_socket("mail.example", port, allow_private=True)
    with sock:
        assert sock.getpeername()[0] == "127.0.0.1"


async def test_a_refused_connection(closed_port):
    with pytest.raises(Unavailable, match="was refused"):
        await open_socket("127.0.0.1", closed_port, allow_private=True)


async def test_a_name_that_does_not_resolve():
    with pytest.raises(Unavailable):
        await open_socket("no-such-host.invalid", 25)


async def test_a_dropped_syn(deaf_port):
    with pytest.raises(Unavailable, match="time for connecting"):
        await open_socket("127.0.0.1", deaf_port, allow_private=True, timeout=0.1)


async def test_a_look_up_without_an_answer(getaddrinfo):
    getaddrinfo.answers["hung.example"] = getaddrinfo.hang
    with pytest.raises(Unavailable, match="time for connecting"):
        await open_socket("hung.example", 25, timeout=0.1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "127.1", "::1"])
async def test_loopback_needs_leave(serve, host):
    with pytest.raises(Misconfigured, match="allow_private"):
        await open_socket(host, await serve(greet))


async def test_link_local_is_never_reached():
    with pytest.raises(Misconfigured, match="link-local"):
        await open_socket("169.254.169.254", 80, allow_private=True)
