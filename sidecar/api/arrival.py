"""How long ago the bytes of a request came in, asked of the kernel."""

from __future__ import annotations

import socket
import struct
import sys

from sidecar.api.asked import Asked

_LAST_DATA_RECEIVED = 52
"""Where Linux's `struct tcp_info` has `tcpi_last_data_recv` (linux/tcp.h): u32, milliseconds."""


def age_of(request: Asked) -> float | None:
    """Seconds since the last data came in on the request's connection; None where nothing tells.

    The kernel counts on while the process is stopped. Unix sockets keep no such time.
    """
    transport = request.transport
    connection = None if transport is None else transport.get_extra_info("socket")
    if sys.platform != "linux" or connection is None or connection.family == socket.AF_UNIX:
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED + 4)
        (milliseconds,) = struct.unpack_from("=I", info, _LAST_DATA_RECEIVED)
    except (OSError, struct.error):
        return None
    return float(milliseconds) / 1000
