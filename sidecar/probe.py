"""`otp-sidecar health`: one GET over a plain socket, for HEALTHCHECK and exec probes.

Standard library only, and little of it: a probe runs every few seconds and must be quick.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Sequence

from sidecar.streams import tell

USAGE = """\
Usage: otp-sidecar health [--ready] [--wait SECONDS] [--url URL]

  --ready         ask whether it takes sends (/readyz), not only whether it lives (/livez)
  --wait 30s      ask again until the answer is yes, for at most this long
  --url URL       http://127.0.0.1:8780 or unix:/path   [OTP_SIDECAR_URL]

Exit codes: 0 yes, 1 no, 2 usage, 130 Ctrl-C.
"""
DEFAULT_URL = "http://127.0.0.1:8780"
ATTEMPT_TIMEOUT = 2.0
PAUSE = 0.1
ANSWER_LIMIT = 4096
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    try:
        url, path, wait = _parse(list(arguments))
        give_up = time.monotonic() + wait
        while True:
            answer = ask(url, path)
            if answer == "ok" or time.monotonic() >= give_up:
                break
            time.sleep(PAUSE)
    except ValueError as error:
        tell("stderr", f"{error}\n\n{USAGE}")
        return 2
    told = tell("stdout" if answer == "ok" else "stderr", f"{answer}\n")
    return 0 if told and answer == "ok" else 1


def ask(url: str, path: str) -> str:
    """`ok`, or in a few words why not. Raises `BadAddress` for a URL that is none."""
    try:
        with connect(url) as connection:
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            answer = _read(connection)
    except OSError as error:
        return f"no answer from {url}: {error.strerror or error}"
    status = _status(answer) or "no HTTP"
    if status == "200":
        return "ok"
    detail = re.search(r'"detail":"([^"]{1,200})"', answer)
    return f"{path} says {status}" + (f": {detail[1]}" if detail else "")


def _read(connection: socket.socket) -> str:
    """The answer up to where it says 200, or that it is none of HTTP; else with its words."""
    give_up = time.monotonic() + ATTEMPT_TIMEOUT
    received = b""
    while len(received) < ANSWER_LIMIT:
        connection.settimeout(max(0.001, give_up - time.monotonic()))
        try:
            piece = connection.recv(ANSWER_LIMIT)
        except OSError:
            if b"\r\n" not in received:
                raise
            break  # the status is known
        received += piece
        late = time.monotonic() >= give_up  # whoever sends a byte at a time
        if not piece or late or _is_enough(received.decode("latin-1")):
            break
    return received.decode("latin-1")


def _is_enough(answer: str) -> bool:
    return "\r\n" in answer and _status(answer) in (None, "200")


def _status(answer: str) -> str | None:
    match = re.match(r"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r\n", answer)
    return match and match[1]


class BadAddress(ValueError):
    """Not where a sidecar can be. The text does not repeat what was given: it may be secret."""


def connect(url: str, timeout: float = ATTEMPT_TIMEOUT) -> socket.socket:
    """A connection to the sidecar at `url`; `timeout` in seconds, also for every later read.

    Raises OSError where nobody listens, `BadAddress` for a URL that is none.
    """
    if url.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        connection.connect(url.removeprefix("unix:"))
        return connection
    match = re.fullmatch(r"http://(\[[0-9a-fA-F:]+\]|[^:/\[\]]+)(?::([0-9]+))?/?", url)
    if match is None:
        raise BadAddress("--url takes http://127.0.0.1:8780 or unix:/path")
    port = match[2] or "80"
    if len(port) > 5 or not 1 <= int(port) <= 65535:  # a socket takes a larger one's remainder
        raise BadAddress("--url takes a port from 1 to 65535")
    try:
        return socket.create_connection((match[1].strip("[]"), int(port)), timeout)
    except UnicodeError:
        raise BadAddress(
            "--url has a host that no name can be, such as one with two dots"
        ) from None


def _parse(arguments: list[str]) -> tuple[str, str, float]:
    url = os.environ.get("OTP_SIDECAR_URL") or DEFAULT_URL
    path = "/readyz" if _is_on("OTP_SIDECAR_READY") else "/livez"
    wait = os.environ.get("OTP_SIDECAR_WAIT") or "0s"
    while arguments:
        name, equals, value = arguments.pop(0).partition("=")
        if name == "--ready" and not equals:
            path = "/readyz"
        elif name in ("--url", "--wait") and (equals or arguments):
            value = value if equals else arguments.pop(0)
            url, wait = (value, wait) if name == "--url" else (url, value)
        else:
            raise ValueError(f"health does not know {name}")
    return url, path, _seconds(wait)


def _is_on(variable: str) -> bool:
    """Whether it says yes, in the words that the other commands' flags know."""
    word = os.environ.get(variable, "").strip().lower()
    if word in ("1", "true", "t", "yes", "y", "on"):
        return True
    if word in ("", "0", "false", "f", "no", "n", "off"):
        return False
    raise ValueError(f"{variable} takes yes or no")


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m)?", text)
    if match is None:
        raise ValueError(f"not a duration: {text}")
    return float(match[1]) * _UNITS[match[2] or "s"]
