"""Clients that keep their contract while the sidecar dies under them, and what they were told."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.oracle import Sent
from harness.process import Answer, exchange

FINAL = {200, 202, 422}
"""Statuses after which a client asks no more under its key."""
AGAIN = {409, 502, 503, 504}
"""Statuses after which it asks again, with the same key, once `Retry-After` has passed."""
NO_SERVER_PAUSE = 0.2
"""Seconds until a client asks again where nobody answered."""


@dataclass(frozen=True, slots=True)
class Told(Sent):
    """`at` is when the answer was there, or was given up: Unix time in seconds."""

    at: float = 0.0


class Client:
    """Asks with one key until an answer is final; keeps everything that it was told.

    `longest` bounds what `Retry-After` makes it wait, in seconds.
    """

    def __init__(
        self, where: str, told: list[Told], *, longest: float, give_up: threading.Event
    ) -> None:
        self._where = where
        self._told = told
        self._longest = longest
        self._give_up = give_up

    def persist(self, key: str, body: Mapping[str, Any], **options: float) -> Told | None:
        """The final answer; None where it was to give up before. `deadline`: seconds."""
        while not self._give_up.is_set():
            told = self.ask(key, body, **options)
            if told.answer is not None and told.answer.status not in AGAIN:
                return told
            self._give_up.wait(self._pause(told.answer))
        return None

    def ask(self, key: str, body: Mapping[str, Any], deadline: float = 10.0) -> Told:
        """Once."""
        began = time.monotonic()
        answer: Answer | None
        try:
            headers = {"Idempotency-Key": key}
            answer = exchange(self._where, "POST", "/v1/send", body, headers)
        except (OSError, http.client.HTTPException):
            answer = None
        seconds = time.monotonic() - began
        told = Told(body["text"], answer, seconds, key, deadline, at=time.time())
        self._told.append(told)
        return told

    def _pause(self, answer: Answer | None) -> float:
        if answer is None:
            return NO_SERVER_PAUSE
        return min(float(answer.headers.get("Retry-After", "0")) or 0.05, self._longest)


def in_threads(count: int, work: Callable[[int], None]) -> list[threading.Thread]:
    """`work` with each number below `count`, each in a thread that was started."""
    threads = [threading.Thread(target=work, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def denied(tolds: Iterable[Told], ledger: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What was called surely not sent (502, 503, 504) was in no ledger then.

    An answer without a delivery speaks of its own request alone: one that was not begun, while the
    process drains, say. What became of the key before is not looked up for it.
    """
    first: dict[str, float] = {}
    for record in ledger:
        first.setdefault(record["sha256"], record["time"])
    for told in tolds:
        if told.answer is None or told.answer.status not in AGAIN or not told.document:
            continue
        if first.get(told.sha256, told.at) < told.at - told.seconds:
            # It was taken in an earlier run of the key: nothing may run after that.
            yield f"{told.key} was taken, then answered {told.answer.status} as not sent"
        elif told.sha256 in first and first[told.sha256] < told.at:
            yield f"{told.key} was taken, and answered {told.answer.status} as not sent"


def odd(tolds: Iterable[Told]) -> Iterator[str]:
    """An answer of a kind that the contract has not."""
    for told in tolds:
        if told.answer is not None and told.answer.status not in FINAL | AGAIN:
            yield f"{told.key} was answered {told.answer}"
