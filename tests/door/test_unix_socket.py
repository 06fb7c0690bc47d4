"""The Unix socket: its modes, whose process may connect, and the Host it is asked with."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.process import PATIENCE
from harness.wire import everything, get_request, replies
from sidecar.config import UnixAddress
from sidecar.listeners import ListenError, open_listener

FOREIGNER, GUEST = 54_321, 54_322
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
ASK = """
import os, socket, sys
os.setgroups([]), os.setgid(int(sys.argv[1])), os.setuid(int(sys.argv[1]))
connection = socket.socket(socket.AF_UNIX)
try:
    connection.connect(sys.argv[2])
    connection.sendall(bytes.fromhex(sys.argv[3]))
    print(connection.makefile("rb").read(4096).decode("latin-1"))
except PermissionError:
    print("no permission")
"""


@pytest.fixture
def directory():
    """A place that other users can reach; pytest's own is ours alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def listen(begin, directory):
    def start(more: str = ""):
        path = directory / "run" / "api.sock"
        return begin(more, listen=f"unix:{path}"), path

    return start


def ask(path: Path, request: bytes):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall(request)
        return replies(everything(connection))[0]


def ask_as(uid: int, path: Path) -> str:
    """What another user is told, in a process of its own."""
    request = get_request("/health", "Connection: close").hex()
    command = [sys.executable, "-I", "-c", ASK, str(uid), str(path), request]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=PATIENCE, cwd="/"
    ).stdout


def modes(path: Path) -> tuple[int, int]:
    return stat.S_IMODE(path.parent.stat().st_mode), stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_can_open_it(listen):
    _, path = listen()
    assert modes(path) == (0o700, 0o600)
    assert ask(path, get_request("/health", "Connection: close")).status == 200


@AS_ROOT
def test_another_user_cannot_connect(listen):
    _, path = listen()
    assert ask_as(FOREIGNER, path) == "no permission\n"


@AS_ROOT
def test_the_kernel_says_who_it_is_even_where_the_modes_let_everybody_in(listen):
    _, path = listen()
    path.parent.chmod(0o755)
    path.chmod(0o666)
    told = ask_as(FOREIGNER, path)
    assert told.startswith("HTTP/1.1 403 ")
    assert '"code":"foreign_user"' in told


@AS_ROOT
def test_users_that_are_named_may_come_in_and_no_others(listen):
    _, path = listen(f"peer_uids: [{GUEST}]")
    assert modes(path) == (0o711, 0o666)
    assert ask_as(GUEST, path).startswith("HTTP/1.1 200 ")
    assert ask_as(FOREIGNER, path).startswith("HTTP/1.1 403 ")
    assert ask_as(0, path).startswith("HTTP/1.1 200 ")


def test_our_own_user_may_come_in_beside_those_that_are_named(listen):
    _, path = listen(f"peer_uids: [{GUEST}]")
    assert ask(path, get_request("/health", "Connection: close")).status == 200


def test_a_directory_that_lets_nobody_pass_is_told_of(begin, directory):
    place = directory / "closed"
    place.mkdir(mode=0o700)
    with pytest.raises(AssertionError, match="chmod it to 0711"):
        begin(f"peer_uids: [{GUEST}]", listen=f"unix:{place / 'api.sock'}")


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1", 200), ("[::1]", 200), ("localhost:8780", 421), ("x", 421)],
)
def test_the_host_is_one_of_ours_without_a_port(listen, host, status):
    _, path = listen()
    request = f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    assert ask(path, request).status == status


def test_no_other_user_comes_in_where_the_system_does_not_tell_who_it_is(directory, monkeypatch):
    monkeypatch.delattr(socket, "SO_PEERCRED", raising=False)
    where = UnixAddress(directory / "s" / "api.sock")
    with pytest.raises(ListenError, match="does not tell who connects"):
        open_listener(where, shared=True)
    open_listener(where).close()
