"""From a file to a `Config`: read, expand, let each plugin judge its section, tell all faults."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sidecar.config.chains import ChainReader
from sidecar.config.document import parse
from sidecar.config.draft import Draft
from sidecar.config.faults import FaultLog, Place
from sidecar.config.files import look, read
from sidecar.config.loaded import Config, ProviderSection
from sidecar.config.model import ChainSection, Root
from sidecar.config.prices import check_currencies
from sidecar.config.providers import ProviderClass, ProviderReader, Sections
from sidecar.config.references import Answers, Lack, Reference, Resolve, references_in
from sidecar.config.show import hidden_in, origins_of
from sidecar.config.variables import Environment, Gap, expand, read_environment


def _no_sources(references: Collection[Reference], _environ: Mapping[str, str]) -> Answers:
    return dict.fromkeys(references, Lack("nothing here fetches secrets", fault=True))


def load(
    path: Path,
    *,
    environ: Mapping[str, str],
    provider_class: ProviderClass,
    resolve: Resolve = _no_sources,
) -> Config:
    """Read the file at `path`, and the `.env` beside it, into a frozen `Config`.

    `provider_class` gives the class that serves a kind, or raises a `ConfigError`; it is asked for
    the kinds that the file names and for no others. `resolve` is asked for the secrets that the
    file refers to, once for all of them, and not where there are none. Raises `ConfigFaults`, a
    `ConfigError`, with every fault and its place.
    """
    faults = FaultLog(str(path))
    seen = {path: look(path)}
    data = _read(path, faults)
    document = parse(data, faults)
    environment = read_environment(path.parent, dict(environ), seen, faults)
    wanted = set(references_in(document.value))
    answers = resolve(wanted, environment.values) if wanted else {}
    draft = Draft(document, expand(document, environment, answers, faults), faults)
    root = draft.validated(Root, (), _top(draft))
    breaker = root.breaker if root is not None else Root(chains={}).breaker
    reader = ProviderReader(draft, environment.values, provider_class, breaker)
    providers = reader.read()
    check_currencies(draft, root, providers)
    chains = ChainReader(draft, reader.classes).read()
    draft.tell(gap for gap in draft.expansion.gaps if not _in_a_provider(gap, providers))
    faults.raise_any()
    assert root is not None
    digest = hashlib.sha256(data).hexdigest()[:12]
    config = _made(path, digest, root, draft, providers, chains, environment)
    origins = MappingProxyType(origins_of(config, draft))
    return replace(config, origins=origins, hidden=hidden_in(config, draft))


def _read(path: Path, faults: FaultLog) -> bytes:
    try:
        return read(path)
    except FileNotFoundError:
        faults.add(Place(), "there is no such file; `otp-sidecar config init` prints a starter")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not usable"
        faults.add(Place(), f"cannot be read: {reason}")
    faults.raise_any()
    raise AssertionError


def _top(draft: Draft) -> dict[str, Any]:
    """The top of the file; a section with nothing below its name counts as not written."""
    return {key: value for key, value in draft.expansion.value.items() if value is not None}


def _in_a_provider(gap: Gap, providers: Sections) -> bool:
    # Gaps inside a provider's section were judged there: its `optional` decides.
    return len(gap.path) > 2 and gap.path[0] == "providers" and gap.path[1] in providers


def _made(
    path: Path,
    digest: str,
    root: Root,
    draft: Draft,
    providers: Sections,
    chains: Mapping[str, ChainSection],
    environment: Environment,
) -> Config:
    sections: dict[str, ProviderSection] = {
        name: section for name, section in providers.items() if section is not None
    }
    return Config(
        path=path,
        digest=digest,
        environment=root.environment,
        server=root.server,
        log=root.log,
        limits=root.limits,
        breaker=root.breaker,
        providers=MappingProxyType(sections),
        chains=MappingProxyType(dict(chains)),
        origins=MappingProxyType({}),
        secrets=frozenset(draft.secrets | draft.expansion.secrets),
        environ=MappingProxyType(dict(environment.values)),
        seen=MappingProxyType(dict(environment.seen)),
        http_client=root.http_client,
        budget=root.budget,
        alerts=root.alerts,
        preflight=root.preflight,
        references=frozenset().union(*draft.expansion.references.values()),
        refresh=root.secrets.refresh,
    )
