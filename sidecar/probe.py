"""`otp-sidecar health`: one GET over a plain socket, for HEALTHCHECK and exec probes.

Standard library only, and little of it: a probe runs every few seconds and must be quick.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Sequence

USAGE = """\
Usage: otp-sidecar health [--ready] [--wait SECONDS] [--url URL]

  --ready         ask whether it takes sends (/readyz), not only whether it lives (/livez)
  --wait 30s      ask again until the answer is yes, for at most this long
  --url URL       http://127.0.0.1:8780 or unix:/path   [OTP_SIDECAR_URL]

Exit codes: 0 yes, 1 no, 2 usage.
"""
DEFAULT_URL = "http://127.0.0.1:8780"
ATTEMPT_TIMEOUT = 2.0
PAUSE = 0.1
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
        sys.stderr.write(f"{error}\n\n{USAGE}")
        return 2
    (sys.stdout if answer == "ok" else sys.stderr).write(f"{answer}\n")
    return 0 if answer == "ok" else 1


def ask(url: str, path: str) -> str:
    """`ok`, or in a few words why not. Raises ValueError for a URL that is none."""
    try:
        with connect(url) as connection:
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            answer = connection.recv(4096).decode("latin-1")
    except OSError as error:
        return f"no answer from {url}: {error.strerror or error}"
    status = answer.split(" ")[1] if answer.startswith("HTTP/1.") else "no HTTP"
    if status == "200":
        return "ok"
    detail = re.search(r'"detail":"([^"]{1,200})"', answer)
    return f"{path} says {status}" + (f": {detail[1]}" if detail else "")


def connect(url: str, timeout: float = ATTEMPT_TIMEOUT) -> socket.socket:
    """A connection to the sidecar at `url`; `timeout` in seconds, also for every later read.

    Raises OSError where nobody listens, ValueError for a URL that is none.
    """
    if url.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        connection.connect(url.removeprefix("unix:"))
        return connection
    match = re.fullmatch(r"http://(\[[0-9a-fA-F:]+\]|[^:/\[\]]+)(?::(\d{1,5}))?/?", url)
    if match is None:
        raise ValueError(f"not an address of a sidecar: {url}")
    return socket.create_connection((match[1].strip("[]"), int(match[2] or 80)), timeout)


def _parse(arguments: list[str]) -> tuple[str, str, float]:
    url = os.environ.get("OTP_SIDECAR_URL") or DEFAULT_URL
    path = "/readyz" if os.environ.get("OTP_SIDECAR_READY") else "/livez"
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


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)?", text)
    if match is None:
        raise ValueError(f"not a duration: {text}")
    return float(match[1]) * _UNITS[match[2] or "s"]
