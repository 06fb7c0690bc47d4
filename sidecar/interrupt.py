"""A person's Ctrl-C, told apart from a KeyboardInterrupt that a plugin raises of its own.

The first ends the process; the second is a plugin's fault like any other.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, while it is told apart."""


@contextmanager
def told_apart() -> Iterator[None]:
    """Have SIGINT raise `Interrupted` in the block, where Python's own handler would be called.

    It is called in the main thread alone: nothing is to be done in another one.
    """
    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _interrupted:  # a plugin may have set its own
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupted(*_: object) -> NoReturn:
    raise Interrupted
