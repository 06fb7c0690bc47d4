"""SMTP with STARTTLS and AUTH, broken on command at any step."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

from faultd.connection import Connection
from faultd.faults import NO_ANSWER, Fault
from faultd.ledger import Letter

if TYPE_CHECKING:
    from faultd.standin import StandIn

USER, PASSWORD = "mailer", "canary-smtp-password"
BAD_SEQUENCE = "503 5.5.1 bad sequence of commands"
THROTTLED = "450 4.7.0 too much mail from you: our rate limit"
LINES = 160
"""Lines that an endless reply has in one write."""
SAYS = {  # where a fault is a reply
    "throttle": THROTTLED,
    "auth": "535 5.7.8 authentication credentials invalid",
    "reject": "550 5.1.1 recipient unknown",
}


class Mail:
    """Speaks SMTP. A mail's id in the ledger is its Message-ID."""

    protocol = "smtp"

    async def serve(self, standin: StandIn, connection: Connection, *, private: bool) -> None:
        await Session(standin, connection, private=private).run()


class Session:
    """One session; a command's state changes only where the reply to it was good."""

    def __init__(self, standin: StandIn, connection: Connection, *, private: bool) -> None:
        self._standin = standin
        self._connection = connection
        self._private = private
        self._begun = False
        self._recipient = ""
        self._commands: dict[str, Callable[[str], Awaitable[object]]] = {
            "EHLO": self._ehlo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": lambda _: self._say("noop", "250 2.0.0 ok"),
            "QUIT": self._quit,
        }

    async def run(self) -> None:
        if not await self._say("greeting", "220 faultd ESMTP"):
            return
        while not self._connection.over:
            self._connection.idle = True
            line = await self._line()
            self._connection.idle = False
            command = self._commands.get(line[:8].strip().upper()) or self._commands.get(
                line[:4].upper()
            )
            if command is None:
                await self._reply("502 5.5.1 command not known")
            else:
                await command(line)

    # The commands

    async def _ehlo(self, line: str) -> None:
        bare = self._standin.take("ehlo")
        offers = ["250-faultd", "250-SIZE 10485760", "250-8BITMIME"]
        if bare and bare.name != "no_starttls":
            await self._strike(bare, "250 faultd")
            return
        if not self._private and not bare:
            offers.append("250-STARTTLS")
        await self._reply("\r\n".join([*offers, "250 AUTH PLAIN LOGIN"]))

    async def _starttls(self, line: str) -> None:
        if not await self._say("starttls", "220 2.0.0 go ahead"):
            return
        context = await self._standin.choose_context(self._connection)
        assert context is not None
        await self._connection.writer.start_tls(context, ssl_handshake_timeout=10.0)
        self._private = True

    async def _auth(self, line: str) -> None:
        _, method, *first = line.split()
        if method.upper() == "PLAIN":
            _, user, password = (await self._said(first, "")).split("\0")
        else:
            user = await self._said(first, "VXNlcm5hbWU6")
            password = await self._said([], "UGFzc3dvcmQ6")
        known = (user, password) == (USER, PASSWORD)
        await self._say("auth", "235 2.7.0 welcome" if known else SAYS["auth"])

    async def _mail(self, line: str) -> None:
        self._standin.counts.requests += 1
        self._recipient = ""
        self._begun = await self._say("mail", "250 2.1.0 ok")

    async def _rcpt(self, line: str) -> None:
        if not self._begun:
            await self._reply(BAD_SEQUENCE)
        elif await self._say("rcpt", "250 2.1.5 ok"):
            self._recipient = line.partition("<")[2].partition(">")[0]

    async def _data(self, line: str) -> None:
        if not self._recipient:
            await self._reply(BAD_SEQUENCE)
            return
        if not await self._say("data", "354 go ahead"):
            return
        raw = await self._connection.reader.readuntil(b"\r\n.\r\n")
        letter = _letter(self._recipient, raw[:-3])
        self._begun, self._recipient = False, ""
        fault = self._standin.take("dot")
        if fault is None or fault.accept:
            self._standin.accept("", letter, fault)
        reply = "250 2.0.0 queued"
        await (self._strike(fault, reply) if fault else self._reply(reply))

    async def _rset(self, line: str) -> None:
        self._begun, self._recipient = False, ""
        await self._say("rset", "250 2.0.0 ok")

    async def _quit(self, line: str) -> None:
        await self._say("quit", "221 2.0.0 bye")
        self._connection.finish()

    # The talk

    async def _line(self) -> str:
        return (await self._connection.reader.readuntil(b"\n")).decode("utf-8", "replace").rstrip()

    async def _said(self, first: list[str], prompt: str) -> str:
        if not first:
            await self._reply(f"334 {prompt}")
        return base64.b64decode(first[0] if first else await self._line()).decode()

    async def _say(self, step: str, reply: str) -> bool:
        """Reply, or break; whether the reply was good."""
        fault = self._standin.take(step)
        return await (self._strike(fault, reply) if fault else self._reply(reply))

    async def _reply(self, text: str) -> bool:
        await self._connection.send(f"{text}\r\n".encode())
        if text.startswith("421"):
            self._connection.finish()
        return text[0] in "23"

    async def _strike(self, fault: Fault, reply: str) -> bool:
        connection, options = self._connection, fault.options
        await asyncio.sleep(fault.delay)
        match options.get("how", fault.name):
            case "reply":
                return await self._reply(options["text"])
            case "slow":
                return await self._reply(reply)
            case "reset":
                connection.reset()
            case "drip":
                await connection.drip(f"{reply}\r\n".encode(), options["interval"])
                return True
            case "truncate":
                await connection.send(reply[:2].encode())
            case "endless":
                line = f"{reply[:3]}-".encode() + b"x" * 400 + b"\r\n"
                await connection.flood(line * LINES, options["limit"], options["seconds"])
            case said if said in SAYS:
                return await self._reply(SAYS[said])
            case "silence":
                await connection.hold()
        assert fault.name in (*NO_ANSWER, "lost", "truncate"), fault.name
        connection.finish()
        return False


def _letter(recipient: str, raw: bytes) -> Letter:
    mail = message_from_bytes(raw.replace(b"\r\n..", b"\r\n."), policy=policy.SMTP)
    plain = mail.get_body(("plain",))
    text = plain.get_content() if plain is not None else ""
    # A mail's last line has an end of its own, which was not in the text.
    text = text.replace("\r\n", "\n").removesuffix("\n")
    return Letter(recipient, text, str(mail["Message-ID"]))
