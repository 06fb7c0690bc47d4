"""The signature of one request: AWS Signature Version 4, from the IAM user guide.

Botocore's signer costs more than the request it signs: it builds a request of its own, and derives
the day's key anew each time. It is the oracle in the tests, where every byte is compared.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from time import gmtime, strftime, time
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from sidecar_aws.access import Access

CALLS = 32
"""Calls that are remembered, for one day and access. Their addresses are AWS's, and name our own
sender at most: no recipient is in them."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_What = tuple[str, str, str | None, str | None]
"""Method, address, content type and target of a call."""


class _Call(NamedTuple):
    """What the signatures of calls to one address have in common on one day.

    `asked` stands before the time in what is signed, and `named` behind it; `sent` are headers.
    The session token is in both of the latter.
    """

    asked: str
    named: str
    sent: dict[str, str]
    login: str

    def __repr__(self) -> str:
        return f"_Call({self.login!r})"


@dataclass(frozen=True, slots=True)
class _Day:
    """What the signatures of one UTC day have in common, for one access.

    `keyed` has the key taken in: a copy costs half of what `hmac` does that begins anew.
    """

    access: Access
    date: str
    scope: str
    token: dict[str, str] = field(repr=False)
    token_line: str = field(repr=False)
    keyed: hmac.HMAC = field(repr=False)
    calls: dict[_What, _Call] = field(default_factory=dict, repr=False)

    def mac(self, told: str) -> str:
        """The signature of `told`, in hex."""
        keyed = self.keyed.copy()
        keyed.update(told.encode())
        return keyed.hexdigest()


class Signer:
    """Signs for one service, by its signing name (`ses`, `sns`, `sms-voice`).

    `now` gives Unix time. The derived key is kept for as long as the UTC date and the access stay
    the same.
    """

    def __init__(self, service: str, now: Callable[[], float] = time) -> None:
        self._service = service
        self._now = now
        self._day: _Day | None = None

    def sign(
        self,
        access: Access,
        method: str,
        url: str,
        content_type: str | None,
        body: bytes,
        target: str | None = None,
    ) -> dict[str, str]:
        """The headers to send: type, date, session token, target and signature.

        `url` is the whole address as it goes on the wire, without a query; `method` in upper case;
        `content_type` and `target` without spaces to trim. `target` names the call where the path
        does not, as in the AWS JSON protocol.
        """
        at = _timestamp(int(self._now()))
        day = self._day_of(access, at[:8])
        what = (method, url, content_type, target)
        call = day.calls.get(what) or _prepared(day, what)
        request = f"{call.asked}{at}{call.named}{sha256(body).hexdigest()}"
        digest = sha256(request.encode()).hexdigest()
        signature = day.mac(f"AWS4-HMAC-SHA256\n{at}\n{day.scope}\n{digest}")
        return {"X-Amz-Date": at, **call.sent, "Authorization": f"{call.login}{signature}"}

    def _day_of(self, access: Access, date: str) -> _Day:
        day = self._day
        # By identity: renewed credentials come as a new `Access`.
        if day is None or day.access is not access or day.date != date:
            day = self._day = self._derive(access, date)
        return day

    def _derive(self, access: Access, date: str) -> _Day:
        scope = (date, access.region, self._service, "aws4_request")
        key = f"AWS4{access.keys.secret_key}".encode()
        for part in scope:
            key = hmac.digest(key, part.encode(), "sha256")
        token = access.keys.token
        sent = {"X-Amz-Security-Token": token} if token else {}
        line = f"x-amz-security-token:{' '.join(token.split())}\n" if token else ""
        keyed = hmac.new(key, digestmod="sha256")
        return _Day(access, date, "/".join(scope), sent, line, keyed)


def _prepared(day: _Day, what: _What) -> _Call:
    method, url, content_type, target = what
    host, path = _place(url)
    before, behind, sent = f"host:{host}\nx-amz-date:", f"\n{day.token_line}", dict(day.token)
    names = "host;x-amz-date;x-amz-security-token" if day.token else "host;x-amz-date"
    if content_type:
        sent["Content-Type"] = content_type
        before = f"content-type:{content_type}\n{before}"
        names = f"content-type;{names}"
    if target:
        sent["X-Amz-Target"] = target
        behind += f"x-amz-target:{target}\n"
        names += ";x-amz-target"
    login = (
        f"AWS4-HMAC-SHA256 Credential={day.access.keys.access_key}/{day.scope}, "
        f"SignedHeaders={names}, Signature="
    )
    call = _Call(f"{method}\n{path}\n\n{before}", f"{behind}\n{names}\n", sent, login)
    if len(day.calls) >= CALLS:
        day.calls.clear()
    day.calls[what] = call
    return call


@lru_cache(maxsize=1)
def _timestamp(second: int) -> str:
    return strftime("%Y%m%dT%H%M%SZ", gmtime(second))


def _place(url: str) -> tuple[str, str]:
    """The host as it stands in `Host`, and the path as it is signed."""
    parts = urlsplit(url)
    assert not parts.query, "no call of this plugin has a query"
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    if parts.port is not None and parts.port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{parts.port}"
    return host, quote(_without_dots(parts.path), safe="/~")


def _without_dots(path: str) -> str:
    """The path without `.`, `..` and empty steps (RFC 3986 section 5.2.4), beginning with `/`."""
    steps: list[str] = []
    for step in path.split("/"):
        if step == "..":
            del steps[-1:]
        elif step not in ("", "."):
            steps.append(step)
    closing = "/" if steps and path.endswith("/") else ""
    return f"/{'/'.join(steps)}{closing}"
