"""The process's own words: one JSON line an event on stdout, human-readable on a terminal.

One canonical line per delivery. Secrets that the configuration read are struck out of every value,
other libraries' lines carry their template and never their arguments, and no traceback is printed:
an exception's text may hold a number or a code.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import suppress
from pathlib import PurePath
from typing import Any, TextIO
from urllib.parse import quote

import orjson
import structlog

from sidecar.delivery.model import Attempt, Delivery, Status
from sidecar.hookspecs import hookimpl

FIELD_LIMIT = 1_000
"""Characters of one field; longer ones are cut."""
SHORTEST_SECRET = 6
"""A shorter secret is not struck out: it would strike half of every line."""
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

# Of a library's template: addresses, and whatever has the digits of a code or a number.
_NO_WORDS = re.compile(r"\S*@\S*|\S*[0-9]{3}\S*")

Event = MutableMapping[str, Any]


class Redactor:
    """Strikes registered secrets out of every text of an event, however they are spelt there."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secrets: Iterable[str]) -> None:
        """Register secrets, for good: a rotated one may still turn up."""
        new = {s for s in secrets if len(s) >= SHORTEST_SECRET} - self._secrets
        if not new:
            return
        self._secrets |= new
        words = {word for secret in self._secrets for word in _spellings(secret)}
        longest_first = map(re.escape, sorted(words, key=len, reverse=True))
        self._pattern = re.compile("|".join(longest_first))

    def clean(self, text: str) -> str:
        """The text without a registered secret, cut to `FIELD_LIMIT`."""
        if self._pattern is not None:
            text = self._pattern.sub("***", text)
        return text if len(text) <= FIELD_LIMIT else f"{text[:FIELD_LIMIT]}..."

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        # One look at all of it: nearly every line is short and holds nothing to strike.
        whole = "\0".join(_texts(event.values()))
        if len(whole) <= FIELD_LIMIT and (
            self._pattern is None or self._pattern.search(whole) is None
        ):
            return event
        for key, value in event.items():
            event[key] = self._cleaned(value)
        return event

    def _cleaned(self, value: Any) -> Any:
        match value:
            case str():
                return self.clean(value)
            case dict():
                return {key: self._cleaned(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self._cleaned(inner) for inner in value]
        return value


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """Every text in `values`, those in mappings and sequences too."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from _texts(value.values())
        elif isinstance(value, list | tuple):
            yield from _texts(value)


def _spellings(secret: str) -> set[str]:
    """A secret as such, quoted for a URL and for JSON, in hex, and inside base64.

    `Authorization: Basic` is base64 of `user:secret`: the characters that the secret alone decides
    differ with the length of what stands before it, modulo 3.
    """
    raw = secret.encode("utf-8", "replace")
    found = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], raw.hex(), raw.hex().upper()}
    for before in range(3):
        whole = (before + len(raw)) * 8 // 6
        inside = base64.b64encode(bytes(before) + raw)[-(-before * 8 // 6) : whole].decode()
        found |= {inside, inside.replace("+", "-").replace("/", "_")}
    return found


redactor = Redactor()


def configure(*, human: bool | None = None, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging for this process.

    `human` chooses readable lines over JSON; None asks whether the stream is a terminal.
    """
    out = stream or sys.stdout
    human = out.isatty() if human is None else human
    renderer: Any = (
        structlog.dev.ConsoleRenderer(
            colors="NO_COLOR" not in os.environ, sort_keys=False, pad_event_to=0
        )
        if human
        else _json_line
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            _class_of_exception,
            redactor,
            renderer,
        ],
        logger_factory=lambda *_: _Printer(out),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
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

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def msg(self, message: str) -> None:
        with suppress(OSError):
            self._out.write(message + "\n")
            self._out.flush()

    debug = info = warning = error = critical = msg


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
            **({"error": kind.__name__} if kind else {}),
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
        "loop", message=_NO_WORDS.sub("***", what), error=type(error).__name__ if error else None
    )


def clock_jumped(seconds: float) -> None:
    """The machine's clock was set: our records go on by the time before."""
    structlog.get_logger().warning(
        "clock_jumped", seconds=round(seconds), do="restart to have records by the new clock"
    )


def _thread_trouble(args: threading.ExceptHookArgs) -> None:
    structlog.get_logger().error("thread", error=args.exc_type.__name__)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    structlog.get_logger().error("unraisable", error=args.exc_type.__name__)


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
    structlog.get_logger().warning("library", where=where, error=category.__name__)


class CanonicalLine:
    """The observer that writes one line for every delivery and one for every circuit's change."""

    @hookimpl
    def delivery_ended(self, delivery: Delivery) -> None:
        taken = delivery.receipt
        told = structlog.get_logger()
        write = told.info if delivery.status is Status.ACCEPTED else told.warning
        write(
            "delivery",
            id=delivery.id,
            channel=delivery.channel,
            purpose=delivery.purpose,
            outcome=delivery.status.value,
            provider=taken.provider if taken else None,
            attempts=[_in_words(attempt) for attempt in delivery.attempts],
            seconds=round((delivery.ended_at or delivery.started_at) - delivery.started_at, 4),
            segments=delivery.segments,
            recipient=delivery.recipient,
            recipient_hash=delivery.recipient_hash,
            **({} if delivery.logged else {"logged": False}),
        )
        for attempt in delivery.attempts:
            change = attempt.transition
            if change is not None:
                write = told.warning if change.after == "open" else told.info
                write(
                    "circuit",
                    provider=attempt.provider,
                    before=change.before,
                    after=change.after,
                    reason=change.reason,
                )


def _in_words(attempt: Attempt) -> str:
    """`sns: unavailable, the connection was refused` - with the provider's own code, if any."""
    said = [attempt.outcome.value, attempt.reason, attempt.provider_code]
    return f"{attempt.provider}: {', '.join(word for word in said if word)}"


def _json_line(_logger: object, _method: str, event: Event) -> str:
    line = {name: event.pop(name, None) for name in ("ts", "level", "event")}
    return orjson.dumps({**line, **event}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _class_of_exception(_logger: object, _method: str, event: Event) -> Event:
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else sys.exc_info()[1] if info else None
    if error is not None:
        event["error"] = type(error).__name__
    return event
