"""Every fault by its name: where it strikes, whether the message was taken, what may be chosen."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EARLY = {"listen", "connect", "tls", "greeting", "ehlo", "starttls", "auth"}
"""Stages that a kept connection has behind it: it is closed when a fault is set for one of them."""
STEPS = {"greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot", "rset", "noop"}
STAGES = {
    "http": {"listen", "connect", "tls", "request"},
    "smtp": {"listen", "connect", "tls", "quit"} | STEPS,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """Where a fault strikes on HTTP and on SMTP (None: not there), and the options it takes.

    `accept` says that the message is taken, and stands in the ledger, before the answer breaks.
    """

    http: str | None
    smtp: str | None
    accept: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


MIB = 1024 * 1024
KINDS: Mapping[str, Kind] = {
    # the connection
    "refuse": Kind("listen", "listen"),
    "tls": Kind("tls", "tls", options={"how": "expired"}),  # see `certificates`, garbage, hang
    # no answer; `at: connect` strikes before a byte was read
    "silence": Kind("request", "dot"),
    "reset": Kind("request", "dot"),
    "eof": Kind("request", "dot"),
    "lost": Kind("request", "dot", accept=True, options={"how": "reset"}),  # eof, silence
    # half an answer, or far too much of one; `part` is head or body
    "drip": Kind("request", "dot", accept=True, options={"part": "body", "interval": 0.2}),
    "truncate": Kind("request", "dot", accept=True),
    "endless": Kind(
        "request",
        "dot",
        accept=True,
        options={"part": "body", "limit": 64 * MIB, "seconds": 10.0},
    ),
    "bomb": Kind("request", None, accept=True, options={"size": 100 * MIB}),  # when inflated
    "big": Kind("request", None, accept=True, options={"size": 300 * 1024}),
    # an answer that says no
    "throttle": Kind("request", "rcpt", options={"retry_after": None}),  # `date`, or as it is
    "status": Kind("request", None, options={"code": 503}),
    "reply": Kind(None, "rcpt", options={"text": "451 4.3.0 try again later"}),
    "redirect": Kind("request", None, options={"code": 307}),
    "auth": Kind("request", "auth", options={"code": 401}),
    "reject": Kind("request", "rcpt", options={"why": None}),  # some kinds know more than one
    "no_starttls": Kind(None, "ehlo"),
    # an answer that looks like a yes: html, empty, null, wrong_type, no_id, huge_id
    "answer": Kind("request", None, options={"body": "html"}),
    "failed": Kind("request", None),
    # a healthy answer, late by `delay`
    "slow": Kind("request", "dot", accept=True),
}
NO_ANSWER = ("silence", "reset", "eof")


class Fault:
    """A fault that was switched on for one provider.

    `times`: how often it strikes before the provider is healthy again. `probability`: of each
    strike, by a generator seeded with `seed`. `delay`: seconds before it strikes. Raises ValueError
    for what makes no sense.
    """

    def __init__(
        self,
        protocol: str,
        name: str,
        *,
        at: str | None = None,
        accept: bool | None = None,
        times: int | None = None,
        probability: float = 1.0,
        seed: int = 0,
        delay: float = 0.0,
        **options: Any,
    ) -> None:
        kind = KINDS.get(name)
        stage = at or (kind and getattr(kind, protocol))
        if kind is None or stage not in STAGES[protocol]:
            raise ValueError(f"{name} at {stage} is no fault of {protocol}")
        if unknown := set(options) - set(kind.options):
            raise ValueError(f"{name} takes no {', '.join(sorted(unknown))}")
        self.name = name
        self.stage = stage
        self.accept = kind.accept if accept is None else accept
        self.delay = delay
        self.options = {**kind.options, **options}
        self.left = times
        self.probability = probability
        self._random = random.Random(seed)

    def strikes(self) -> bool:
        """Whether it strikes now; it counts as one of its `times`."""
        if self.left == 0 or self._random.random() >= self.probability:
            return False
        if self.left is not None:
            self.left -= 1
        return True
