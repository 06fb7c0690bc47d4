"""The process's environment, with what `.env` adds to it for the SDKs' own credential chains."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping


class Surroundings:
    """`own` is the environment as the process was given it; it always wins."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self.own: Mapping[str, str] = dict(environ)
        self._environ = environ
        self._added: set[str] = set()

    def share(self, values: Mapping[str, str]) -> None:
        """Let everybody in the process see `values`; what was shared before and is gone, goes."""
        for name in self._added - values.keys():
            self._environ.pop(name, None)
        self._added = set(values.keys() - self.own.keys())
        for name in self._added:
            self._environ[name] = values[name]
