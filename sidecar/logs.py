"""The process's own words: one JSON line an event on stdout, human-readable on a terminal.

One canonical line per delivery. Secrets that the configuration read are struck out of every value,
other libraries' lines carry their template and never their arguments, and no traceback is printed:
an exception's text may hold a number or a code.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import Processor

from sidecar import lines
from sidecar.delivery.whereabouts import name_of
from sidecar.ids import about_request
from sidecar.redaction import Event, Redactor

_TALKATIVE = (
    "aiosmtplib",
    "aiohttp",
    "asyncio",
    "boto3",
    "botocore",
    "python_http_client",
    "sendgrid",
    "twilio",
    "urllib3",
)

# Of a library's template: addresses, and whatever has a digit but a directive (`%5.2f`): what an
# f-string has put in may be a code, however it is grouped.
_NO_WORDS = re.compile(r"(?<!\S)(?:\S*@\S*|(?!%[-+#]?\d{0,2}(?:\.\d{0,2})?[a-z]\W*(?!\S))\S*\d\S*)")

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


redactor = Redactor()


def configure(*, human: bool | None = None, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging for this process.

    `human` chooses readable lines over JSON; None asks whether the stream is a terminal. Without a
    `stream`, lines go to stdout as `sidecar.lines` writes them.
    """
    out = stream or sys.stdout
    human = out.isatty() if human is None else human
    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _about_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _class_of_exception,
        redactor,
        _human_line() if human else _json_line,
    ]
    _Out.printer = printer = _Printer(out, chain) if stream else _Gatherer(out.fileno(), chain)
    structlog.configure(
        processors=chain,
        logger_factory=lambda *_: printer,
        wrapper_class=_Logger,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)  # else a warning's text goes to stderr as it is
    threading.excepthook = _thread_trouble
    sys.unraisablehook = _unraisable
    warnings.showwarning = _warned
    for name in _TALKATIVE:  # at DEBUG and INFO these print bodies, headers and keys
        logging.getLogger(name).setLevel(logging.WARNING)


class _Printer:
    """Prints a line, or loses it.

    Where nobody reads on, or the disk is full, an error would make a 400 or a 500 of a message that
    was sent, and end whatever task had something to say.
    """

    def __init__(self, out: TextIO, chain: Sequence[Processor]) -> None:
        self.chain = chain
        self._out = out

    def msg(self, message: str) -> None:
        with suppress(OSError):
            self._out.write(message + "\n")
            self._out.flush()

    debug = info = warning = error = critical = msg

    def put(self, line: bytes, *, now: bool) -> None:
        self.msg(line.decode())


class _Gatherer:
    """Writes lines as `sidecar.lines` does: those that are not urgent wait for others."""

    def __init__(self, descriptor: int, chain: Sequence[Processor]) -> None:
        self.chain = chain
        self._writer = lines.Writer(descriptor, self._notice)
        lines.adopt(self._writer)

    def msg(self, message: str) -> None:
        self.put(message.encode("utf-8", "backslashreplace"), now=True)

    debug = info = warning = error = critical = msg

    def put(self, line: bytes, *, now: bool) -> None:
        self._writer.write(line + b"\n", now=now)

    def _notice(self, lost: int) -> bytes:
        line: Any = {"event": "lines_lost", "lines": lost}
        for process in self.chain:
            line = process(None, "warning", line)
        return f"{line}\n".encode()


def _told_as(level: str) -> Callable[..., Any]:
    def write(self: Any, event: str, *_arguments: object, **facts: Any) -> Any:
        return self._proxy_to_logger(level, event, **facts)

    return write


def _of_the_first(count: int, method: Callable[..., Any]) -> Callable[..., Any]:
    def write(self: Any, *given: Any, **facts: Any) -> Any:
        return method(self, *given[:count], **facts)

    return write


def _bound_logger() -> type[Any]:
    """The usual one from INFO on, but the arguments of a template are left out, not put in."""
    usual: Any = structlog.make_filtering_bound_logger(logging.INFO)
    told = {"msg": "info", "warn": "warning", "fatal": "critical"}
    told |= {level: level for level in ("info", "warning", "error", "critical")}
    methods = {name: _told_as(level) for name, level in told.items()}
    methods |= {f"a{name}": _of_the_first(1, getattr(usual, f"a{name}")) for name in told}
    methods |= {name: _of_the_first(2, getattr(usual, name)) for name in ("log", "alog")}
    return type("BoundLogger", (usual,), methods)


_Logger = _bound_logger()


class _Out:
    """What prints the lines of this process, once it is configured."""

    printer: _Printer | _Gatherer | None = None


def tell(level: str, event: str, facts: Event) -> None:
    """Write the line that structlog's logger would, without its walk where nothing is struck out.

    A line of level `info` may wait for others.
    """
    out = _Out.printer
    # Asked each time, since tests exchange the chain.
    if out is not None and out.chain[-1] is _json_line and structlog.is_configured():
        whole = {"ts": datetime.now(UTC), "level": level, "event": event, **facts}
        for name, value in about_request.get().items():
            whole.setdefault(name, value)
        # Without the option for other keys, which costs a quarter more: facts have names.
        line = orjson.dumps(whole, default=str, option=orjson.OPT_UTC_Z)
        if redactor.passes(line.decode()):
            out.put(line, now=level != "info")
            return
    getattr(structlog.get_logger(), level)(event, **facts)


class _Bridge(logging.Handler):
    """Other libraries' records: where they were written, and their template without arguments.

    A record may have been put together before, by an f-string or by asyncio, and is then no
    template: of one without arguments only the place is told, of another what looks like a
    template's own words.
    """

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        told = structlog.get_logger()
        write = told.error if record.levelno >= logging.ERROR else told.warning
        write(
            "library",
            logger=record.name,
            where=f"{record.module}:{record.lineno}",
            **({"message": _NO_WORDS.sub("***", str(record.msg))} if record.args else {}),
            **({"error": name_of(kind)} if kind else {}),
        )


def loop_trouble(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The event loop's own complaints, such as a task whose exception nobody retrieved.

    asyncio's handler prints the exception, whose text may hold a number or a code, and so may the
    arguments of `Exception in callback f('+1415...')`.
    """
    del loop
    error = context.get("exception")
    what = str(context.get("message")).partition(" in callback ")[0]
    structlog.get_logger().error(
        "loop",
        message=_NO_WORDS.sub("***", what),
        error=name_of(type(error)) if error is not None else None,
    )


def clock_jumped(seconds: float) -> None:
    """The machine's clock was set: our records go on by the time before."""
    structlog.get_logger().warning(
        "clock_jumped", seconds=round(seconds), do="restart to have records by the new clock"
    )


def remark(words: Iterable[str]) -> None:
    """What is probably not meant in a configuration that is in effect from now on."""
    for one in words:
        structlog.get_logger().warning("configuration", remark=one)


def _thread_trouble(args: threading.ExceptHookArgs) -> None:
    structlog.get_logger().error("thread", error=name_of(args.exc_type))


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    structlog.get_logger().error("unraisable", error=name_of(args.exc_type))


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    # A warning's text is put together by who warns, and may hold what was sent.
    del message, file, line
    where = f"{PurePath(filename).stem}:{lineno}"
    structlog.get_logger().warning("library", where=where, error=name_of(category))


def _about_request(_logger: object, _method: str, event: Event) -> Event:
    for name, value in about_request.get().items():
        event.setdefault(name, value)
    return event


def _json_line(_logger: object, _method: str, event: Event) -> str:
    line = {name: event.pop(name, None) for name in ("ts", "level", "event")}
    return orjson.dumps({**line, **event}, default=str, option=_OPTIONS).decode()


def _human_line() -> Processor:
    colors = "NO_COLOR" not in os.environ
    return structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False, pad_event_to=0)


def _class_of_exception(_logger: object, _method: str, event: Event) -> Event:
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else sys.exc_info()[1] if info else None
    if error is not None:
        event["error"] = name_of(type(error))
    return event
