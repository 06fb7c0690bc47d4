"""What the stub took against what the sidecar's log says, row by row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """A message that the stub took."""

    vendor: str
    message_id: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Row:
    """An attempt in the sidecar's log; `recipient` is masked."""

    id: str
    recipient: str
    message_id: str | None
    outcome: str


class Mismatch(Exception):
    """The ledger and the log differ; the text has the first differences."""


def read(path: Path) -> list[Entry]:
    """The ledger as the stub drained it."""
    return [Entry(*json.loads(line)) for line in path.read_text().splitlines()]


def mask(recipient: str) -> str:
    """A recipient as the log shows it; written anew here, so that a wrong mask is seen."""
    if "@" in recipient:
        local, domain = recipient.split("@")
        name, ending = domain.rsplit(".", 1)
        return f"{local[0]}***@{name[0]}***.{ending}"
    return f"{recipient[:2]}{'*' * (len(recipient) - 6)}{recipient[-4:]}"


def differences(
    entries: Iterable[Entry], rows: Sequence[Row], answered: int, lost: int = 0
) -> list[str]:
    """Sentences for everything that is in one and not in the other.

    `answered` counts the callers that got a 200, `lost` the connections that broke before one.

    A message that was taken and whose attempt is `unknown` in the log is no difference: that is
    what the word says. It pairs with one such row to the same recipient.
    """
    accepted = {row.message_id: row for row in rows if row.outcome == "accepted"}
    doubtful = [row.recipient for row in rows if row.outcome == "unknown"]
    found = []
    matched = 0
    for entry in entries:
        row = accepted.pop(entry.message_id, None)
        if row is not None:
            matched += 1
            if row.recipient != mask(entry.recipient):
                found.append(f"{row.id}: the log has another recipient than {entry.message_id}")
        elif mask(entry.recipient) in doubtful:
            doubtful.remove(mask(entry.recipient))
        else:
            found.append(f"{entry.message_id}: taken, and the log has no accepted attempt")
    found += [f"{row.id}: accepted by the log, and never taken" for row in accepted.values()]
    if not answered <= matched <= answered + lost:
        found.append(f"{answered} callers were told of an acceptance, {matched} are in the log")
    return found


def compare(
    entries: Iterable[Entry], rows: Sequence[Row], answered: int, where: str, *, lost: int = 0
) -> None:
    """Raises Mismatch where they differ."""
    if found := differences(entries, rows, answered, lost):
        raise Mismatch(f"{where}: {len(found)} differences: " + "; ".join(found[:5]))
