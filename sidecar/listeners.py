"""Where the sidecar listens: a loopback address, or a Unix socket that only its owner can open."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from pathlib import Path

from sidecar.config import TcpAddress, UnixAddress


class ListenError(Exception):
    """The listener cannot be opened; the text is one line for a person."""


def open_listener(where: TcpAddress | UnixAddress, *, shared: bool = False) -> socket.socket:
    """A bound socket. Raises `ListenError`.

    `shared`: other users can reach a Unix socket; who of them may come in is asked of the kernel.
    """
    if shared and not hasattr(socket, "SO_PEERCRED"):
        raise ListenError(
            f"cannot listen on {where} for server.peer_uids: this system does not tell who connects"
        )
    return (
        _open_unix(where.path, shared=shared)
        if isinstance(where, UnixAddress)
        else _open_tcp(where)
    )


def peer_uid(connected: socket.socket) -> int | None:
    """Whose process is at the other end of a Unix socket, by the kernel's word; None for TCP."""
    if connected.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return None
    ucred = struct.Struct("3i")  # pid, uid, gid: unix(7)
    told = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, ucred.size)
    uid: int = ucred.unpack(told)[1]
    return uid


def address_of(listener: socket.socket) -> str:
    """How a person would write the listener's address."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _open_tcp(where: TcpAddress) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise ListenError(f"cannot listen on {where}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ListenError(_why(str(where), error)) from error
    return listener


def _open_unix(path: Path, *, shared: bool) -> socket.socket:
    _make_way(path, shared=shared)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(
        0o111 if shared else 0o177
    )  # the mode is right from the first moment: no window for another user
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ListenError(_why(f"unix:{path}", error)) from error
    finally:
        os.umask(before)
    return listener


def _make_way(path: Path, *, shared: bool) -> None:
    """Make the directory, and remove a socket that nobody listens on; never anything else."""
    try:
        path.parent.mkdir(mode=0o711 if shared else 0o700, parents=True, exist_ok=True)
        if shared and not path.parent.stat().st_mode & stat.S_IXOTH:
            raise ListenError(
                f"cannot listen on unix:{path} for server.peer_uids: other users cannot pass "
                f"{path.parent}; chmod it to 0711"
            )
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ListenError(f"cannot listen on unix:{path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"cannot listen on unix:{path}: there is something that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise ListenError(f"cannot listen on unix:{path}: {error.strerror}") from error
    raise ListenError(
        f"cannot listen on unix:{path}: another process does; stop it, or choose another"
    )


def _why(where: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {where}: another process does; stop it, or choose another"
    return f"cannot listen on {where}: {error.strerror}"
