"""Guests: distributions of providers written into a directory, as pip would put them there."""

from __future__ import annotations

from pathlib import Path

HEAD = """
import asyncio, os, sys, threading, time
from sidecar import Message, Provider, ProviderConfig, Receipt, hookimpl
from sidecar import Rejected, Throttled, Unavailable, Unknown

class Guest(Provider):
    channels, Config = frozenset({"sms", "email"}), ProviderConfig

    async def send(self, message, *, timeout):
        return Receipt("guest-1")

"""
TAIL = """
@hookimpl
def register_providers():
    return [cls for cls in Guest.__subclasses__() if "kind" in vars(cls)]
"""


def install(directory: Path, text: str, *kinds: str, name: str = "guest") -> dict[str, str]:
    """Install the module `name` for these kinds; the environment that finds it.

    `text` holds subclasses of `Guest`, each with its `kind`.
    """
    return install_module(directory, HEAD + text + TAIL, *kinds, name=name)


def install_module(
    directory: Path,
    text: str,
    *kinds: str,
    name: str = "guest",
    group: str = "sidecar.providers",
) -> dict[str, str]:
    """The same for the whole text of a module, in this group of entry points."""
    (directory / f"{name}.py").write_text(text)
    info = directory / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    points = "".join(f"{kind} = {name}\n" for kind in kinds)
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}")
    return {"PYTHONPATH": str(directory)}
