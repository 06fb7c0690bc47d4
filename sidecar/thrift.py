"""structlog without rich, which it loads wherever that is installed: 30 to 60 ms and 3 MB.

For the process that serves alone, and before anything else has imported either.
"""

from __future__ import annotations

import sys
from importlib import import_module


def import_structlog() -> None:
    """Import it; rich can be imported afterwards, by a plugin."""
    # It is for tracebacks in colour, and no traceback is ever printed.
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # importlib's word for: not installed
    try:
        import_module("structlog")
    finally:
        del sys.modules["rich"]
