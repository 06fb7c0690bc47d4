"""Libraries without the parts that they load in passing and nothing here uses.

`import structlog` loads rich where that is installed, and `import aiohttp` its client, which makes
two TLS contexts: together some 100 ms and 8 MB. For the process that serves alone, and before
anything else has imported them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any


def import_without_the_unused() -> None:
    """Import structlog without rich, and aiohttp's server without its client."""
    _structlog_without_rich()
    _server_of_aiohttp()


def _structlog_without_rich() -> None:
    # It is for tracebacks in colour, and no traceback is ever printed.
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # importlib's word for: not installed
    try:
        import_module("structlog")
    finally:
        del sys.modules["rich"]


def _server_of_aiohttp() -> None:
    if "aiohttp" in sys.modules or (spec := find_spec("aiohttp")) is None:
        return
    package = module_from_spec(spec)
    sys.modules["aiohttp"] = package
    try:
        package.__dict__["__version__"] = version("aiohttp")  # the server names itself by it
        import_module("aiohttp.web")
    except ImportError:  # a version whose server needs more: then all of it
        for name in [name for name in sys.modules if name.partition(".")[0] == "aiohttp"]:
            del sys.modules[name]
        return
    package.__class__ = _Unfinished


class _Unfinished(ModuleType):
    """A package whose `__init__` runs when somebody asks for what that brings.

    A plugin for `aiohttp.ClientSession`, say.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":  # importlib and inspect look for these
            raise AttributeError(name)
        with _FINISHING:
            if not self.__dict__.get("_begun"):
                self.__dict__["_begun"] = True
                assert self.__spec__ is not None
                assert self.__spec__.loader is not None
                self.__spec__.loader.exec_module(self)
                self.__class__ = ModuleType  # type: ignore[assignment]  # it is one again
        return ModuleType.__getattribute__(self, name)


_FINISHING = RLock()
"""Held by the thread that finishes the package; what it imports may ask the package again."""
