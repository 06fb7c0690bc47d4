"""How long SendGrid asks to be left alone."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

from sidecar import Reply


def wait_of(reply: Reply) -> float | None:
    """Seconds until `X-RateLimit-Reset`, a Unix time, by the reply's clock; or `Retry-After`."""
    reset = reply.headers.get("X-RateLimit-Reset", "")
    if re.fullmatch(r"[0-9]{1,12}", reset):
        left = int(reset) - _now(reply)
        if left > 0:
            return left
    return reply.retry_after()


def _now(reply: Reply) -> float:
    try:
        return parsedate_to_datetime(reply.headers["Date"]).timestamp()
    except (KeyError, ValueError, IndexError, OverflowError, TypeError):
        return time.time()
