"""A receiver's side of Standard Webhooks 1.0.0, written from the specification, not from our code.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any

KEY = b"canary-alerts-key-000000000001"
OLD_KEY = b"canary-alerts-key-of-yesterday"
TOLERANCE = 300
"""Seconds by which `webhook-timestamp` may be off."""


def secret_of(key: bytes) -> str:
    """A key as it is handed out."""
    return "whsec_" + base64.b64encode(key).decode()


def verified(
    headers: Mapping[str, str], body: bytes, key: bytes = KEY, now: float | None = None
) -> dict[str, Any]:
    """The payload, where one of the signatures is `key`'s. AssertionError for anything else."""
    given = {name.lower(): value for name, value in headers.items()}
    webhook_id, moment = given["webhook-id"], given["webhook-timestamp"]
    assert webhook_id
    assert "." not in webhook_id
    assert moment.isdecimal(), "whole seconds"
    if now is not None:
        assert abs(int(moment) - now) <= TOLERANCE, "too old, or of tomorrow"
    content = b".".join([webhook_id.encode(), moment.encode(), body])
    expected = hmac.new(key, content, "sha256").digest()
    signatures = [one.partition(",") for one in given["webhook-signature"].split(" ")]
    raw = [
        base64.b64decode(text, validate=True) for version, _, text in signatures if version == "v1"
    ]
    assert any(hmac.compare_digest(expected, one) for one in raw), "no signature matches"
    payload: dict[str, Any] = json.loads(body)
    assert payload.keys() == {"type", "timestamp", "data"}
    return payload
