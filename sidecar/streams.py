"""Standard output and error: there at all, and let go of where they cannot be written.

Standard library only, and little of it: `otp-sidecar health` uses it too.
"""

from __future__ import annotations

import os
import sys

NAMES = ("stdout", "stderr")


def have_streams() -> None:
    """Python has no stdout, or stderr, where the descriptor was closed before it started."""
    for name in NAMES:
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115  # to the end


def tell(name: str, text: str) -> bool:
    """Write `text` to the stream of this name; whether it could be."""
    stream = getattr(sys, name)
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        let_go_of(name)
        return False
    return True


def let_go_of(name: str) -> str | None:
    """Let what the stream of this name could not write be lost: Python would end with 120 for it.

    Says why it could not, if so.
    """
    stream = getattr(sys, name)
    try:
        stream.flush()
    except OSError as error:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123  # a device, not a file of ours
            os.dup2(nothing.fileno(), stream.fileno())
        return error.strerror or type(error).__name__
    return None


def why_unwritten() -> str | None:
    """Why not all could be written, if so; both streams are let go of."""
    found = [let_go_of(name) for name in NAMES]
    return found[0] or found[1]
