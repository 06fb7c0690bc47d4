"""Speaking to a running sidecar, for the commands that need one."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import click

from sidecar import probe

ANSWER_LIMIT = 16 * 1024 * 1024
ANSWER_TIMEOUT = 35.0
"""Seconds an answer may take: the longest deadline there is, and a little."""


class Unreachable(click.ClickException):
    """No sidecar answers there, or what answers is none."""

    exit_code = 69

    def show(self, file: Any = None) -> None:
        click.echo(self.message, file=file, err=True)


def call(
    url: str, method: str, path: str, body: Mapping[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    """One JSON exchange with a running sidecar; raises `Unreachable` where there is none."""
    headers = {"Content-Type": "application/json"}
    token = os.environ.get("OTP_SIDECAR_TOKEN", "").strip()
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection("localhost")
    try:
        connection.sock = probe.connect(url, ANSWER_TIMEOUT)
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        said = _body(url, response)
    except probe.BadAddress as error:
        raise click.UsageError(str(error)) from None
    except ValueError:  # its text may hold the token
        raise click.UsageError("OTP_SIDECAR_TOKEN takes one visible word") from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise Unreachable(
            f"no sidecar answers at {url} ({why}); start one with "
            "`otp-sidecar run`, or name another with --url"
        ) from None
    finally:
        connection.close()
    return response.status, _with_advice(response.status, _read(url, said))


def lines_of(url: str, lines: Iterable[str]) -> list[str]:
    """`lines`, which are made of an answer. Raises `Unreachable` where it is none of a sidecar's.

    None is printed before all are made.
    """
    try:
        made = list(lines)
        "".join(made).encode()  # half a character can be in JSON, and on no screen
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
        raise _unlike(url) from None
    return made


def _body(url: str, response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(ANSWER_LIMIT)
    except (ValueError, OverflowError):  # a length, or a chunk's, that is none
        raise _unlike(url) from None


def _read(url: str, said: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError):
        raise _unlike(url) from None
    if not isinstance(answer, dict):
        raise _unlike(url)
    return answer


def _unlike(url: str) -> Unreachable:
    return Unreachable(f"{url} does not answer like a sidecar")


def _with_advice(status: int, answer: dict[str, Any]) -> dict[str, Any]:
    if status != 401:
        return answer
    if os.environ.get("OTP_SIDECAR_TOKEN", "").strip():
        detail = "the token in OTP_SIDECAR_TOKEN is none of those in its server.token_file"
    else:
        detail = "it wants a token: put one of its file into OTP_SIDECAR_TOKEN"
    return {**answer, "detail": detail}
