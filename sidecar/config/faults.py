"""What is wrong with a configuration: every fault with its place, gathered and told at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice

from sidecar.delivery.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""Where a value stands in the tree: `("chains", "sms", 0)`."""

SHOWN = 100
"""Faults that an error's text lists; `ConfigFaults.faults` has them all."""
_NAME_LIMIT = 64
_CHOICES = 200


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file, both numbers counted from 1."""

    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing to mend. `path` is dotted (`chains.sms[0]`), and empty for the file as a whole."""

    line: int
    column: int
    path: str
    message: str
    suggestion: str | None = None
    file: str = ""

    def __str__(self) -> str:
        subject = f"{self.path}: " if self.path else ""
        hint = f" - did you mean `{self.suggestion}`?" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {subject}{self.message}{hint}"


class ConfigFaults(ConfigError):
    """The configuration cannot be used. Its text is one line a fault, in the order of the file."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda f: (f.file, f)))
        lines = [str(fault) for fault in self.faults[:SHOWN]]
        if len(self.faults) > SHOWN:
            lines.append(f"... and {len(self.faults) - SHOWN} more")
        super().__init__("\n".join(lines))


class FaultLog:
    """Gathers the faults of one file, each once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._faults: dict[tuple[Place, str, str], Fault] = {}

    @property
    def many(self) -> bool:
        """Whether there are more than are shown: then no more suggestions are looked for."""
        return len(self._faults) >= SHOWN

    def add(
        self,
        place: Place,
        message: str,
        path: KeyPath = (),
        *,
        wrong: str | None = None,
        choices: Iterable[str] = (),
        file: str | None = None,
    ) -> None:
        """Note a fault; the suggestion is what `wrong` nearly is among `choices`."""
        # Each search compares `wrong` with every choice: bounded, or a hostile file is slow.
        hint = None if wrong is None or self.many else closest(wrong, choices)
        fault = Fault(place.line, place.column, dotted(path), message, hint, file or self.file)
        self._faults.setdefault((place, fault.path, message), fault)

    def raise_any(self) -> None:
        """Raise `ConfigFaults` where there is a fault."""
        if self._faults:
            raise ConfigFaults(self._faults.values())


def closest(wrong: str, choices: Iterable[str]) -> str | None:
    """The choice that `wrong` was probably meant to be; None where none is near."""
    near = get_close_matches(wrong[:_NAME_LIMIT], list(islice(choices, _CHOICES)), n=1)
    return near[0] if near else None


def printable(name: str) -> str:
    """A name from the file as it may be shown: 64 printable characters at most."""
    clean = "".join(c if c.isprintable() else "?" for c in name[: _NAME_LIMIT + 1])
    return clean if len(clean) <= _NAME_LIMIT else f"{clean[:_NAME_LIMIT]}..."


def dotted(path: KeyPath) -> str:
    """`chains.sms[0]` from `("chains", "sms", 0)`."""
    parts = (f"[{p}]" if isinstance(p, int) else f".{printable(p)}" for p in path)
    return "".join(parts).removeprefix(".")
