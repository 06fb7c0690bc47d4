"""Speaking to a running sidecar, for the commands that need one."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping
from typing import Any

import click

from sidecar import probe

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
        return response.status, _with_advice(response.status, json.loads(response.read()))
    except json.JSONDecodeError:
        raise Unreachable(f"{url} does not answer like a sidecar") from None
    except ValueError:  # its text may hold the token
        raise click.UsageError(
            "--url takes http://127.0.0.1:8780 or unix:/path, OTP_SIDECAR_TOKEN one visible word"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise Unreachable(
            f"no sidecar answers at {url} ({why}); start one with "
            "`otp-sidecar run`, or name another with --url"
        ) from None
    finally:
        connection.close()


def _with_advice(status: int, answer: dict[str, Any]) -> dict[str, Any]:
    if status != 401:
        return answer
    if os.environ.get("OTP_SIDECAR_TOKEN", "").strip():
        detail = "the token in OTP_SIDECAR_TOKEN is none of those in its server.token_file"
    else:
        detail = "it wants a token: put one of its file into OTP_SIDECAR_TOKEN"
    return {**answer, "detail": detail}
