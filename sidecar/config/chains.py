"""The `chains:` section: every name in it must be a provider that serves the channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.config.draft import Draft
from sidecar.config.faults import KeyPath, closest, printable
from sidecar.config.model import ChainSection
from sidecar.config.providers import MAX_SECTIONS, NAME, NAME_RULE
from sidecar.delivery.provider import Provider


class ChainReader:
    """Reads the chains one by one. `providers` tells each one's class, where that is known."""

    def __init__(self, draft: Draft, providers: Mapping[str, type[Provider[Any]] | None]) -> None:
        self._draft = draft
        self._providers = providers

    def read(self) -> dict[str, ChainSection]:
        """Every chain without a fault, in the file's order."""
        chains: dict[str, tuple[KeyPath, ChainSection]] = {}
        raw_chains = self._draft.mapping("chains")
        for number, (channel, raw) in enumerate(raw_chains.items()):
            if number == MAX_SECTIONS:
                path = ("chains", channel)
                self._draft.fault(path, f"more than {MAX_SECTIONS} chains", at_key=True)
                break
            self._add(chains, channel, raw)
        if not raw_chains and "chains" in self._draft.expansion.value:
            self._draft.fault(("chains",), "names no channel: nothing could be sent", at_key=True)
        self._check_names(chains)
        return {channel: chain for channel, (_, chain) in chains.items()}

    def _add(self, chains: dict[str, tuple[KeyPath, ChainSection]], channel: str, raw: Any) -> None:
        at: KeyPath = ("chains", channel)
        if not NAME.fullmatch(channel):
            self._draft.fault(at, NAME_RULE, at_key=True)
            return
        if isinstance(raw, str):
            if at not in self._draft.expansion.holes:
                self._draft.fault(at, self._as_list(at, raw))
            return
        short = isinstance(raw, list)
        value = {"providers": raw} if short else raw
        shorthand = ("providers",) if short else ()
        chain = self._draft.validated(ChainSection, at, value, shorthand=shorthand)
        if chain is not None:
            chains[channel] = (at if short else (*at, "providers"), chain)

    def _as_list(self, at: KeyPath, raw: str) -> str:
        """What to write for one text of names."""
        names = [name.strip() for name in raw.split(",") if name.strip()]
        known = bool(names) and all(name in self._providers for name in names)
        shown = ", ".join(names) if known and self._draft.literal(at) else "first, second"
        return f"must be a list of providers: write `[{shown}]`"

    def _check_names(self, chains: dict[str, tuple[KeyPath, ChainSection]]) -> None:
        used = {name for _, chain in chains.values() for name in chain.providers}
        unused = [name for name in self._providers if name not in used]
        for channel, (at, chain) in chains.items():
            for number, name in enumerate(chain.providers):
                path = (*at, number)
                if path in self._draft.expansion.holes:
                    continue
                if name in chain.providers[:number]:
                    self._draft.fault(path, "stands twice in this chain")
                elif name in self._providers:
                    self._check_channel(path, name, channel)
                else:
                    self._unknown(path, name, unused)

    def _check_channel(self, path: KeyPath, name: str, channel: str) -> None:
        cls = self._providers[name]
        if cls is not None and channel not in cls.channels:
            serves = " and ".join(sorted(cls.channels)) or "nothing"
            shown = printable(channel)
            self._draft.fault(path, f"`{name}` does not serve `{shown}`, only {serves}")

    def _unknown(self, path: KeyPath, name: str, unused: list[str]) -> None:
        near = None if self._draft.faults.many else closest(name, unused)
        cls = self._providers[near] if near else None
        if near and cls is None:
            return  # its own fault, told already, is why the name is not right
        if near and cls is not None and cls.kind == name:
            # The chain is right, and the provider's key is the one that was misspelt.
            self._draft.fault(
                ("providers", near),
                f"no chain names it, but a chain names `{name}`",
                at_key=True,
                wrong=near,
                choices=[name],
            )
            return
        message = "no provider has the name that this variable gives"
        if self._draft.literal(path):
            message = f"no provider is named `{printable(name)}`"
        self._draft.fault(path, message, wrong=name, choices=self._providers)
