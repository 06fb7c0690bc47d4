"""One statement for many rows.

A statement gives the interpreter away while it runs, and a busy event loop is slow to give it
back: sixty-four rows in one statement wait for it once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, TypeVar

from sidecar.store.schema import Statements

SIZES = (64, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
"""Rows of one statement. Another statement costs as much as a row and a half, and to keep one
prepared takes 2 KB a row: of these, which all stay, three do for any group of up to 32."""

T = TypeVar("T")


def parts(items: Sequence[T], sizes: Sequence[int] = SIZES) -> Iterator[Sequence[T]]:
    """The items, in order, in parts of these sizes; the last size is 1."""
    start = 0
    for size in sizes:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


def execute(db: Statements, sql: str, row: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Execute `sql` with as many `row` in place of its `{}` as there are rows.

    How many rows it wrote: SQLite's module counts only for a text that begins with its verb.
    """
    values = list(chain.from_iterable(rows))
    return db.execute(_for(sql, row, len(rows)), values).rowcount


@cache
def places(count: int) -> str:
    """A row of so many places."""
    return f"({', '.join('?' * count)})"


@cache
def _for(sql: str, row: str, count: int) -> str:
    return sql.format(", ".join([row] * count))
