"""Decimal arithmetic that no guest can change.

`decimal.getcontext()` gives one mutable object to a task and to all that it starts: a plugin that
sets its precision to 1 would set that of our sums, and a budget would never be reached.
"""

from __future__ import annotations

from decimal import Context, DivisionByZero, InvalidOperation, Overflow, setcontext

_USUAL = Context(
    prec=28, Emin=-999_999, Emax=999_999, traps=[InvalidOperation, DivisionByZero, Overflow]
)


def own_arithmetic() -> None:
    """Give this task, and those that it will start, a context of their own, as it is by default."""
    setcontext(_USUAL.copy())
