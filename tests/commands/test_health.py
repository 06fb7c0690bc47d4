"""`otp-sidecar health` for probes: a clear answer, whatever is there, and never a traceback."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.process import PATIENCE, run_unread, wait_for

HEAD = b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK" + HEAD + b"ok"


def unread(listener: socket.socket) -> int:
    """Bytes that came to whoever called `listener` last, and that it has not read."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f":{listener.getsockname()[1]:04X}"
    (queues,) = {row[4] for row in rows if row[2].endswith(port) and row[3] == "01"}
    return int(queues.partition(":")[2], 16)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="nothing else tells what was read")
@pytest.mark.parametrize("cut", [8, 12, 15])
def test_a_status_line_in_two_pieces(environ, cut):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        asking = begin(environ, "--url", url)
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(GOOD[:cut])
            wait_for(lambda: not unread(listener) or asking.poll() is not None, "it to read")
            connection.sendall(GOOD[cut:])
            assert asking.communicate(timeout=PATIENCE) == ("ok\n", "")
    assert asking.returncode == 0


ODD = {
    "nothing": (b"", b""),
    "no HTTP": b"220 mail.example.com ESMTP\r\n",
    "no line": (b"HTTP/1.1 200 OK" * 1000, b""),
    "no status": b"HTTP/1.1\r\n\r\n",
    "a status of other digits": "HTTP/1.1 ٢٠٠ OK\r\n\r\n".encode(),
}


@pytest.mark.parametrize("said", ODD.values(), ids=ODD)
def test_what_is_no_answer(command, stub, said):
    peer = stub(lambda request: said)
    if isinstance(said, tuple):
        peer.turns = [lambda request: _and_close(peer, said[0])]
    done = command("health", "--url", peer.base)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "/livez says no HTTP\n"


def _and_close(peer, said):
    yield said
    peer.connections[-1].shutdown(socket.SHUT_RDWR)


def test_why_it_is_not_ready_may_come_in_a_piece_of_its_own(command, stub):
    peer = stub(lambda r: iter([b"HTTP/1.1 503 So" + HEAD, b'{"detail":"no log"}']))
    peer.turns = [lambda r: _pieces_and_close(peer)]
    done = command("health", "--ready", "--url", peer.base)
    assert (done.returncode, done.stderr) == (1, "/readyz says 503: no log\n")


def _pieces_and_close(peer):
    yield b"HTTP/1.1 503 So" + HEAD
    yield b'{"detail":"no log"}'
    peer.connections[-1].shutdown(socket.SHUT_RDWR)


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_a_ctrl_c_ends_it_without_a_word(environ):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        asking = begin(environ, "--wait", "1000s", "--url", url)
        with listener.accept()[0]:
            asking.send_signal(signal.SIGINT)
            assert asking.communicate(timeout=PATIENCE) == ("", "")
    assert asking.returncode == 130


def test_an_answer_that_cannot_be_written(environ, stub):
    peer = stub(GOOD)
    with open("/dev/full", "w") as full:  # noqa: PTH123  # a device
        asking = begin(environ, "--url", peer.base, stdout=full)
        assert asking.communicate(timeout=PATIENCE)[1] == ""
    assert asking.returncode == 1
    done = run_unread(environ, "health", "--url", peer.base)
    assert (done.returncode, done.stderr) == (1, "")


def begin(environ, *arguments, stdout=subprocess.PIPE):
    return subprocess.Popen(
        [sys.executable, "-m", "sidecar", "health", *arguments],
        env=environ,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:0", "a port from 1 to 65535"),
        ("http://127.0.0.1:65536", "a port from 1 to 65535"),
        ("http://127.0.0.1:99999", "a port from 1 to 65535"),
        ("http://exa..mple", "a host that no name can be"),
        ("http://ada:s3cret@localhost", "http://127.0.0.1:8780 or unix:/path"),
    ],
)
@pytest.mark.parametrize(
    "asked", [("health",), ("send", "--channel", "sms", "--to", "+14155550123"), ("explain",)]
)
def test_an_address_that_is_none_is_a_fault_of_usage(command, asked, url, words):
    more = ("--channel", "sms") if asked == ("explain",) else ()
    done = command(*asked, *more, "--url", url)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(
    ("word", "path"),
    [("1", "/readyz"), ("Yes", "/readyz"), ("0", "/livez"), ("false", "/livez"), ("off", "/livez")],
)
def test_its_variable_is_read_as_a_flag(command, stub, word, path):
    peer = stub(GOOD)
    done = command("health", OTP_SIDECAR_URL=peer.base, OTP_SIDECAR_READY=word)
    assert done.returncode == 0
    assert peer.requests[0].split()[1].decode() == path


def test_a_word_that_is_no_flag_and_the_short_way_to_its_help(command):
    done = command("health", OTP_SIDECAR_READY="perhaps")
    assert done.returncode == 2
    assert "OTP_SIDECAR_READY takes yes or no" in done.stderr
    assert "--wait" in command("health", "-h").stdout
