"""What is measured inside the tree's own Python: its providers, its log, its imports.

    python inside.py client KIND URL ROUNDS SENDS
    python inside.py smtp PORT CA_FILE ROUNDS MAILS
    python inside.py fill FOLDER ROWS...

Each prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import json
import shutil
import sqlite3
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from sidecar import DeliveryError, HttpTransport, Message

AT_ONCE = 64
SESSIONS = 8
WRITTEN = 10_000
SENDER = "codes@example.com"
TEXT = "Your code is 482913. It is good for five minutes. Do not share it with anybody."
KEYS = {"access_key_id": "AKIABENCH", "secret_access_key": "bench", "region": "eu-west-1"}
SETTINGS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "ses": ("sidecar_aws.ses", "Ses", "endpoint_url", {**KEYS, "sender": SENDER}),
    "twilio": (
        "sidecar_twilio",
        "Twilio",
        "base_url",
        {"account_sid": "AC" + "0" * 32, "auth_token": "t", "sender": "+15005550006"},
    ),
    "sendgrid": ("sidecar_sendgrid", "SendGrid", "base_url", {"api_key": "k", "sender": SENDER}),
}
PATHS = {
    "ses": "/v2/email/outbound-emails",
    "twilio": f"/2010-04-01/Accounts/AC{'0' * 32}/Messages.json",
    "sendgrid": "/v3/mail/send",
}
BODIES = {
    "ses": json.dumps({"Destination": {"ToAddresses": ["u0@example.com"]}, "Text": TEXT}),
    "twilio": f"To=%2B14152000000&From=%2B15005550006&Body={TEXT.replace(' ', '+')}",
    "sendgrid": json.dumps(
        {"personalizations": [{"to": [{"email": "u0@example.com"}]}], "content": TEXT}
    ),
}
Task = Callable[[int], Awaitable[object]]


async def spend(task: Task, count: int, at_once: int) -> tuple[float, float]:
    """Do it `count` times, `at_once` at a time; seconds of CPU and of the clock for each."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await task(number)

    before, began = time.process_time(), time.monotonic()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return (time.process_time() - before) / count, (time.monotonic() - began) / count


async def warm_up(task: Task, count: int, at_once: int) -> None:
    """Open the connections; on a busy machine that may take more time than a provider gives it."""
    for _ in range(5):
        with contextlib.suppress(DeliveryError):
            await spend(task, count, at_once)
            return
    raise SystemExit("no connection came to be in five tries")


def message(number: int, channel: str) -> Message:
    to = f"u{number}@example.com" if channel == "email" else f"+1415{2_000_000 + number}"
    subject = "Your code" if channel == "email" else None
    return Message(id=f"m{number}", channel=channel, to=to, text=TEXT, subject=subject)


async def client(kind: str, url: str, rounds: int, sends: int) -> dict[str, list[float]]:
    """CPU of `send()` and of a raw POST, turn by turn."""
    module, name, key, settings = SETTINGS[kind]
    provider_class = getattr(importlib.import_module(module), name)
    config = provider_class.Config(kind=kind, allow_private=True, **{key: url}, **settings)
    channel = "sms" if kind == "twilio" else "email"
    transport = HttpTransport(allow_private=True)
    headers = {"Content-Type": "application/json", "Authorization": "Bearer bench"}
    body = BODIES[kind].encode()

    async def post(_: int) -> object:
        return await transport.request(
            "POST", url + PATHS[kind], headers=headers, body=body, timeout=10.0
        )

    found: dict[str, list[float]] = {"send": [], "post": []}
    async with provider_class(kind, config) as provider:
        tasks: dict[str, Task] = {
            "send": lambda n: provider.send(message(n, channel), timeout=10.0),
            "post": post,
        }
        at_once = max(1, min(AT_ONCE, sends // 16))
        for task in tasks.values():
            await warm_up(task, sends // 4, at_once)
        for turn in range(rounds):
            for which in sorted(tasks, reverse=bool(turn % 2)):
                found[which].append((await spend(tasks[which], sends, at_once))[0])
    await transport.close()
    return found


async def smtp(port: int, ca_file: str, rounds: int, mails: int) -> dict[str, list[float]]:
    """Mails a second by kept sessions and by a session each, and their CPU in us."""
    aiosmtplib = importlib.import_module("aiosmtplib")
    module = importlib.import_module("sidecar_smtp")
    config = module.SmtpConfig(
        kind="smtp", host="127.0.0.1", port=port, ca_file=ca_file, sender=SENDER,
        allow_private=True, pool=SESSIONS,
    )  # fmt: skip
    context = ssl.create_default_context(cafile=ca_file)

    async def each(number: int) -> object:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = SENDER, f"u{number}@example.com", "Your code"
        mail["Message-ID"] = f"<{number}@example.com>"
        mail.set_content(TEXT)
        return await aiosmtplib.send(
            mail, hostname="127.0.0.1", port=port, start_tls=True, tls_context=context
        )

    found: dict[str, list[float]] = {"kept": [], "each": [], "kept_cpu": [], "each_cpu": []}
    async with module.Smtp("smtp", config) as provider:
        tasks: dict[str, Task] = {
            "kept": lambda n: provider.send(message(n, "email"), timeout=10.0),
            "each": each,
        }
        await warm_up(tasks["kept"], 4 * SESSIONS, SESSIONS)
        for turn in range(rounds):
            for which in sorted(tasks, reverse=bool(turn % 2)):
                cpu, seconds = await spend(tasks[which], mails, SESSIONS)
                found[which].append(1 / seconds)
                found[f"{which}_cpu"].append(cpu * 1e6)
    return found


async def deliver(log: Any, number: int, begun: float) -> None:
    """One delivery, claimed and finished through the store."""
    store = importlib.import_module("sidecar.store")
    model = importlib.import_module("sidecar.delivery.model")
    spread = hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()
    claim = store.Claim(
        f"old-{spread}",
        "email",
        "otp",
        "u***@e***.com",
        spread,
        spread,
        begun,
        key_hash=spread,
    )
    attempt = model.Attempt(
        "ses",
        "ses",
        model.Outcome.ACCEPTED,
        begun,
        0.05,
        provider_message_id=f"ses-{number:032d}",
        circuit="closed 0/5",
    )
    claimed = await log.claim(claim, keep_keys=86_400.0, first=(attempt,))
    ended = (model.Status.ACCEPTED, begun, begun + 0.1, (attempt,))
    await log.finish(claimed, model.Delivery(claim.id, "email", "otp", *ended))


async def fill(folder: Path, sizes: Sequence[int]) -> dict[str, str]:
    """Logs with so many deliveries each; where they are.

    The tree's own store writes the first 10,000; what is more are copies of these rows, with ids
    and hashes of their own.
    """
    sqlite = importlib.import_module("sidecar.store.sqlite")
    begun = time.time() - 86_400
    path, done, made = folder / "fill.db", 0, {}
    for size in sizes:
        log = sqlite.SqliteLog(path, timeout=60.0)
        await log.open()
        while done < min(size, WRITTEN):
            until = min(size, WRITTEN, done + 1000)
            await asyncio.gather(*(deliver(log, n, begun) for n in range(done, until)))
            done = until
        await log.close()
        if size > done:
            multiply(path, size // done)
            done = size
        made[str(size)] = str(folder / f"{size}.db")
        shutil.copy(path, made[str(size)])
    return made


def multiply(path: Path, times: int) -> None:
    """Make the log `times` as long, by copies of its rows."""
    db = sqlite3.connect(path)
    (most,) = db.execute("SELECT max(number) FROM deliveries").fetchone()
    own = {"id": "'old-' || hex(randomblob(12))", "key_hash": "lower(hex(randomblob(16)))"}
    for table, key in (("deliveries", "number"), ("earlier_runs", "delivery")):
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        values = [f"{key} + ?1" if name == key else own.get(name, name) for name in columns]
        statement = f"INSERT INTO {table} SELECT {', '.join(values)} FROM {table} WHERE {key} <= ?2"
        for turn in range(1, times):
            db.execute(statement, (turn * most, most))
    # As a sidecar that has been up for a while leaves it: what it cost is summed up.
    db.execute("UPDATE deliveries SET costed = 1")
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def main() -> None:
    what, *rest = sys.argv[1:]
    found: object
    if what == "client":
        found = asyncio.run(client(rest[0], rest[1], int(rest[2]), int(rest[3])))
    elif what == "smtp":
        found = asyncio.run(smtp(int(rest[0]), rest[1], int(rest[2]), int(rest[3])))
    else:
        found = asyncio.run(fill(Path(rest[0]), [int(size) for size in rest[1:]]))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
