"""Which plugin offers a scheme of secrets: entry points, loaded when a file uses the scheme."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points

from sidecar import hookspecs
from sidecar.config.references import Lack
from sidecar.contract import in_one_line
from sidecar.interrupt import Interrupted
from sidecar.secret_source import SecretSource


class Sources:
    """The installed schemes. `register` lets pluggy know a module that was loaded."""

    def __init__(self, register: Callable[[object], None]) -> None:
        self._register = register
        self._classes: dict[str, type[SecretSource]] = {}

    def of(self, scheme: str) -> type[SecretSource] | Lack:
        """The class that serves `scheme`, its plugin imported if it was not; or why there is none.

        No other plugin is imported.
        """
        if scheme in self._classes:
            return self._classes[scheme]
        found = self._load(scheme)
        if not isinstance(found, Lack):
            self._classes[scheme] = found
        return found

    def _load(self, scheme: str) -> type[SecretSource] | Lack:
        installed = sorted(entry_points(group=hookspecs.SECRETS), key=lambda entry: entry.name)
        named = [entry for entry in installed if entry.name == scheme]
        if not named:
            return _unknown(scheme, installed)
        if len(named) > 1:
            names = " and ".join(sorted(_distribution(entry) for entry in named))
            return _fault(f"the scheme `{scheme}` is offered twice, by {names}; uninstall one")
        entry = named[0]
        try:
            plugin = entry.load()
            self._register(plugin)
            register = getattr(plugin, "register_secret_sources", None)
            found = _of_scheme(register(), scheme) if register else None
        except Interrupted:
            raise
        except BaseException as error:  # noqa: BLE001  # a plugin may raise anything
            return _fault(f"{_plugin(entry)} cannot be loaded: {in_one_line(error)}")
        if found is None:
            return _fault(
                f"{_plugin(entry)} brings no such source: its `register_secret_sources` must "
                "return a class that extends SecretSource"
            )
        return found


def _of_scheme(classes: Sequence[object], scheme: str) -> type[SecretSource] | None:
    sources = (c for c in classes if isinstance(c, type) and issubclass(c, SecretSource))
    usable = (c for c in sources if not inspect.isabstract(c))
    return next((c for c in usable if getattr(c, "scheme", None) == scheme), None)


def _unknown(scheme: str, installed: Sequence[EntryPoint]) -> Lack:
    offered = [f"`{entry.name}` of {_distribution(entry)}" for entry in installed]
    there = ", ".join(["`file`", *offered])
    reason = (
        f"no installed plugin offers secrets of the scheme `{scheme}`; there are {there}"
        if offered
        else f"no installed plugin offers secrets of the scheme `{scheme}`, nor of another one: "
        "install the plugin, or use `${file:/path}`"
    )
    return Lack(reason, fault=True, schemes=("file", *(entry.name for entry in installed)))


def _plugin(entry: EntryPoint) -> str:
    return f"the plugin for secrets of the scheme `{entry.name}` ({_distribution(entry)})"


def _fault(reason: str) -> Lack:
    return Lack(reason, fault=True)


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
