"""The `providers:` section: which plugin serves each, and what that plugin says of its settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from sidecar.config.draft import Draft
from sidecar.config.faults import KeyPath
from sidecar.config.loaded import ProviderSection
from sidecar.config.prices import tariff_of
from sidecar.config.words import scrub
from sidecar.delivery.errors import ConfigError
from sidecar.delivery.provider import Provider
from sidecar.delivery.whereabouts import name_of
from sidecar.interrupt import Interrupted
from sidecar.settings import BreakerOverride, ProviderConfig

ProviderClass = Callable[[str], type[Provider[Any]]]
Sections = dict[str, ProviderSection | None]
"""The providers by name; None for one that has a fault."""

MAX_SECTIONS = 200
"""Providers, and chains, that a file may have."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
NAME_RULE = "a name has letters, digits, `-` and `_`, 64 at most"
_KIND = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
_ADVICE = ", or mark the provider `optional: true`"


class ProviderReader:
    """Reads the sections one by one. `breaker` is the file's own, which a provider may override.

    `classes` tells after `read` what serves each name; None where that could not be found.
    """

    def __init__(
        self,
        draft: Draft,
        environ: Mapping[str, str],
        provider_class: ProviderClass,
        breaker: BreakerOverride,
    ) -> None:
        self._draft = draft
        self._environ = environ
        self._provider_class = provider_class
        self._breaker = breaker
        self._known: dict[str, type[Provider[Any]] | ConfigError] = {}
        self.classes: dict[str, type[Provider[Any]] | None] = {}

    def read(self) -> Sections:
        """Every section in the file's order."""
        sections: Sections = {}
        for name, raw in self._draft.mapping("providers").items():
            at = ("providers", name)
            if len(sections) == MAX_SECTIONS:
                self._draft.fault(at, f"more than {MAX_SECTIONS} providers", at_key=True)
                break
            sections[name] = self._section(name, raw if raw is not None else {}, at)
        return sections

    def _section(self, name: str, raw: Any, at: KeyPath) -> ProviderSection | None:
        if not NAME.fullmatch(name):
            self._draft.fault(at, NAME_RULE, at_key=True)
        self.classes[name] = None
        if not isinstance(raw, dict):
            if at not in self._draft.expansion.holes:
                self._draft.fault(at, "must be a mapping of keys to values")
            return None
        given = {**raw, "kind": raw.get("kind", name)}
        cls = self.classes[name] = self._class(given["kind"], at)
        common = _common(given)
        lenient = common.optional or not common.enabled
        missing = self._gaps(at, lenient=lenient)
        if cls is None:
            return None
        self._refuse_in_production(cls, at)
        settings = self._draft.validated(cls.Config, at, given)
        if settings is not None and not missing:
            missing = self._asked(cls, settings, at, lenient=lenient)
        if settings is None and not missing:
            return None
        return self._made(name, cls, common, None if missing else settings, missing)

    def _made(
        self,
        name: str,
        cls: type[Provider[Any]],
        common: ProviderConfig,
        settings: ProviderConfig | None,
        missing: tuple[str, ...],
    ) -> ProviderSection:
        effective = settings or common
        own = effective.breaker
        changes = {} if own is None else {key: getattr(own, key) for key in own.model_fields_set}
        return ProviderSection(
            name=name,
            kind=effective.kind,
            cls=cls,
            settings=settings,
            missing=missing,
            optional=effective.optional,
            enabled=effective.enabled,
            timeout=effective.timeout,
            breaker=self._breaker.model_copy(update=changes),
            tariff=tariff_of(cls, effective.price),
            budget=effective.budget,
            references=self._draft.references(("providers", name)),
            renewable=self._draft.renewable(("providers", name)),
            written=self._draft.written(("providers", name)),
        )

    def _gaps(self, at: KeyPath, *, lenient: bool) -> tuple[str, ...]:
        """What the environment lacks; a fault unless the section may do without."""
        gaps = self._draft.gaps(at)
        decisive = {"kind", "optional", "enabled"}
        self._draft.tell(gap for gap in gaps if gap.path[2] in decisive)
        if not lenient:
            self._draft.tell((gap for gap in gaps if gap.path[2] not in decisive), _ADVICE)
        return tuple(dict.fromkeys(gap.name for gap in gaps))

    def _class(self, kind: Any, at: KeyPath) -> type[Provider[Any]] | None:
        path = (*at, "kind")
        told = path in self._draft.document.values
        if path in self._draft.expansion.holes:
            return None
        if not isinstance(kind, str) or not _KIND.fullmatch(kind):
            rule = "the kind of a plugin is written in lower-case letters, digits, `-` and `_`"
            self._draft.fault(path if told else at, rule, at_key=not told)
            return None
        found = self._found(kind)
        if isinstance(found, ConfigError):
            literal = self._draft.literal(path)
            message = str(found) if literal else "no installed plugin can serve this kind"
            self._draft.fault(path if told else at, scrub(message, ()), at_key=not told)
            return None
        return found

    def _found(self, kind: str) -> type[Provider[Any]] | ConfigError:
        if kind not in self._known:
            try:
                self._known[kind] = self._provider_class(kind)
            except ConfigError as error:
                self._known[kind] = error
        return self._known[kind]

    def _refuse_in_production(self, cls: type[Provider[Any]], at: KeyPath) -> None:
        if cls.development_only and self._draft.expansion.value.get("environment") == "production":
            self._draft.fault(
                at,
                f"`{at[-1]}` is for development only, and `environment` is production: "
                "remove it, here and from the chains",
                at_key=True,
            )

    def _asked(
        self, cls: type[Provider[Any]], settings: Any, at: KeyPath, *, lenient: bool
    ) -> tuple[str, ...]:
        """What the plugin itself says is missing."""
        try:
            missing = tuple(str(name) for name in cls.missing(settings, self._environ))
        except Interrupted:
            raise
        except BaseException as error:  # noqa: BLE001  # a plugin may raise anything
            message = f"the plugin failed when asked what it needs: {name_of(type(error))}"
            self._draft.fault(at, message, at_key=True)
            return ()
        if missing and not lenient:
            message = f"the environment lacks what it needs: {', '.join(missing)}{_ADVICE}"
            self._draft.fault(at, message, at_key=True)
        return missing


def _common(given: Mapping[str, Any]) -> ProviderConfig:
    """The keys that every provider takes, as far as they can be used."""
    chosen = {key: given[key] for key in ProviderConfig.model_fields if key in given}
    try:
        return ProviderConfig.model_validate(chosen)
    except ValidationError as error:
        wrong = {detail["loc"][0] for detail in error.errors()}
        usable = {key: value for key, value in chosen.items() if key not in wrong}
        return ProviderConfig.model_validate({"kind": "", **usable})
