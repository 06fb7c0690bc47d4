"""The courier's bag: the letters that wait, bounded, and which of them goes next."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.alerts.letter import Letter

ROOM = 256
"""Letters in the bag; with one more the oldest is dropped."""


class Bag:
    """Letters in the order of their birth. `out` is the one that is just being brought."""

    def __init__(self) -> None:
        self._letters: list[Letter] = []
        self.out: Letter | None = None

    def __len__(self) -> int:
        return len(self._letters)

    def put(self, letter: Letter) -> bool:
        """Take a letter; True where the oldest was dropped for it."""
        self._letters.append(letter)
        if len(self._letters) <= ROOM:
            return False
        del self._letters[self._letters[0] is self.out]
        return True

    def remove(self, letter: Letter) -> None:
        self._letters.remove(letter)

    def next(self, now: float, *, hurry: bool) -> Letter | None:
        """The one to bring at `now`; with `hurry` each once more, whenever it is due.

        New ones go first, or each would wait until all that failed before had failed again.
        """
        ready = [one for one in self._first() if (not one.hurried if hurry else one.due <= now)]
        return min(ready, key=lambda letter: letter.tries, default=None)

    def next_due(self) -> float:
        """When `next` will give one; infinity for an empty bag."""
        return min((letter.due for letter in self._first()), default=float("inf"))

    def older_than(self, moment: float) -> list[Letter]:
        """Those that were born before `moment`."""
        return [letter for letter in self._letters if letter.born < moment]

    def all_due(self, now: float) -> None:
        """Let none of them wait."""
        for letter in self._letters:
            letter.due = min(letter.due, now)

    def empty(self) -> int:
        """Throw all away; how many there were."""
        thrown = len(self._letters)
        self._letters.clear()
        return thrown

    def _first(self) -> Iterator[Letter]:
        """Of those about the same thing the oldest: it may not be overtaken."""
        seen: set[tuple[str, str]] = set()
        for letter in self._letters:
            if letter.about not in seen:
                seen.add(letter.about)
                yield letter
