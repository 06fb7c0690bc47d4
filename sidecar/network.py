"""The network as every provider reaches it: TLS, guarded addresses, and whose fault a failure is.

Nothing here speaks HTTP; `sidecar.transport` does.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import zip_longest
from typing import Any

from sidecar.delivery.errors import DeliveryError, LocalFault, Misconfigured, Unavailable

CONNECT_TIMEOUT = 1.5
"""Seconds for DNS, TCP and TLS together."""
HEAD_START = 0.25
"""Seconds after which the next address of a name is tried beside the one before (RFC 8305)."""
_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# OpenSSL's X509_V_ERR_ numbers, from its x509_vfy.h.
_TLS_CAUSES = {
    9: "not valid yet",
    10: "expired",
    18: "self-signed",
    19: "self-signed in the chain",
    20: "unknown issuer",
    62: "wrong host name",
    64: "wrong address",
}
Found = list[tuple[int, str]]
"""Addresses of a name: (family, address) pairs in the system's order."""


@cache
def tls_context() -> ssl.SSLContext:
    """The process's one verifying context: TLS 1.2 or later, the system's CAs or `SSL_CERT_FILE`.

    Building one costs about 25 ms with a real bundle, so it is shared.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def admit_address(address: str, *, allow_private: bool, plain: bool = False) -> None:
    """Raise `Misconfigured` for an IP address that no provider may live at.

    Judges the address a name resolved to, IPv4 inside IPv6 included. `plain` says that no TLS will
    be spoken: then it must be a loopback or private one.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise Misconfigured("the provider's address is link-local, multicast or unspecified")
    if not ip.is_global and not allow_private:
        raise Misconfigured(
            "the provider's address is loopback or private; `allow_private: true` admits it"
        )
    if ip.is_global and plain:
        raise Misconfigured("a provider at a public address must be reached over TLS")


def literal_address(host: str) -> str | None:
    """The IP address that `host` spells, in every spelling a socket takes; None for a name.

    Raises `Misconfigured` for what is neither: a socket might read it as an address nobody judged.
    """
    with suppress(ValueError):
        return str(ipaddress.ip_address(host))
    with suppress(OSError, ValueError):
        return socket.inet_ntoa(socket.inet_aton(host))  # 0x7f000001, 127.1, 2130706433
    if ":" in host or host.replace(".", "").isdigit():
        raise Misconfigured("the provider's host is neither a name nor an address")
    return None


async def resolve(host: str, *, allow_private: bool, plain: bool = False) -> Found:
    """The admitted addresses of `host`.

    Raises `Unavailable` where the name does not resolve, `Misconfigured` where one of its addresses
    may not be used (see `admit_address`), and OSError where there is no descriptor to ask with.
    """
    try:
        found = await asyncio.shield(_looked_up(host))
    except UnicodeError as error:
        raise Misconfigured("the provider's host is not a host name") from error
    except socket.gaierror as error:
        raise Unavailable("the provider's host name does not resolve") from error
    for _, address in found:
        admit_address(address, allow_private=allow_private, plain=plain)
    return found


async def open_socket(
    host: str, port: int, *, allow_private: bool = False, timeout: float = CONNECT_TIMEOUT
) -> socket.socket:
    """A connected, non-blocking TCP socket, for providers that do not speak HTTP.

    `timeout` is in seconds and covers DNS and every address tried. Raises `Unavailable`,
    `Misconfigured` or `LocalFault`; nothing has been sent in any of these cases.
    """
    try:
        async with asyncio.timeout(timeout):
            return await connect_any(await resolve(host, allow_private=allow_private), port)
    except OSError as error:  # TimeoutError is one
        raise connect_error(error) from error


async def connect_any(found: Found, port: int) -> socket.socket:
    """A non-blocking TCP socket to the first of these addresses that connects (RFC 8305).

    IPv6 and IPv4 take turns; the next one is begun where one fails, or takes `HEAD_START`. Raises
    what the last one said, an OSError. The time for it all is the caller's to bound.
    """
    if len(found) == 1:
        return await _connected(*found[0], port)
    refused: OSError = ConnectionError("no address")
    ahead, tries = _in_turn(found), set[asyncio.Task[socket.socket]]()
    try:
        while ahead or tries:
            if ahead:
                tries.add(asyncio.create_task(_connected(*ahead.pop(0), port)))
            pause = HEAD_START if ahead else None
            done, _ = await asyncio.wait(tries, timeout=pause, return_when="FIRST_COMPLETED")
            for task in done:
                tries.discard(task)
                try:
                    return task.result()
                except OSError as error:
                    refused = error
    finally:
        for task in tries:
            task.cancel()
            task.add_done_callback(_drop)
    raise refused


def connect_error(cause: Exception) -> DeliveryError:
    """Whose fault it is that no connection came to be; nothing has been sent."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = _TLS_CAUSES.get(cause.verify_code, "invalid")
        return Unavailable(f"the provider's certificate was not accepted: {why}")
    if isinstance(cause, ssl.SSLError):
        return Unavailable("the TLS handshake failed")
    if isinstance(cause, OSError) and cause.errno in _OURS:
        return LocalFault(f"no connection could be opened: {errno.errorcode[cause.errno]}")
    if isinstance(cause, TimeoutError):
        return Unavailable("no connection within the time for connecting")
    if isinstance(cause, ConnectionRefusedError):
        return Unavailable("the connection was refused")
    return Unavailable("no connection could be made")


def _in_turn(found: Found) -> Found:
    first = [pair for pair in found if pair[0] == found[0][0]]
    other = [pair for pair in found if pair[0] != found[0][0]]
    turns = zip_longest(first, other)
    return [pair for turn in turns for pair in turn if pair is not None]


def _drop(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connected(family: int, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


_lookups: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Future[Found]] = {}


def _looked_up(host: str) -> asyncio.Future[Found]:
    """One look-up per name at a time, on a thread of its own.

    `getaddrinfo` can hang for half a minute and cannot be cancelled. In a shared pool the hung ones
    would starve every other name, and a pool's threads would hold up the end of the process.
    """
    loop = asyncio.get_running_loop()
    key = loop, host
    if key not in _lookups:
        answer: asyncio.Future[Found] = loop.create_future()
        answer.add_done_callback(lambda _: _lookups.pop(key, None))
        threading.Thread(target=_ask_system, args=(loop, answer, host), daemon=True).start()
        _lookups[key] = answer
    return _lookups[key]


def _ask_system(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Found], host: str) -> None:
    tell: Callable[[Any], object]
    result: Any
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        tell, result = answer.set_result, [(int(row[0]), str(row[4][0])) for row in rows]
    except (OSError, UnicodeError) as error:
        tell, result = answer.set_exception, error
    with suppress(RuntimeError):  # the loop may be closed by now
        loop.call_soon_threadsafe(tell, result)
