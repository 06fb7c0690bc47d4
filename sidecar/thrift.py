"""What is imported at a lower price than it asks: structlog without rich, aiohttp without the CAs.

For the process that serves alone, and before anything else has imported either.
"""

from __future__ import annotations

import ssl
import sys
from importlib import import_module
from typing import Any


def import_structlog() -> None:
    """Import it without rich, which it loads where that is installed: 30 to 60 ms and 3 MB.

    rich can be imported afterwards, by a plugin.
    """
    # It is for tracebacks in colour, and no traceback is ever printed.
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # importlib's word for: not installed
    try:
        import_module("structlog")
    finally:
        del sys.modules["rich"]


def import_aiohttp() -> None:
    """Import it without the system's CAs, which it reads twice: 35 to 110 ms and 2 MB.

    They are for connections of its client that bring no context of their own. Ours do; a plugin's
    may not, so each context reads them before its first connection.
    """
    if "aiohttp" in sys.modules:
        return
    postponed: list[ssl.SSLContext] = []

    def postpone(context: ssl.SSLContext) -> None:
        postponed.append(context)

    # It shadows the one of the C class below it, for as long as the import takes.
    ssl.SSLContext.set_default_verify_paths = postpone  # type: ignore[assignment, method-assign]
    try:
        import_module("aiohttp")
    finally:
        del ssl.SSLContext.set_default_verify_paths
    for context in postponed:
        context.__class__ = _ReadsItsCAsLater


class _ReadsItsCAsLater(ssl.SSLContext):
    """A context that reads the system's CAs when it is first used, and is an ordinary one then."""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self._complete().wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return self._complete().wrap_socket(*args, **kwargs)

    def _complete(self) -> ssl.SSLContext:
        self.__class__ = ssl.SSLContext  # type: ignore[assignment]
        self.set_default_verify_paths()
        return self
