"""The file on its way to a `Config`: its values, their places, and what is wrong so far."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sidecar.config.document import Document
from sidecar.config.faults import FaultLog, KeyPath
from sidecar.config.references import Reference
from sidecar.config.variables import Expansion, Gap
from sidecar.config.words import Problem, problems, secret_texts
from sidecar.delivery.whereabouts import name_of
from sidecar.interrupt import Interrupted

M = TypeVar("M", bound=BaseModel)


@dataclass(slots=True)
class Draft:
    """What the steps of the loader hand round. `secrets` grows with every section judged."""

    document: Document
    expansion: Expansion
    faults: FaultLog
    secrets: set[str] = field(default_factory=set)

    def mapping(self, key: str) -> dict[str, Any]:
        """A section at the top of the file; empty where there is none, or none that can be used."""
        section = self.expansion.value.get(key)
        return section if isinstance(section, dict) else {}

    def fault(
        self,
        path: KeyPath,
        message: str,
        *,
        at_key: bool = False,
        wrong: str | None = None,
        choices: Iterable[str] = (),
    ) -> None:
        """Note a fault at the place of the value at `path`, or of its key."""
        place = self.document.key_place(path) if at_key else self.document.place(path)
        self.faults.add(place, message, path, wrong=wrong, choices=choices)

    def gaps(self, within: KeyPath) -> list[Gap]:
        """The variables without a value below `within`."""
        return [gap for gap in self.expansion.gaps if _below(gap.path, within)]

    def tell(self, gaps: Iterable[Gap], advice: str = "") -> None:
        """Make faults of gaps that nothing excuses."""
        for gap in gaps:
            self.fault(gap.path, gap.message + advice)

    def references(self, within: KeyPath) -> frozenset[Reference]:
        """The secrets that texts below `within` ask sources for."""
        asked = self.expansion.references.items()
        return frozenset[Reference]().union(*(one for path, one in asked if _below(path, within)))

    def renewable(self, within: KeyPath) -> bool:
        """Whether a value below `within` may change while the file stays as it is."""
        return any(_below(path, within) for path in self.expansion.renewable)

    def written(self, at: KeyPath) -> str:
        """A digest of the value at `at` as the file has it, its variables not expanded."""
        value: Any = self.document.value
        for step in at:
            value = value[step]
        return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()

    def literal(self, path: KeyPath) -> bool:
        """Whether the value stands in the file as it is, so that it may be repeated."""
        return path not in self.expansion.origins

    def validated(
        self, model: type[M], at: KeyPath, value: Any, *, shorthand: KeyPath = ()
    ) -> M | None:
        """`value` as a `model`, or None with its faults noted.

        `shorthand` is the part of the model that the file's value alone stands for.
        """
        for path, text in secret_texts(model, value):
            if (*at, *path) not in self.expansion.holes:
                self.secrets.add(text)
        hidden = self.expansion.outside | self.secrets
        try:
            return model.model_validate(value)
        except ValidationError as error:
            for problem in problems(error, model, value, hidden):
                self._note(problem, at, shorthand)
        except Interrupted:
            raise
        except BaseException as error:  # noqa: BLE001  # a plugin's own validators
            self._note(Problem((), f"cannot be judged: {name_of(type(error))}"), at, shorthand)
        return None

    def _note(self, problem: Problem, at: KeyPath, shorthand: KeyPath) -> None:
        inner = problem.path
        if shorthand and inner[: len(shorthand)] == shorthand:
            inner = inner[len(shorthand) :]
        path = (*at, *inner)
        if self._follows_from_a_hole(path, problem):
            return
        place = self.document.place(path)
        if problem.missing:
            place = self.document.key_place(path[:-1])
        elif problem.about_key or not problem.path:
            place = self.document.key_place(path)
        self.faults.add(place, problem.message, path, wrong=problem.wrong, choices=problem.choices)

    def _follows_from_a_hole(self, path: KeyPath, problem: Problem) -> bool:
        """Whether the error may only be there because a variable's value is not."""
        related = (_below(path, hole) or _below(hole, path) for hole in self.expansion.holes)
        return not problem.about_key and any(related)


def _below(path: KeyPath, above: KeyPath) -> bool:
    return path[: len(above)] == above


def place_of(draft: Draft, file: str, path: KeyPath) -> str | None:
    """Where the value at `path` came from; None where the file does not have it."""
    outside = draft.expansion.origins.get(path)
    if outside is not None:
        return outside
    place = draft.document.values.get(path)
    return None if place is None else f"{file}:{place}"
