"""A sidecar whose providers are the fault daemon's, and the oracle over all that is sent by it."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faultd.client import Faultd
from harness import oracle
from harness.oracle import Sent
from harness.process import Sidecar, wait_for

_numbers = itertools.count(1)


def environ(home: Path, faultd: Faultd) -> dict[str, str]:
    """Nothing of the machine's own accounts or proxies, and trust in the daemon."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "SSL_CERT_FILE": str(faultd.ca_file),
    }


class Rig:
    """One sidecar, one channel's chain in it, and what was sent through it.

    `deadline` of a send and `timeout` of the first provider are in seconds, as configured; `extra`
    is how many acceptances more than one an unknown may lead to (see `oracle.sent_twice`).
    """

    def __init__(
        self,
        faultd: Faultd,
        sidecar: Sidecar,
        channel: str,
        chain: Sequence[str],
        *,
        deadline: float = oracle.DEADLINE,
        timeout: float = 4.0,
        extra: int = 1,
    ) -> None:
        self.faultd = faultd
        self.sidecar = sidecar
        self.channel = channel
        self.chain = list(chain)
        self.deadline = deadline
        self.timeout = timeout
        self.extra = extra
        self.sents: list[Sent] = []
        self._before = {name: faultd.counts(name) for name in self.chain}

    @property
    def database(self) -> Path:
        return self.sidecar.config.parent / "data" / "deliveries.db"

    def send(self, again: Sent | None = None, **fields: Any) -> Sent:
        """One send with a key and a text of its own, or the same one as `again`."""
        number = next(_numbers)
        key = again.key if again else f"key-{os.getpid()}-{number}"
        text = again.text if again else f"Your code is 482913 #{key}"
        began = time.monotonic()
        answer = self.sidecar.send(
            self.channel, headers={"Idempotency-Key": key}, text=text, **fields
        )
        sent = Sent(text, answer, time.monotonic() - began, key, self.deadline)
        self.sents.append(sent)
        return sent

    def circuit(self, provider: str) -> dict[str, Any]:
        found: dict[str, Any] = self.sidecar.health(self.channel, provider)["circuit"]
        return found

    def taken(self, sent: Sent) -> list[tuple[str, bool]]:
        """Who took this text, and whether the answer was lost."""
        records = self.faultd.ledger()
        return [(r["provider"], r["lost"]) for r in records if r["sha256"] == sent.sha256]

    def recover(self) -> None:
        """Heal the chain, close the first circuit without a failure counted; no other is open."""
        for name in self.chain:
            self.faultd.heal(name)

        def well() -> bool:
            circuits = [self.circuit(name) for name in self.chain]
            first = circuits[0]
            if first["state"] == "closed" and first["consecutive_failures"] == 0:
                return all(circuit["state"] != "open" for circuit in circuits)
            self.send()
            return False

        wait_for(well, f"{self.chain[0]} to be well again")

    def _redirects_since(self, before: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        word = "redirects_followed"
        return {n: {word: self.faultd.counts(n)[word] - before[n][word]} for n in self.chain}

    def breaches(self) -> list[str]:
        """Every invariant over every send so far; nothing may be under way."""
        faultd, sents = self.faultd, self.sents
        texts = {sent.sha256 for sent in sents}
        ledger = [record for record in faultd.ledger() if record["sha256"] in texts]
        return [
            *oracle.sent_twice(sents, ledger, self.extra),
            *oracle.unbacked(sents, ledger),
            *oracle.unended(self.database),
            *oracle.unlogged(sents, self.database),
            *oracle.gave_up(sents, self.chain),
            *oracle.opened_for_nothing(self.sidecar, self.database),
            *oracle.late(sents),
            *oracle.followed(self._redirects_since(self._before)),
            *oracle.crashed(sents),
        ]
