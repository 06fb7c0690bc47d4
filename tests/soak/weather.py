"""Every fault of the daemon in the forms that a soak uses, and the random switching of them."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from faultd.client import Faultd
from faultd.faults import KINDS, STEPS

MIB = 1024 * 1024
Form = tuple[str, dict[str, Any]]

_HTTP: list[Form] = [
    ("refuse", {}),
    *((name, {"at": at}) for name in ("silence", "reset", "eof") for at in ("connect", "request")),
    *(("lost", {"how": how}) for how in ("reset", "eof", "silence")),
    *(("drip", {"part": part}) for part in ("head", "body")),
    ("truncate", {}),
    *(("endless", {"part": part, "limit": MIB, "seconds": 2.0}) for part in ("head", "body")),
    ("bomb", {"size": 4 * MIB}),
    ("big", {}),
    *(("throttle", {"retry_after": after}) for after in (None, 1, 2, -1, "soon")),
    *(("status", {"code": code}) for code in (500, 502, 503, 504)),
    *(("redirect", {"code": code}) for code in (301, 302, 307, 308)),
    *(("auth", {"code": code}) for code in (401, 403)),
    ("reject", {}),
    *(
        ("answer", {"body": body})
        for body in ("html", "empty", "null", "wrong_type", "no_id", "huge_id")
    ),
    ("failed", {}),
    ("slow", {"delay": 0.3}),
    ("slow", {"delay": 2.0}),
]
_SMTP: list[Form] = [
    ("refuse", {}),
    *(
        (name, {"at": at})
        for name in ("silence", "reset", "eof")
        for at in ("connect", "greeting", "auth", "mail", "rcpt", "data", "dot")
    ),
    ("silence", {"at": "quit"}),
    *(("lost", {"how": how}) for how in ("reset", "eof", "silence")),
    ("drip", {}),
    ("truncate", {}),
    ("endless", {"limit": MIB, "seconds": 2.0}),
    ("throttle", {}),
    *(
        ("reply", {"at": at, "text": text})
        for at in ("mail", "rcpt", "dot")
        for text in ("451 4.3.0 try again later", "550 5.7.1 no", "421 4.3.2 closing")
    ),
    ("auth", {}),
    ("reject", {}),
    ("slow", {"delay": 0.3}),
    ("slow", {"delay": 2.0}),
]
_TLS: list[Form] = [("tls", {"how": how}) for how in ("expired", "garbage", "hang")]


def forms(kind: str, *, tls: bool) -> list[Form]:
    """What a provider of `kind` can be broken with; `tls`: it is reached by TLS."""
    if kind != "smtp":
        return _HTTP + (_TLS if tls else [])
    return [*_SMTP, *_TLS, *([] if tls else [("no_starttls", {})])]


def forgotten() -> set[str]:
    """Faults of the daemon that no form uses: none."""
    assert STEPS, "the daemon knows the steps of SMTP"
    return set(KINDS) - {name for name, _ in [*_HTTP, *_SMTP, *_TLS]} - {"no_starttls"}


class Weather:
    """Breaks and heals `providers` (name, and whether by TLS); `switched` counts both."""

    def __init__(self, faultd: Faultd, providers: dict[str, bool], chance: random.Random) -> None:
        self.switched = 0
        self.used: set[str] = set()
        self._faultd = faultd
        self._chance = chance
        self._forms = {
            name: forms(faultd.providers[name]["kind"], tls=tls) for name, tls in providers.items()
        }

    async def all_forms(self, seconds: float) -> None:
        """Each form of each provider once, all within `seconds`: what a warm-up must touch."""
        longest = max(map(len, self._forms.values()))
        for number in range(longest):
            for name, known in self._forms.items():
                if number < len(known):
                    await self._set(name, *known[number])
            await asyncio.sleep(seconds / longest)
        await self.heal()

    async def change(self) -> None:
        """One provider is broken anew, or healed; now and then all of them."""
        chance = self._chance
        if chance.random() < 0.05:
            for name in self._forms:
                await self._break(name)
        name = chance.choice(list(self._forms))
        if chance.random() < 0.4:
            await self.heal(name)
        else:
            await self._break(name)

    async def silence(self, names: list[str]) -> None:
        for name in names:
            await self._set(name, "silence", {})

    async def heal(self, name: str | None = None) -> None:
        self.switched += 1
        await asyncio.to_thread(self._faultd.heal, name)

    async def _break(self, name: str) -> None:
        fault, options = self._chance.choice(self._forms[name])
        common = {
            "probability": self._chance.choice((1.0, 1.0, 0.5, 0.2)),
            "seed": self._chance.randrange(10**6),
        }
        await self._set(name, fault, {**common, **options})

    async def _set(self, name: str, fault: str, options: dict[str, Any]) -> None:
        self.switched += 1
        self.used.add(fault)
        await asyncio.to_thread(self._faultd.set, name, fault, **options)
