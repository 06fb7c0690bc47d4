"""What the providers took, and how often anybody came."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

_CORRELATION = re.compile(r"#([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Letter:
    """What a request asks a provider to deliver."""

    recipient: str
    text: str
    message_id: str | None = None  # where the sender chooses it: the Message-ID of a mail


@dataclass(slots=True)
class Counts:
    """`requests` are HTTP requests, or transactions begun by MAIL."""

    connections: int = 0
    requests: int = 0
    redirects_followed: int = 0


class Ledger:
    """Every acceptance, in memory and as a line of JSON in `path`, written before any answer.

    `lost` says that a fault keeps the answer from arriving whole. `correlation` is the word behind
    a `#` in the text, where there is one.
    """

    def __init__(self, path: Path) -> None:
        self.records: list[dict[str, Any]] = []
        self._file = path.open("a", encoding="utf-8")

    def accept(self, provider: str, id_: str, letter: Letter, *, lost: bool) -> None:
        found = _CORRELATION.search(letter.text)
        record = {
            "provider": provider,
            "id": id_,
            "recipient": letter.recipient,
            "sha256": sha256(letter.text.encode()).hexdigest(),
            "correlation": found[1] if found else None,
            "time": time.time(),
            "lost": lost,
        }
        self.records.append(record)
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def counts_of(counts: Counts) -> dict[str, int]:
    return asdict(counts)
