"""Where a stranger's code broke: the file's name, the line and the function, and never the text.

What an exception says may hold a recipient or a code; where it was raised is in nobody's message.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

_OURS = "sidecar"
_LIMIT = 120
_TRACEBACK: Any = vars(BaseException)["__traceback__"]
_NAME: Any = vars(type)["__name__"]  # a metaclass may hide it under its own


def name_of(cls: type) -> str:
    """The name of a stranger's class, printable and cut to size. Raises nothing."""
    return _shown(_NAME.__get__(cls))


def whereabouts(error: BaseException, home: str) -> str:
    """` at acme.py:42 in send`, or nothing where no frame is known.

    The innermost frame of the package of `home`, a module; where it has none, the innermost that is
    not the sidecar's. Raises nothing, whatever `error` is.
    """
    own = other = None
    trace: TracebackType | None = _TRACEBACK.__get__(error)  # a class may hide it under its own
    while trace is not None:
        top = _top(trace.tb_frame.f_globals.get("__name__"))
        if top == _top(home):
            own = trace
        elif top != _OURS:
            other = trace
        trace = trace.tb_next
    found = own or other
    return "" if found is None else f" at {_told(found)}"


def _top(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


def _told(trace: TracebackType) -> str:
    code = trace.tb_frame.f_code
    file = code.co_filename.replace("\\", "/").rpartition("/")[2]
    told = f"{file}:{trace.tb_lineno} in {code.co_name}"
    return _shown(told)


def _shown(text: str) -> str:
    # A class may be named by a subclass of str, whose own methods are not run.
    return "".join(c if c.isprintable() else "?" for c in str.__getitem__(text, slice(_LIMIT)))
