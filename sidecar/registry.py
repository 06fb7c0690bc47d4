"""Which plugin serves a kind: entry points, loaded one by one and only when the file names them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from sidecar import hookspecs
from sidecar.contract import breach_of, in_one_line
from sidecar.delivery.errors import ConfigError, PluginNotFound
from sidecar.delivery.provider import Provider
from sidecar.delivery.whereabouts import name_of
from sidecar.interrupt import Interrupted, told_apart

if TYPE_CHECKING:
    from sidecar.config.references import Answers, Reference
    from sidecar.safe import Safe


class Registry:
    """The installed kinds. Listing them runs no code; `provider_class` imports that kind alone."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._classes: dict[str, type[Provider[Any]]] = {}
        self._seen: Sequence[EntryPoint] = ()

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks of the plugins that were loaded; for telling observers."""
        return self._manager.hook

    def register(self, observer: object) -> None:
        """Let an object of our own hear what the plugins hear."""
        self._manager.register(observer)

    def installed(self) -> Sequence[EntryPoint]:
        """Every entry point of the group, by kind, as it is on the disk now."""
        found = entry_points(group=hookspecs.PROJECT)
        self._seen = sorted(found, key=lambda entry: entry.name)
        return self._seen

    def provider_class(self, kind: str) -> type[Provider[Any]]:
        """The class that serves `kind`, its plugin imported if it was not yet.

        Raises `PluginNotFound` where none is installed, `ConfigError` where two are, or where the
        plugin cannot be imported or breaks its contract.
        """
        if kind not in self._classes:
            with told_apart():
                self._classes[kind] = self._load(kind)
        return self._classes[kind]

    @cached_property
    def safe(self) -> Safe:
        """The secrets that plugins fetched, for as long as the process lives."""
        from sidecar.safe import Safe  # noqa: PLC0415  # few files refer to secrets
        from sidecar.sources import Sources  # noqa: PLC0415

        return Safe(Sources(self._register).of)

    def resolve(self, references: Collection[Reference], environ: Mapping[str, str]) -> Answers:
        """The values of secrets that a file refers to; see `sidecar.safe`. Blocks for seconds."""
        return self.safe.resolve(references, environ)

    def troubles(self, references: Collection[Reference]) -> dict[str, str]:
        """Why some of these cannot be had, by how a person is told of them."""
        return self.safe.troubles(references) if references else {}

    def home_of(self, kind: str) -> str | None:
        """The module of the class that serves `kind`; None where it was not loaded."""
        found = self._classes.get(kind)
        return found.__module__ if found is not None else None

    def commands_of(self, entry: EntryPoint) -> Sequence[object]:
        """What the plugin behind `entry` returns from `register_commands`; may raise anything."""
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        with told_apart():
            manager.register(entry.load())
            return [command for brought in manager.hook.register_commands() for command in brought]

    def _load(self, kind: str) -> type[Provider[Any]]:
        entry = self._entry_point(kind)
        try:
            plugin = entry.load()
            self._register(plugin)
            register = getattr(plugin, "register_providers", None)
            brought = register() if register else ()
            stray = _no_list(brought)
            found = None if stray else _of_kind(brought, kind)
            breach = breach_of(found) if found is not None else None
        except Interrupted:
            raise
        except BaseException as error:
            raise ConfigError(
                f"the plugin for kind `{kind}` ({_distribution(entry)}) cannot be loaded: "
                f"{in_one_line(error)}"
            ) from error
        if stray is not None:
            raise ConfigError(
                f"the plugin for kind `{kind}` ({_distribution(entry)}) cannot be used: its "
                f"`register_providers` returns {stray}, and must return a list of classes"
            )
        if found is None:
            raise ConfigError(
                f"the plugin {_distribution(entry)} brings no provider of kind `{kind}`: its "
                "`register_providers` must return the class"
            )
        if breach is not None:
            raise ConfigError(
                f"the plugin for kind `{kind}` ({_distribution(entry)}) cannot be used: its class "
                f"{name_of(found)} {breach}"
            )
        return found

    def _register(self, plugin: object) -> None:
        if not self._manager.is_registered(plugin):  # one module may serve several kinds
            self._manager.register(plugin)

    def _entry_point(self, kind: str) -> EntryPoint:
        # A look opens a file of every installed distribution, 7 ms; a plugin that was installed
        # since the last one is found by another.
        found = _named(kind, self._seen) or _named(kind, self.installed())
        if not found:
            raise PluginNotFound(self._not_found(kind))
        if len(found) > 1:
            names = " and ".join(sorted(_distribution(entry) for entry in found))
            raise ConfigError(f"kind `{kind}` is offered twice, by {names}; uninstall one")
        return found[0]

    def _not_found(self, kind: str) -> str:
        kinds = [entry.name for entry in self._seen]
        near = get_close_matches(kind, kinds, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"installed: {', '.join(kinds) or 'none'}"
        return f"no installed plugin serves kind `{kind}`; {hint}"


def _named(kind: str, entries: Sequence[EntryPoint]) -> list[EntryPoint]:
    return [entry for entry in entries if entry.name == kind]


def _no_list(brought: object) -> str | None:
    """What was returned instead of classes; None where it is a list, or like one."""
    if isinstance(brought, type):
        return f"the class {name_of(brought)} itself"
    like_one = isinstance(brought, Iterable) and not isinstance(brought, str)
    return None if like_one else name_of(type(brought))


def _of_kind(classes: Sequence[object], kind: str) -> type[Provider[Any]] | None:
    providers = (c for c in classes if isinstance(c, type) and issubclass(c, Provider))
    return next((c for c in providers if getattr(c, "kind", None) == kind), None)


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
