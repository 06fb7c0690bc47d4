"""What a provider's own work costs beside the exchange: CPU of this process, ratios in one run.

    python benchmarks/providers.py [--rounds 7] [--sends 400]

SES, SNS, SendGrid and Twilio: `send()` against a POST of the same size through the same
`HttpTransport`. SMTP: `send()` over kept STARTTLS connections, with and without PIPELINING, against
`aiosmtplib.send()`, which connects for each mail. Mail and signature: ours against `email` and
botocore. The stand-ins run in a process of their own; rounds take turns; told are medians.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import trustme
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sidecar import HttpTransport, Message
from sidecar_aws.access import Access, Keys
from sidecar_aws.ses import Ses
from sidecar_aws.signing import Signer
from sidecar_aws.sns import Sns
from sidecar_sendgrid import SendGrid
from sidecar_smtp import Smtp
from sidecar_smtp.mime import compose, parse_sender
from sidecar_twilio import Twilio

AT_ONCE = 8
TEXT = "Your code is 739184620517. It is good for five minutes. Do not tell it to anybody."
MAIL = Message("m-1", "email", "ada@example.org", TEXT, subject="Your code")
UTF8 = Message("m-1", "email", "ada@example.org", f"{TEXT} Grüße", subject="Ihr Schlüssel")
SMS = Message("m-1", "sms", "+14155552671", TEXT, expires_in=300.0)
SENDER = "Example <otp@example.com>"
BODY = b'{"MessageId": "m", "sid": "SM%032d", "status": "queued"}' % 0
XML = b"<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>"
REPLY = (
    b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nX-Message-Id: m\r\nContent-Length: %d\r\n\r\n%s"
)
SENDGRID = REPLY % (b"202 Accepted", 0, b"")
SNS = REPLY % (b"200 OK", len(XML), XML)
OTHERS = REPLY % (b"201 Created", len(BODY), BODY)


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Whatever the three kinds of HTTP provider call a success."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            body = await reader.readexactly(int(length or 0))
            mail = b"/v3/" in head.split(b"\r\n", 1)[0]
            writer.write(SENDGRID if mail else SNS if body.startswith(b"Action=") else OTHERS)
    writer.close()


async def smtp(
    context: ssl.SSLContext, more: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(b"220 stand-in\r\n")
    said = {b"EHLO": b"250-stand-in\r\n250-SIZE 1000000\r\n250-STARTTLS\r\n250 %s\r\n" % more}
    said |= {b"DATA": b"354 go\r\n", b"STAR": b"220 go\r\n", b"QUIT": b"221 bye\r\n"}
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while line := await reader.readline():
            verb = line[:4].upper()
            writer.write(said.get(verb, b"250 ok\r\n"))
            if verb == b"STAR":
                await writer.start_tls(context)
            elif verb == b"DATA":
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 queued\r\n")
    writer.close()


async def serve(directory: Path) -> None:
    """All stand-ins; their ports on stdout, the authority as a file."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    servers = [await asyncio.start_server(http, "127.0.0.1", 0)]
    for more in (b"8BITMIME", b"PIPELINING"):

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, more: bytes = more
        ) -> None:
            await smtp(context, more, reader, writer)

        servers.append(await asyncio.start_server(talk, "127.0.0.1", 0))
    sys.stdout.write(" ".join(str(s.sockets[0].getsockname()[1]) for s in servers) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


Case = Callable[[], Awaitable[object]]


async def cases(stack: AsyncExitStack, ports: list[int], ca: Path) -> dict[str, tuple[Case, Case]]:
    """By name: what we do, and what it is compared with."""
    url = f"http://127.0.0.1:{ports[0]}"
    transport = HttpTransport(allow_private=True)
    stack.push_async_callback(transport.close)
    aws = {"region": "eu-west-1", "endpoint_url": url, "access_key_id": "AKID"}
    aws |= {"secret_access_key": "secret"}
    account = {"account_sid": f"AC{'0' * 32}", "auth_token": "secret", "base_url": url}
    chosen: list[tuple[type, Message, dict[str, object], str, int]] = [
        (Ses, MAIL, {**aws, "sender": SENDER}, "/v2/email/outbound-emails", 420),
        (Sns, SMS, {**aws, "sender_id": "Example"}, "/", 500),
        (SendGrid, MAIL, {"api_key": "k", "sender": SENDER, "base_url": url}, "/v3/mail/send", 560),
        (Twilio, SMS, {**account, "sender": "+15005550006"}, "/Messages.json", 200),
    ]
    found: dict[str, tuple[Case, Case]] = {}
    for kind, message, settings, path, size in chosen:
        # Both ignored: `type` says nothing of what every provider class has.
        config = kind.Config.model_validate(  # type: ignore[attr-defined]
            {"kind": kind.kind, "allow_private": True, **settings}  # type: ignore[attr-defined]
        )
        provider = await stack.enter_async_context(kind("p", config))
        headers = {"Content-Type": "application/json", "Authorization": "x" * 200}
        body = (b"Action=" if kind is Sns else b"x").ljust(size, b"x")
        found[f"{kind.__name__} against a POST"] = (
            lambda p=provider, m=message: p.send(m, timeout=20.0),
            lambda u=url + path, h=headers, b=body: transport.request(
                "POST", u, headers=h, body=b, timeout=20.0
            ),
        )
    context = ssl.create_default_context(cafile=str(ca))
    for name, port in zip(("stepwise", "PIPELINING"), ports[1:], strict=True):
        config = Smtp.Config.model_validate(
            {"kind": "smtp", "host": "localhost", "port": port, "sender": SENDER, "ca_file": ca}
            | {"allow_private": True}
        )
        mailer = await stack.enter_async_context(Smtp("m", config))
        found[f"SMTP, {name}, against aiosmtplib.send"] = (
            lambda m=mailer: m.send(MAIL, timeout=20.0),
            lambda p=port: aiosmtplib.send(
                built(MAIL), hostname="localhost", port=p, start_tls=True, tls_context=context
            ),
        )
    return found | local()


def built(message: Message) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = SENDER, message.to, message.subject
    mail["Date"], mail["Message-ID"] = "Wed, 25 Nov 2026 15:00:00 +0000", "<m-1@example.com>"
    mail.set_content(message.text)
    return mail


def local() -> dict[str, tuple[Case, Case]]:
    """What needs no wire."""
    sender, signer = parse_sender(SENDER), Signer("ses")
    url = "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails"
    access = Access(url, "eu-west-1", Keys("AKID", "secret"))
    keys, kind, body = Credentials("AKID", "secret"), "application/json", b"x" * 420

    def botocore() -> None:
        request = AWSRequest("POST", url, {"Content-Type": kind}, body)
        SigV4Auth(keys, "ses", "eu-west-1").add_auth(request)

    def case(work: Callable[[], object]) -> Case:
        async def run() -> None:
            work()

        return run

    return {
        "mail, ASCII, against email": (
            case(lambda: compose(MAIL, sender)),
            case(lambda: built(MAIL).as_bytes()),
        ),
        "mail, UTF-8, against email": (
            case(lambda: compose(UTF8, sender)),
            case(lambda: built(UTF8).as_bytes()),
        ),
        "signature against botocore": (
            case(lambda: signer.sign(access, "POST", url, kind, body)),
            case(botocore),
        ),
    }


async def cost(case: Case, count: int) -> float:
    """CPU microseconds of this process for one."""

    async def some() -> None:
        for _ in range(count // AT_ONCE):
            await case()

    began = time.process_time()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return (time.process_time() - began) / (count // AT_ONCE * AT_ONCE) * 1e6


async def main(rounds: int, sends: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, __file__, "--serve", directory]
        stand_in = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: ASYNC220  # before all
        try:
            assert stand_in.stdout is not None
            ports = [int(port) for port in stand_in.stdout.readline().split()]
            async with AsyncExitStack() as stack:
                found = await cases(stack, ports, Path(directory) / "ca.pem")
                for name, pair in found.items():
                    await asyncio.gather(*(cost(case, 2 * AT_ONCE) for case in pair))
                    ours, theirs = [], []
                    for _ in range(rounds):
                        ours.append(await cost(pair[0], sends))
                        theirs.append(await cost(pair[1], sends))
                    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
                    sys.stdout.write(
                        f"{name:<42} {statistics.median(ours):8.1f} us  other "
                        f"{statistics.median(theirs):8.1f} us  ratio "
                        f"{statistics.median(ratios):6.3f}  ({min(ratios):.3f}-{max(ratios):.3f})\n"
                    )
                    sys.stdout.flush()
        finally:
            stand_in.terminate()
            stand_in.wait(10)
            if stand_in.stdout is not None:
                stand_in.stdout.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sends", type=int, default=400, help="in each measurement")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(given.serve) if given.serve else main(given.rounds, given.sends))
