"""Frozen values that are made as quickly as others.

A frozen dataclass stores each field by a call of `object.__setattr__`, and the values of one send
have sixty fields: a twentieth of all that it costs.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

T = TypeVar("T")


def made_quickly(cls: type[T]) -> type[T]:
    """A frozen dataclass with slots, whose instances are made in a quarter of the time.

    The fields are stored in an instance of a class that has the same slots and is not frozen; then
    that becomes one of `cls`. All else is as it was, but a subclass can have no further fields.
    """
    of_class = fields(cls)  # type: ignore[arg-type]  # it is a dataclass
    names = tuple([field.name for field in of_class])
    known: dict[str, Any] = {"Open": type(cls.__name__, (), {"__slots__": names}), "no": MISSING}
    parameters, steps = [], ["new = Open()"]
    for field in of_class:
        name, usual, make = field.name, f"_{field.name}", f"_make_{field.name}"
        known |= {usual: field.default, make: field.default_factory}
        if field.default_factory is not MISSING:
            steps.append(f"if {name} is no: {name} = {make}()")
        elif field.default is MISSING:
            usual = ""
        parameters.append(f"{name}={usual}" if usual else name)
        steps.append(f"new.{name} = {name}")
    steps.append("new.__class__ = cls")
    if hasattr(cls, "__post_init__"):
        steps.append("new.__post_init__()")
    text = [f"def __new__(cls, {', '.join(parameters)}):", *steps, "return new"]
    exec("\n ".join(text), known)  # noqa: S102  # as dataclasses does it: of fields' names alone
    made: Any = cls
    made.__new__ = known["__new__"]
    made.__init__ = object.__init__
    made.__getnewargs__ = lambda self: tuple([getattr(self, name) for name in names])  # to copy it
    return cls
