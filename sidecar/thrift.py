"""What is imported at a lower price than it asks: structlog without rich, aiohttp without the CAs.

For the process that serves alone, and before anything else has imported either.
"""

from __future__ import annotations

import ssl
import sys
import threading
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
    may not: the first of them reads the CAs then, of the places that were in force here, and holds
    up its loop for 20 to 50 ms.
    """
    # truststore puts a class of its own there, and knows better where the CAs are.
    if "aiohttp" in sys.modules or ssl.SSLContext.__module__ != "ssl":
        return
    here = threading.get_ident()
    postponed: list[ssl.SSLContext] = []

    def postpone(context: ssl.SSLContext) -> None:
        if threading.get_ident() == here and type(context) is ssl.SSLContext:
            postponed.append(context)
        else:
            super(ssl.SSLContext, context).set_default_verify_paths()

    # It shadows the one of the C class below it, for as long as the import takes: mypy sees neither
    # that a method may be replaced, nor that a function becomes one.
    ssl.SSLContext.set_default_verify_paths = postpone  # type: ignore[assignment, method-assign]
    try:
        import_module("aiohttp")
    finally:
        del ssl.SSLContext.set_default_verify_paths
        places = ssl.get_default_verify_paths()
        for context in postponed:
            context.__class__ = _ReadsItsCAsLater
            context.__dict__["places"] = (places.cafile, places.capath)


class _ReadsItsCAsLater(ssl.SSLContext):
    """A context that reads its CAs where it is first used, and is an ordinary one from then on."""

    places: tuple[str | None, str | None]

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return _complete(self).wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return _complete(self).wrap_socket(*args, **kwargs)

    def cert_store_stats(self) -> dict[str, int]:
        return _complete(self).cert_store_stats()

    def get_ca_certs(self, *args: Any, **kwargs: Any) -> Any:
        return _complete(self).get_ca_certs(*args, **kwargs)


_READING = threading.Lock()


def _complete(context: ssl.SSLContext) -> ssl.SSLContext:
    # OpenSSL reads for 20 to 50 ms and lets other threads run: it is no ordinary one before.
    with _READING:
        if isinstance(context, _ReadsItsCAsLater):
            if any(context.places):
                context.load_verify_locations(*context.places)  # where it fails, the next one tries
            # To mypy it is a subclass from here on; it was one.
            context.__class__ = ssl.SSLContext  # type: ignore[assignment]
    return context
