"""Sees everything that a test has written, whoever wrote it, without a word in the test.

What may not be overlooked is learned from Python's audit events (PEP 578), which nothing that runs
in this process can go round: a started process, an opened, renamed or removed file, a connection.
The words themselves are taken where they pass: the pipes of a process, the sockets of a client.

Exempt, because they hold canaries by design, are these and nothing else:
- an input: a file that a test's own code opened for writing, with no code of the product on the
  stack, and that is neither a database, a key, nor what a process was told to write to;
- `providers.yaml`, also one that a helper of a test wrote: the product only ever reads it;
- the byte code that Python makes of such an input;
- the block that the provider `console` prints on stderr (`CONSOLE_BLOCK`);
- the body of an answer to `GET /inbox` and `GET /v1/inbox`, which show messages;
- what a stand-in answers: it listens in this process, or says in `Server` that it is Werkzeug, as
  moto does, or the fault daemon; and the ledger that the fault daemon keeps in a file.
"""

from __future__ import annotations

import asyncio.subprocess
import inspect
import io
import os
import re
import socket
import stat
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.leaks import CODE, EMAIL, PHONE, TOKEN, Scan

CONSOLE_BLOCK = re.compile(
    rb"^[a-z][a-z0-9_-]{0,31} to \S+ \([a-z0-9_.-]+, \S+\)\n(?:  \| .*(?:\n|\Z))+", re.MULTILINE
)
"""What `sidecar_console` prints for one message: a head, and each line of the text behind a bar."""
_INBOX = re.compile(rb"GET (?:/v1)?/inbox HTTP/1\.1\r\n")
_STAND_IN = re.compile(rb"^Server: (?:Werkzeug/|faultd)", re.MULTILINE | re.IGNORECASE)
_LENGTH = re.compile(rb"^Content-Length: (\d+)\r$", re.MULTILINE | re.IGNORECASE)
_NEVER_AN_INPUT = re.compile(r"\.(db|key)(-wal|-shm|-journal)?$")
_BY_NAME = ("/providers.yaml", "/ledger.jsonl")
_BYTE_CODE = re.compile(r"^(.+/)__pycache__/([^/.]+)\.[^/]+\.pyc$")
_NAME = r"[A-Za-z0-9_./-]{1,100}"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FORKS = frozenset(
    {"os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn", "os.exec"}
)
_PLANTS = {"code": (CODE,), "recipient": (PHONE[1:], EMAIL), "token": (TOKEN,)}


class Stream:
    """What one pipe of a process has said, and how much of it was scanned."""

    def __init__(self, process: Process, name: str) -> None:
        self.name = f"{name} of {process}"
        self.console = name == "stderr"
        self._fresh = bytearray()
        self._lock = threading.Lock()

    def keep(self, data: bytes | str | None) -> None:
        if data:
            with self._lock:
                self._fresh += data.encode("utf-8", "replace") if isinstance(data, str) else data

    def take(self, *, whole: bool) -> bytes:
        """What is new; with `whole`, an unfinished line too."""
        with self._lock:
            end = len(self._fresh) if whole else self._fresh.rfind(b"\n") + 1
            data = bytes(self._fresh[:end])
            del self._fresh[:end]
            return data


class Process:
    """One process that a test started."""

    def __init__(self, command: Any) -> None:
        words = [command] if isinstance(command, str | bytes | os.PathLike) else list(command)
        # Not a program's text, and no more than names it: the words may hold what is searched for.
        self.command = " ".join(str(word) for word in words[:4] if re.fullmatch(_NAME, str(word)))
        self.popen: subprocess.Popen[Any] | None = None
        self.streams: list[Stream] = []
        self.unseen: list[str] = []

    def __str__(self) -> str:
        return f"`{self.command}`"

    @property
    def runs(self) -> bool:
        return self.popen is not None and self.popen.poll() is None


class Conversation:
    """What one client's connection received, and the first line of what it asked."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.asked = b""
        self._received = bytearray()
        self._scanned = False

    def ask(self, data: Any) -> None:
        if len(self.asked) < 64:
            self.asked += bytes(data[:64])

    def hear(self, data: bytes) -> None:
        self._received += data

    def take(self) -> bytes:
        """What is new and no exemption."""
        end, first = len(self._received), not self._scanned
        data = bytes(self._received[:end])
        del self._received[:end]
        self._scanned = self._scanned or bool(data)
        if first and _STAND_IN.search(data.partition(b"\r\n\r\n")[0] + b"\r\n"):
            return b""
        if first and _INBOX.match(self.asked):
            head, blank, rest = data.partition(b"\r\n\r\n")
            length = _LENGTH.search(head + b"\r")
            return head + blank + rest[int(length[1]) if length else 0 :]
        return data


class _Tee(io.RawIOBase):
    """The raw end of a pipe; whoever reads it, and however, what passes is kept."""

    def __init__(self, raw: io.FileIO, keep: Callable[[bytes], None]) -> None:
        self._raw = raw
        self._keep = keep

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        count = self._raw.readinto(buffer)
        if count:
            self._keep(bytes(memoryview(buffer)[:count]))
        return count

    def close(self) -> None:
        if not self.closed and not self._raw.closed:
            self._drain()
            self._raw.close()
        super().close()

    def _drain(self) -> None:
        # What nobody read before the pipe was closed was written all the same.
        with suppress(OSError):
            os.set_blocking(self._raw.fileno(), False)
            while data := os.read(self._raw.fileno(), 65_536):
                self._keep(data)

    def _dealloc_warn(self, source: Any) -> None:  # a pipe that was not closed still warns
        self._raw._dealloc_warn(source)


class Watch:
    """What the tests of this process have produced and nobody scanned yet."""

    def __init__(self) -> None:
        self.scan = Scan()
        self.test: str | None = None
        self.processes: list[Process] = []
        self.folders: set[Path] = set()
        self.planted = dict.fromkeys(_PLANTS, 0)
        self.served: set[str] = set()
        self.leaks: list[str] = []
        self.unscanned: list[str] = []
        self._inputs: set[str] = set()
        self._outputs: set[str] = set()
        self._signatures: dict[str, tuple[int, int, int]] = {}
        self._clients: weakref.WeakKeyDictionary[socket.socket, Conversation] = (
            weakref.WeakKeyDictionary()
        )
        self._conversations: list[Conversation] = []
        self._bound: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._starting = threading.local()
        self._busy = threading.local()

    # What the hooks tell

    def begin(self, test: str) -> None:
        self.test = test

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """An audit event; may never raise."""
        handler = _HANDLERS.get(event)
        if self.test is None or handler is None or getattr(self._busy, "now", False):
            return
        self._busy.now = True
        try:
            handler(self, event, args)
        except Exception as error:  # noqa: BLE001  # raising here would fail what the test does
            self.unscanned.append(f"{self.test}: {event} could not be followed: {error!r}")
        finally:
            self._busy.now = False

    def on_process(self, event: str, args: tuple[Any, ...]) -> None:
        if not getattr(self._starting, "now", False):
            self.unscanned.append(f"{self.test}: a process was started past the watch: {event}")

    def on_open(self, event: str, args: tuple[Any, ...]) -> None:
        path, mode, flags = args
        writes = (flags or 0) & _WRITING or (isinstance(mode, str) and set(mode) & set("wax+"))
        if writes and isinstance(path, str | bytes | os.PathLike) and not _product_is_at_work():
            self._inputs.add(os.path.realpath(os.fsdecode(path)))

    def on_rename(self, event: str, args: tuple[Any, ...]) -> None:
        source, target = (os.path.realpath(os.fsdecode(path)) for path in args[:2])
        for path in list(self._inputs):
            if path == source or path.startswith(source + os.sep):
                self._inputs.add(target + path[len(source) :])

    def on_remove(self, event: str, args: tuple[Any, ...]) -> None:
        if isinstance(args[0], int):  # a descriptor: `shutil.rmtree` was told of before
            return
        path = Path(os.path.realpath(os.fsdecode(args[0])))
        if any(path == folder or path.is_relative_to(folder) for folder in list(self.folders)):
            self._scan_folder(path) if path.is_dir() else self._scan_file(str(path))

    def on_bind(self, event: str, args: tuple[Any, ...]) -> None:
        if not _product_is_at_work():
            self._bound.add(args[0])

    def on_connect(self, event: str, args: tuple[Any, ...]) -> None:
        connection, address = args
        if _is_local(connection, address) and not self._is_stand_in(address):
            conversation = Conversation(address)
            self._clients[connection] = conversation
            self._conversations.append(conversation)

    def on_folder(self, event: str, args: tuple[Any, ...]) -> None:
        self.folder(Path(os.fsdecode(args[0])))

    def folder(self, path: Path) -> None:
        """Everything below `path` is scanned from now on."""
        if self.test is not None:
            self.folders.add(Path(os.path.realpath(path)))

    def said(self, connection: socket.socket, data: Any) -> None:
        """A client has sent this."""
        conversation = self._clients.get(connection)
        if conversation is None:
            return
        conversation.ask(data)
        sent = bytes(data)
        for name, canaries in _PLANTS.items():
            self.planted[name] += any(canary.encode() in sent for canary in canaries)
        if self.test is not None and "/e2e/" in self.test and b"POST /v1/send" in sent:
            self.served.add(self.test)

    def heard(self, connection: socket.socket, data: Any) -> None:
        """A client has received this."""
        conversation = self._clients.get(connection)
        if conversation is not None:
            conversation.hear(bytes(data))

    def started(self, process: Process, popen: Any, streams: dict[str, Any]) -> None:
        """A process runs; `streams` are what `Popen` was given as stdout and stderr."""
        process.popen = popen
        self.processes.append(process)
        for name, target in streams.items():
            if target == subprocess.PIPE:
                stream = Stream(process, name)
                process.streams.append(stream)
                setattr(popen, name, _teed(getattr(popen, name), stream))
            elif target not in (None, subprocess.DEVNULL, subprocess.STDOUT):
                self._note_file(process, name, target)

    def _note_file(self, process: Process, name: str, target: Any) -> None:
        descriptor = target if isinstance(target, int) else target.fileno()
        path = os.path.realpath(f"/proc/self/fd/{descriptor}")
        if path in ("/dev/full", os.devnull):
            return  # nothing can be written there
        if any(os.path.sameopenfile(descriptor, ours) for ours in (1, 2)):
            return  # pytest captures it
        if Path(path).is_file():
            self._outputs.add(path)
        else:
            process.unseen.append(f"{name} of {process} goes to {path}, where nobody sees it")

    def hand_over(self, data: bytes) -> None:
        """What a process wrote to a pipe or terminal of the test's own making."""
        self._report(data, "what a test handed over", console=True)
        (owing,) = [process for process in self.processes if process.unseen][-1:] or [None]
        if owing is not None:
            owing.unseen.pop()

    # The scan

    def scan_all(self, *, last: bool = False) -> list[str]:
        """Scan what is new since the last call, and say what was found; `last` spares nothing."""
        self._busy.now = True
        try:
            for process in list(self.processes):
                self._scan_process(process, last=last)
            for conversation in self._conversations:
                self._report(conversation.take(), f"an answer of {conversation.address}")
            for folder in list(self.folders):
                self._scan_folder(folder)
                if not folder.exists():
                    self.folders.discard(folder)
        finally:
            self._busy.now = False
        alive = set(self._clients.data.values())  # copied at once: others connect meanwhile
        self._conversations = [one for one in self._conversations if one in alive]
        found, self.leaks = self.leaks, []
        return found

    def scan_text(self, text: str, where: str, *, console: bool) -> None:
        """Scan what pytest has captured."""
        self._report(text.encode("utf-8", "replace"), where, console=console)

    def forget(self, folder: Path) -> None:
        """This folder changes no more."""
        self.folders.discard(Path(os.path.realpath(folder)))

    def _scan_process(self, process: Process, *, last: bool) -> None:
        runs = process.runs
        for stream in process.streams:
            self._report(stream.take(whole=not runs or last), stream.name, console=stream.console)
        self.unscanned += [f"{self.test}: {unseen}" for unseen in process.unseen]
        process.unseen.clear()
        if runs and last:
            self.unscanned.append(f"{process} still runs: what it says now is not scanned")
        if not runs and process.popen is not None:
            open_pipes = [p for p in (process.popen.stdout, process.popen.stderr) if p]
            if all(pipe.closed for pipe in open_pipes) or last:
                self.processes.remove(process)

    def _scan_folder(self, folder: Path) -> None:
        for where, _, names in os.walk(folder):
            for name in names:
                self._scan_file(os.path.realpath(f"{where}/{name}"))

    def _scan_file(self, path: str) -> None:
        if self._is_input(path):
            return
        try:
            found = Path(path).lstat()
            signature = (found.st_mtime_ns, found.st_size, found.st_ino)
            if not stat.S_ISREG(found.st_mode) or self._signatures.get(path) == signature:
                return
            if path in self._outputs:
                self._report(Path(path).read_bytes(), path, console=True)
            else:
                self.leaks += [f"{path}: {one}" for one in self.scan.find_in(Path(path))]
        except FileNotFoundError:
            return
        except OSError as error:
            self.unscanned.append(f"{self.test}: {path} could not be read: {error.strerror}")
            return
        self._signatures[path] = signature

    def _is_input(self, path: str) -> bool:
        if path in self._outputs or _NEVER_AN_INPUT.search(path):
            return False
        if path.endswith(_BY_NAME):
            return True
        compiled = _BYTE_CODE.fullmatch(path)
        return path in self._inputs or bool(
            compiled and f"{compiled[1]}{compiled[2]}.py" in self._inputs
        )

    def _report(self, data: bytes, where: str, *, console: bool = False) -> None:
        if console:
            data = CONSOLE_BLOCK.sub(b"", data)
        self.leaks += [f"{where}: {found}" for found in self.scan.find(data)]

    def _is_stand_in(self, address: Any) -> bool:
        for bound in [found() for found in list(self._bound.data)]:
            with suppress(OSError, AttributeError):
                if bound.getsockname()[1:2] == address[1:2] and not isinstance(address, str):
                    return True
                if bound.getsockname() == address:
                    return True
        return False


def _is_local(connection: socket.socket, address: Any) -> bool:
    if connection.family == socket.AF_UNIX:
        return True
    return connection.family in (socket.AF_INET, socket.AF_INET6) and (
        str(address[0]).startswith("127.") or address[0] in ("::1", "localhost", "0.0.0.0")
    )


def _product_is_at_work() -> bool:
    """Whether the product's code is on the stack of who does this."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name == "sidecar" or name.startswith(("sidecar.", "sidecar_")):
            return name != "sidecar.testing"  # the stub server of a plugin's tests is a stand-in
        frame = frame.f_back
    return False


def _teed(pipe: Any, stream: Stream) -> Any:
    """The same pipe, whose words are kept."""
    if isinstance(pipe, io.TextIOWrapper):
        encoding, errors = pipe.encoding, pipe.errors
        return io.TextIOWrapper(_teed(pipe.detach(), stream), encoding=encoding, errors=errors)
    if isinstance(pipe, io.BufferedReader):
        return io.BufferedReader(_teed(pipe.detach(), stream))
    return _Tee(pipe, stream.keep)


_HANDLERS: dict[str, Callable[[Watch, str, tuple[Any, ...]], None]] = {
    "subprocess.Popen": Watch.on_process,
    "open": Watch.on_open,
    "os.rename": Watch.on_rename,
    "os.remove": Watch.on_remove,
    "shutil.rmtree": Watch.on_remove,
    "socket.bind": Watch.on_bind,
    "socket.connect": Watch.on_connect,
    "tempfile.mkdtemp": Watch.on_folder,
    **dict.fromkeys(_FORKS, Watch.on_process),
}


def install(watch: Watch) -> None:
    """Hook `watch` into this process, for good: an audit hook cannot be taken out again."""
    signature = inspect.signature(subprocess.Popen.__init__)

    class WatchedPopen(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **more: Any) -> None:
            given = signature.bind(self, *args, **more).arguments
            process = Process(given["args"])
            watch._starting.now = True
            try:
                super().__init__(*args, **more)
            finally:
                watch._starting.now = False
            if watch.test is not None:
                streams = {name: given.get(name) for name in ("stdout", "stderr")}
                watch.started(process, self, streams)
                self._watched = process

        def communicate(self, *args: Any, **more: Any) -> Any:
            # It reads past the pipes' own objects.
            try:
                said = super().communicate(*args, **more)
            except subprocess.TimeoutExpired as late:
                self._keep(late.stdout, late.stderr)
                raise
            self._keep(*said)
            return said

        def _keep(self, stdout: Any, stderr: Any) -> None:
            for stream in getattr(self, "_watched", Process([])).streams:
                stream.keep(stderr if stream.console else stdout)

    subprocess.Popen = WatchedPopen  # type: ignore[misc]
    _watch_asyncio(watch)
    _watch_sockets(watch)
    sys.addaudithook(watch.audit)


def _watch_asyncio(watch: Watch) -> None:
    """asyncio reads a process's pipes by their numbers."""
    plain = asyncio.subprocess.SubprocessStreamProtocol.pipe_data_received

    def pipe_data_received(self: Any, fd: int, data: bytes) -> None:
        popen = self._transport.get_extra_info("subprocess")
        for stream in getattr(popen, "_watched", Process([])).streams:
            if stream.console == (fd == 2):
                stream.keep(data)
        plain(self, fd, data)

    asyncio.subprocess.SubprocessStreamProtocol.pipe_data_received = pipe_data_received  # type: ignore[method-assign]


def _watch_sockets(watch: Watch) -> None:
    plain = socket.socket.__mro__[1]  # _socket.socket, whose methods `socket.socket` inherits

    def recv(self: Any, *args: Any) -> bytes:
        data: bytes = plain.recv(self, *args)  # type: ignore[attr-defined]
        watch.heard(self, data)
        return data

    def recv_into(self: Any, buffer: Any, *args: Any) -> int:
        count: int = plain.recv_into(self, buffer, *args)  # type: ignore[attr-defined]
        if count:
            watch.heard(self, memoryview(buffer).cast("B")[:count])
        return count

    def send(self: Any, data: Any, *args: Any) -> int:
        count: int = plain.send(self, data, *args)  # type: ignore[attr-defined]
        watch.said(self, memoryview(data).cast("B")[:count])
        return count

    def sendall(self: Any, data: Any, *args: Any) -> None:
        watch.said(self, memoryview(data).cast("B"))
        plain.sendall(self, data, *args)  # type: ignore[attr-defined]

    def sendmsg(self: Any, buffers: Any, *args: Any) -> int:
        parts = list(buffers)
        count: int = plain.sendmsg(self, parts, *args)  # type: ignore[attr-defined]
        watch.said(self, b"".join(parts)[:count])
        return count

    for method in (recv, recv_into, send, sendall, sendmsg):
        setattr(socket.socket, method.__name__, method)
