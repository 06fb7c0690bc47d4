"""HTTP/1.1 of one vendor, broken on command."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING

from faultd.connection import Connection
from faultd.faults import MIB, NO_ANSWER, Fault
from faultd.vendors import HTML, Answer, Request, Vendor

if TYPE_CHECKING:
    from faultd.standin import StandIn

SOME_BODY = b'{"status": "queued", "note": "some body to break"}'
FILLER = b"x" * 65_536
DATE_AHEAD = 30
"""Seconds from now to the date in `Retry-After: date`."""
GZIP_HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
GATEWAY = (502, 504)
NOT_FOUND = Answer(404, {"Content-Type": "application/json"}, b'{"message": "not found"}')


class Web:
    """Speaks for one vendor over kept connections."""

    protocol = "http"

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor

    async def serve(self, standin: StandIn, connection: Connection, *, private: bool) -> None:
        while not connection.over:
            connection.idle = True
            request = await read_request(connection)
            standin.counts.requests += 1
            look = standin.account.answer(request)
            if look is not None:  # no fault is used up: those are for sends
                await connection.send(render(look))
                continue
            fault = standin.take("request")
            letter = self.vendor.parse(request)
            id_ = self.vendor.new_id()
            if letter is not None and (fault is None or fault.accept):
                standin.accept(id_, letter, fault)
            answer = NOT_FOUND if letter is None else self.vendor.accepted(id_)
            await self._answer(connection, answer, fault, self._other_answer(fault, id_, standin))
            if request.headers.get("connection", "").lower() == "close":
                connection.finish()

    async def _answer(
        self, connection: Connection, answer: Answer, fault: Fault | None, other: Answer | None
    ) -> None:
        if fault is not None:
            await asyncio.sleep(fault.delay)
        if fault is None or other is not None:
            await connection.send(render(other or answer))
        else:
            await BREAKS[fault.name](connection, answer, fault)

    def _other_answer(self, fault: Fault | None, id_: str, standin: StandIn) -> Answer | None:
        """The whole answer that a fault says instead; None where the answer itself breaks."""
        if fault is None:
            return None
        vendor, options = self.vendor, fault.options
        match fault.name:
            case "throttle":
                return _with_retry_after(vendor.error(429), options["retry_after"])
            case "status" if options["code"] in GATEWAY:
                return Answer(options["code"], {"Content-Type": "text/html"}, HTML.encode())
            case "status" | "auth":
                return vendor.error(options["code"])
            case "redirect":
                return Answer(options["code"], {"Location": f"{standin.trap_url}/{standin.name}"})
            case "reject":
                return vendor.rejected(options["why"])
            case "failed":
                return vendor.failed(id_)
            case "answer":
                return vendor.odd(options["body"])
        return None


async def read_request(connection: Connection) -> Request:
    """The next whole request; raises EOFError where none comes."""
    first = await connection.reader.readexactly(1)
    connection.idle = False
    head = first + await connection.reader.readuntil(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, path, _ = line.split(" ", 2)
    pairs = (text.partition(":") for text in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await connection.reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


def render(answer: Answer) -> bytes:
    return head_of(answer, {"Content-Length": str(len(answer.body))}) + answer.body


def head_of(answer: Answer, more: dict[str, str]) -> bytes:
    known = {status.value: status.phrase for status in HTTPStatus}
    phrase = known.get(answer.status, "Unheard Of")
    # By `Server` the watch for leaks knows a stand-in, whose ledger has recipients by design.
    headers = {"Date": formatdate(usegmt=True), "Server": "faultd", **answer.headers, **more}
    lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


# The answer breaks


async def _no_answer(connection: Connection, answer: Answer, fault: Fault) -> None:
    match fault.options.get("how", fault.name):
        case "reset":
            connection.reset()
        case "eof":
            connection.finish()
        case _:
            await connection.hold()


async def _slow(connection: Connection, answer: Answer, fault: Fault) -> None:
    await connection.send(render(answer))


async def _drip(connection: Connection, answer: Answer, fault: Fault) -> None:
    padded = replace(answer, body=answer.body or SOME_BODY)
    whole = render(padded)
    if fault.options["part"] == "body":
        head, whole = whole[: -len(padded.body)], padded.body
        await connection.send(head)
    await connection.drip(whole, fault.options["interval"])


async def _truncate(connection: Connection, answer: Answer, fault: Fault) -> None:
    padded = replace(answer, body=answer.body or SOME_BODY)
    await connection.send(render(padded)[: -len(padded.body) // 2])
    connection.finish()


async def _endless(connection: Connection, answer: Answer, fault: Fault) -> None:
    limit, seconds = fault.options["limit"], fault.options["seconds"]
    if fault.options["part"] == "head":
        await connection.send(head_of(answer, {})[:-2])
        await connection.flood(b"X-Filler: " + FILLER[:4000] + b"\r\n", limit, seconds)
    await connection.send(head_of(answer, {"Connection": "close"}) + answer.body)
    await connection.flood(FILLER, limit, seconds)


async def _bomb(connection: Connection, answer: Answer, fault: Fault) -> None:
    packed = replace(answer, headers=answer.headers | {"Content-Encoding": "gzip"})
    await connection.send(render(replace(packed, body=_packed(answer.body, fault.options["size"]))))


async def _big(connection: Connection, answer: Answer, fault: Fault) -> None:
    await connection.send(render(replace(answer, body=answer.body.ljust(fault.options["size"]))))


@lru_cache(maxsize=4)
def blanks(size: int) -> tuple[bytes, int]:
    """`size` bytes of blanks, deflated, and their CRC: 1 MiB packs to some 4 KiB."""
    packer, crc, parts = zlib.compressobj(level=1, wbits=-15), 0, []
    for _ in range(size // MIB):
        parts.append(packer.compress(b" " * MIB))
        crc = zlib.crc32(b" " * MIB, crc)
    return b"".join([*parts, packer.flush(zlib.Z_FULL_FLUSH)]), crc


def _packed(body: bytes, size: int) -> bytes:
    """Gzip (RFC 1952) of blanks and `body`: what follows a full flush stands for itself."""
    before, crc = blanks(size)
    packer = zlib.compressobj(wbits=-15)
    last = packer.compress(body) + packer.flush()
    length = size // MIB * MIB + len(body)
    return GZIP_HEAD + before + last + struct.pack("<II", zlib.crc32(body, crc), length)


def _with_retry_after(answer: Answer, form: str | None) -> Answer:
    if form is None:
        return answer
    value = formatdate(time() + DATE_AHEAD, usegmt=True) if form == "date" else str(form)
    return replace(answer, headers=answer.headers | {"Retry-After": value})


BREAKS: dict[str, Callable[[Connection, Answer, Fault], Awaitable[None]]] = {
    **dict.fromkeys((*NO_ANSWER, "lost"), _no_answer),
    "slow": _slow,
    "drip": _drip,
    "truncate": _truncate,
    "endless": _endless,
    "bomb": _bomb,
    "big": _big,
}
