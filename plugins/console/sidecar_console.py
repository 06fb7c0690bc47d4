"""Prints messages to stderr instead of sending them: for development, and the template of a plugin.

Copy this file, rename the class and its `kind`, and name the module in the entry point of your own
`pyproject.toml`. `send` is all that has to be written anew.
"""

import errno
import os
import re
import select
import sys
import time
from collections import deque
from collections.abc import Sequence
from uuid import uuid4

from sidecar import (
    ConfigError,
    InboxItem,
    Message,
    Provider,
    ProviderConfig,
    Receipt,
    Tariff,
    Unavailable,
    hookimpl,
)

KEPT = 200
"""How many messages can be read back."""


class Console(Provider[ProviderConfig]):
    """Takes every message, shows it, and sends nothing."""

    kind = "console"
    channels = frozenset({"email", "sms"})
    Config = ProviderConfig
    tariff = Tariff.per_message("0 USD", dated="2026-11-29", source="nothing is sent")
    development_only = True

    def __init__(self, name: str, config: ProviderConfig) -> None:
        super().__init__(name, config)
        # The configuration refuses it too; this is for whoever builds it without one.
        if os.environ.get("OTP_SIDECAR_ENV", "").strip().lower() == "production":
            raise ConfigError("`console` shows one-time codes and must not run in production")
        self._inbox: deque[InboxItem] = deque(maxlen=KEPT)

    async def send(self, message: Message, *, timeout: float) -> Receipt:
        try:
            _print(_block(message))
        except (OSError, ValueError) as error:  # ValueError: somebody closed it
            cause = errno.errorcode.get(getattr(error, "errno", 0), "it is closed")
            raise Unavailable(f"stderr could not be written: {cause}") from error
        self._inbox.appendleft(
            InboxItem(
                id=message.id,
                channel=message.channel,
                to=message.to,
                text=message.text,
                subject=message.subject,
                at=time.time(),
            )
        )
        return Receipt(f"console-{uuid4()}", simulated=True)

    def inbox(self) -> Sequence[InboxItem]:
        return tuple(self._inbox)


def _block(message: Message) -> str:
    lines = [f"{message.channel} to {message.to} ({message.purpose}, {message.id})"]
    lines += [f"Subject: {message.subject}"] if message.subject else []
    lines += re.split(r"\r?\n", message.text)
    return "\n  | ".join(map(_visible, lines)) + "\n"


def _visible(line: str) -> str:
    # A text may not steer the terminal: escapes, colours and right-to-left marks are spelt out.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _print(text: str) -> None:
    """Write to stderr as long as that does not block; raises OSError, EAGAIN where it would."""
    stderr = sys.__stderr__  # None where the process was started without one
    if stderr is None:
        raise OSError(errno.EBADF, "no stderr")
    rest = text.encode()
    while rest:
        # A pipe that nobody reads would stop the event loop. One that polls as writable takes
        # PIPE_BUF bytes without waiting (POSIX).
        if not select.select([], [stderr], [], 0)[1]:
            raise BlockingIOError(errno.EAGAIN, "nobody reads stderr")
        rest = rest[os.write(stderr.fileno(), rest[: select.PIPE_BUF]) :]


@hookimpl
def register_providers() -> Sequence[type[Console]]:
    return (Console,)
