"""The one sidecar of a soak: its lives, its configurations, and what the system says of it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from faultd.client import Faultd
from harness.process import PATIENCE, Sidecar
from soak.wallclock import WallClock

DRAIN = 4.0
"""Seconds that a stop waits for sends; longer than the deadline, so that none is cut off."""
DEADLINE = 3.0
OPEN_AT_MOST = 4.0
"""Seconds that a circuit is open at most, so that a short run sees many cycles."""
SMTP_POOL = 2
Chains = Mapping[str, Sequence[str]]
KINDS = {
    "sns_a": "sns",
    "twilio_a": "twilio",
    "twilio_b": "twilio",
    "ses_a": "ses",
    "sendgrid_a": "sendgrid",
    "smtp_a": "smtp",
}
BY_TLS = {"twilio_b": True, "smtp_a": False}
CHAINS: Chains = {
    "sms": ["sns_a", "twilio_a", "twilio_b"],
    "email": ["ses_a", "sendgrid_a", "smtp_a"],
}
ON_UNKNOWN = {"sms": "failover", "email": "stop"}
BAD = {
    "a syntax error": "providers: {twilio: [\n",
    "an unknown kind": "providers: {x: {kind: no_such_kind}}\nchains: {sms: [x]}\n",
    "a missing variable": "providers: {x: {kind: twilio, auth_token: '${NO_SUCH_VARIABLE}'}}\n",
    "an empty file": "",
    "a chain of nobody": "providers: {console: {}}\nchains: {sms: [nobody]}\n",
}


@dataclass(slots=True, eq=False)
class Version:
    """One configuration: its file, and when (monotonic) a send may have begun on it."""

    text: str
    chains: Chains
    since: float = 0.0
    until: float = field(default=float("inf"))

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


class Service:
    """Begin, end and change it. `exits` are the exit codes of SIGTERM, `kills` counts SIGKILLs."""

    def __init__(self, directory: Path, address: Path, faultd: Faultd) -> None:
        self.where = f"unix:{address}"
        self.lives: list[Sidecar] = []
        self.versions: list[Version] = []
        self.exits: list[tuple[int, float]] = []
        self.kills = self.reloads = self.refusals = 0
        self.faults: list[str] = []
        self.up = False
        self.clock = WallClock(directory.parent / "clock")
        self.began = time.time()
        self._faultd = faultd
        self._home = directory
        self._path = directory / "providers.yaml"
        self._lock = asyncio.Lock()

    @property
    def life(self) -> Sidecar:
        return self.lives[-1]

    @property
    def database(self) -> Path:
        return self._home / "data" / "deliveries.db"

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            "HOME": str(self._home),
            "AWS_EC2_METADATA_DISABLED": "true",
            "SSL_CERT_FILE": str(self._faultd.ca_file),
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "SOAK_CLOCK": str(self.clock.path),
        }

    def write(self, chains: Chains = CHAINS, timeout: float = 0.8, **changed: str) -> Version:
        """A configuration with these chains; `changed` gives a provider another sender name."""
        lines = []
        for name, kind in KINDS.items():
            if not any(name in chain for chain in chains.values()):
                continue
            more: dict[str, object] = {"timeout": timeout, "preflight": "observe"}
            if kind == "smtp":
                more["pool"] = SMTP_POOL
            if name in changed:
                more["sender"] = changed[name]
            lines.append(f"  {self._faultd.section(name, tls=BY_TLS.get(name, False), **more)}\n")
        walks = "".join(
            f"  {channel}: {{providers: [{', '.join(chain)}], on_unknown: {ON_UNKNOWN[channel]}}}\n"
            for channel, chain in chains.items()
        )
        text = (
            f"server: {{listen: '{self.where}', drain: {DRAIN:.0f}s}}\n"
            f"limits: {{deadline: {DEADLINE:.0f}s}}\n"
            # At every start and reload, and not at the end, when no connection may be kept.
            "preflight: {interval: 1d, timeout: 2s}\n"
            "breaker: {failure_threshold: 3, recovery_timeout: 1s, success_threshold: 2, "
            f"growth: 2, max_recovery_timeout: {OPEN_AT_MOST:.0f}s}}\n"
            f"providers:\n{''.join(lines)}chains:\n{walks}"
        )
        return Version(text, chains)

    # Life and death

    async def begin(self) -> None:
        """Start it on a good file, and wait until it serves."""
        version = self.write()
        self._put(version.text)
        self._take_over(version)
        with self.clock.right():
            life = await asyncio.to_thread(Sidecar, self._path, self.environ, "soak.shifted")
            self.lives.append(life)
            await asyncio.to_thread(life.ready)
        self._over(version)
        self.up = True

    async def kill(self, *, amid_reload: bool = False) -> None:
        async with self._lock:
            if amid_reload:
                self._put(self.write(timeout=0.7).text)
                self.life.process.send_signal(signal.SIGHUP)
            self.up = False
            await asyncio.to_thread(self.life.kill)
            self.kills += 1
            await self.begin()

    async def stop(self) -> None:
        """SIGTERM; how it ended is kept."""
        self.up = False
        began = time.monotonic()
        code = await asyncio.to_thread(self.life.stop)
        self.exits.append((code, time.monotonic() - began))

    async def restart(self) -> None:
        async with self._lock:
            await self.stop()
            await self.begin()

    # Change

    async def reload(self, version: Version, *, hups: int = 1) -> None:
        """Go over to `version`; a fault is kept where that is not told in time."""
        async with self._lock:
            self._take_over(version)
            seen = len(self.life.lines)
            self._put(version.text)
            for _ in range(hups):
                self.life.process.send_signal(signal.SIGHUP)
            told = await self._told(seen, "reloaded", version.digest)
            if told is None:
                self.faults.append(f"a good file was not taken over: {version.digest}")
            elif told.get("needs_restart"):
                self.faults.append(f"a reload wants a restart: {told['needs_restart']}")
            self._over(version)
            self.reloads += 1

    async def reload_badly(self, chance: random.Random) -> None:
        """A file that must change nothing, then the one before it."""
        async with self._lock:
            before = self.versions[-1]
            name = chance.choice(list(BAD))
            seen = len(self.life.lines)
            self._put(BAD[name])
            self.life.process.send_signal(signal.SIGHUP)
            told = await self._told(seen, "reload_failed", None)
            taken = [line for line in self.life.lines[seen:] if line.get("event") == "reloaded"]
            if told is None or taken:
                self.faults.append(f"{name} was not refused")
            self.refusals += 1
            seen = len(self.life.lines)
            self._put(before.text)
            self.life.process.send_signal(signal.SIGHUP)
            if await self._told(seen, "reloaded", before.digest) is None:
                self.faults.append(f"after {name} the good file was not taken over")

    async def _told(self, seen: int, event: str, digest: str | None) -> dict[str, object] | None:
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up and self.life.process.poll() is None:
            for line in self.life.lines[seen:]:
                if line.get("event") == event and digest in (None, line.get("digest")):
                    return line
            await asyncio.sleep(0.02)
        return None

    def _put(self, text: str) -> None:
        beside = self._path.with_name("new.yaml")
        beside.write_text(text)
        beside.replace(self._path)

    def _take_over(self, version: Version) -> None:
        version.since = time.monotonic()
        self.versions.append(version)

    def _over(self, version: Version) -> None:
        now = time.monotonic()
        for one in self.versions:
            if one is not version and one.until == float("inf"):
                one.until = now

    # How it ends when it cannot begin

    def refused_starts(self) -> list[str]:
        """I13: a bad file ends in 78, a taken address in 69, each with one readable line."""
        breaches = []
        bad = self._home / "bad.yaml"
        bad.write_text(BAD["an unknown kind"])
        other = self._home / "other"
        other.mkdir()
        twin = other / "providers.yaml"
        twin.write_text(self.versions[-1].text)
        for path, code in ((bad, 78), (twin, 69)):
            ended = subprocess.run(
                [sys.executable, "-m", "sidecar", "run", "-c", str(path)],
                cwd=path.parent,
                env=self.environ,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            if ended.returncode != code or len(ended.stderr.splitlines()) != 1:
                breaches.append(f"a start ended in {ended.returncode}: {ended.stderr[:500]!r}")
        return breaches

    # What the system says

    def usage(self, tasks: int = 0) -> Usage:
        pid = self.life.process.pid
        mine = Path(f"/proc/{pid}")
        inodes = set()
        descriptors = 0
        for link in (mine / "fd").iterdir():
            try:
                target = str(link.readlink())
            except OSError:
                continue
            descriptors += 1
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
        peers = [peer for inode, peer in _tcp(mine) if inode in inodes]
        pages = int((mine / "statm").read_text().split()[1])
        return Usage(
            descriptors=descriptors - len(peers),
            threads=sum(1 for _ in (mine / "task").iterdir()),
            rss=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
            peers=peers,
            tasks=tasks,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """`descriptors` without those of `peers`, the other ends of its TCP sockets; RSS in MiB."""

    descriptors: int
    threads: int
    rss: float
    peers: Sequence[tuple[str, int]]
    tasks: int = 0

    def __str__(self) -> str:
        return (
            f"{self.descriptors} descriptors, {self.threads} threads, {self.tasks} tasks, "
            f"{self.rss:.1f} MiB"
        )


def _tcp(mine: Path) -> list[tuple[str, tuple[str, int]]]:
    """Inode and other end of every TCP socket in the process's network namespace."""
    found = []
    for table in ("tcp", "tcp6"):
        for line in (mine / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[2].split(":")
            found.append((fields[9], (_address(address), int(port, 16))))
    return found


def _address(text: str) -> str:
    if len(text) == 8:
        return ".".join(str(byte) for byte in reversed(bytes.fromhex(text)))
    return "127.0.0.1" if text.endswith("0100007F") else text
