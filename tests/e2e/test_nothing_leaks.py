"""What the product could be led to write a code, a secret or a recipient into, and does not.

Nothing here searches: `harness.leak_plugin` scans all that this and every other test has written.
"""

from __future__ import annotations

import json
import socket

import pytest

from harness.leaks import CODE, EMAIL, KEY, PHONE, TOKEN
from harness.process import PATIENCE, wait_for
from harness.providers import config, sendgrid, smtp, twilio


def echo(request):
    """A vendor that repeats all it was told in its error."""
    return 400, {"X-Said": "x"}, b'{"code": 99999, "message": "' + request.body[:500] + b'"}'


def test_nothing_written_holds_a_code_a_secret_or_a_recipient(start, vendor, mailbox, tmp_path):
    chatty = vendor(echo)
    lost = vendor(lambda r: None)
    text = config("sms", twilio(chatty.url, "chatty"), twilio(lost.url, "lost"))
    text = text.replace(
        "chains:",
        f"  {sendgrid(chatty.url)}\n  {smtp(mailbox)}\nchains:\n  email: [sendgrid, smtp]",
    )
    sidecar = start(text)
    answers = [
        sidecar.send("sms", id="m-1"),
        sidecar.send("sms", id="m-1"),
        sidecar.send("sms", headers={"Idempotency-Key": KEY}),
        sidecar.send("email", subject=f"{CODE} is your code", html=f"<b>{CODE}</b>"),
        sidecar.send("email", to=f"{EMAIL}, {EMAIL}"),
        sidecar.send("sms", to=f"{PHONE}x"),
        sidecar.send("sms", wrong_field=CODE),
        sidecar.send("sms", extra={"twilio": {"sender": [CODE]}}),
        sidecar.call("POST", "/v1/send", f'{{"text": "{CODE}"'.encode()),
        sidecar.call("GET", "/v1/messages/m-1"),
        sidecar.call("GET", "/health"),
        sidecar.call("GET", "/metrics"),
    ]
    assert {a.status for a in answers} >= {200, 202, 400, 422}
    assert mailbox.mails, "the mail went out"
    assert sidecar.stop() == 0
    written = [path for path in (tmp_path / "data").iterdir() if path.is_file()]
    assert {path.name for path in written} >= {"deliveries.db", "deliveries.db.key"}
    assert len(sidecar.events("delivery")) == 4
    line = sidecar.events("delivery")[0]
    assert line["recipient"] == "+1******2671"
    assert list(line)[:3] == ["ts", "level", "event"]


TRACE = f"00-{PHONE[1:]:0>32}-b7ad6b7169203331-01"


def test_ids_of_a_caller_that_hold_the_recipient_or_the_code_are_not_taken_up(start):
    sidecar = start("providers: {console: {}}\nchains: {sms: [console]}\n")
    for hidden in (PHONE[1:], f"login-{PHONE[1:]}", f"login:{CODE}", f"{PHONE[2:]}-7"):
        answer = sidecar.send(headers={"X-Request-Id": hidden, "traceparent": TRACE})
        assert answer.status == 200, answer
        assert "traceparent" not in answer.headers
        line = wait_for(
            lambda given=answer.headers["X-Request-Id"]: next(
                (e for e in sidecar.events("delivery") if e["request_id"] == given), None
            ),
            "its line under the id that was returned",
        )
        assert "trace_id" not in line
    kept = sidecar.send(headers={"X-Request-Id": "login-7-20261125-4155"})
    assert kept.headers["X-Request-Id"] == "login-7-20261125-4155"
    for field in ("id", "purpose"):
        answer = sidecar.send(**{field: f"login-{PHONE[1:]}"})
        assert answer.status == 422
        assert answer.json["errors"][0]["pointer"] == f"/{field}"


def test_a_request_may_hold_a_canary_anywhere(start, tmp_path):
    (tmp_path / "tokens").write_text(f"{TOKEN}\n")
    text = "providers: {console: {}}\nchains: {sms: [console]}\n"
    (tmp_path / "providers.yaml").write_text(
        f"server: {{listen: '127.0.0.1:0', token_file: '{tmp_path / 'tokens'}'}}\n{text}"
    )
    sidecar = start()
    assert sidecar.send().status == 200
    for method, path in (
        ("GET", f"/v1/messages/{PHONE[1:]}"),
        ("GET", f"/{TOKEN}"),
        ("GET", f"/health?token={TOKEN}"),
        ("POST", f"/v1/send?token={TOKEN}&to={PHONE}"),
        ("GET", f"/v1/messages/%2B{PHONE[1:]}"),
    ):
        sidecar.call(method, path, None if method == "GET" else b"{}")
    for name in ("Idempotency-Key", "Request-Timeout", "Prefer", "Host", "Origin", "Expect"):
        sidecar.send(headers={name: f"{TOKEN} {PHONE} {CODE}"})
    sidecar.send(headers={"Authorization": f"Basic {TOKEN}"})
    sidecar.call("POST", "/v1/send", b"{}", {"Content-Type": f"text/{TOKEN}"})
    for head in (
        f"POST /v1/send HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n {PHONE}\r\n\r\n",
        f"POST /v1/send {TOKEN}\r\n\r\n",
        f"{TOKEN} /v1/send HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"POST /v1/send HTTP/1.1\r\nHost: localhost\r\n{TOKEN}\r\n\r\n",
        f"POST /v1/send HTTP/1.1\r\nHost: localhost\r\nA\x00: {TOKEN}\r\n\r\n",
        f"POST /v1/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: {PHONE[1:]}x\r\n\r\n",
        f"POST /v1/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{CODE}",
        f"POST http://{TOKEN}/v1/send HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", sidecar.port), PATIENCE) as connection:
            connection.sendall(head.encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    assert sidecar.send(id="after").status == 200


def test_vendors_that_repeat_the_recipient_where_it_is_not_looked_for(start, vendor, mailbox):
    said = [
        (400, {}, json.dumps({"code": PHONE}).encode()),
        (400, {}, json.dumps({"code": f"E{CODE}"}).encode()),
        (201, {}, json.dumps({"sid": f"SM{PHONE}", "status": "queued"}).encode()),
        (201, {}, json.dumps({"sid": CODE, "status": "queued"}).encode()),
        (429, {"Retry-After": PHONE}, b"{}"),
        (503, {}, json.dumps({"code": CODE}).encode()),
        (302, {"Location": f"http://{TOKEN}/{PHONE}"}, b""),
        (200, {"Content-Type": f"text/{PHONE}"}, PHONE.encode()),
    ]
    answers = iter(said)
    texts = vendor(lambda request: next(answers))
    mails = vendor(lambda request: (202, {"X-Message-Id": f"{EMAIL}.{CODE}"}, b""))
    refusals = iter([f"550 5.1.1 <{EMAIL}> {CODE}", f"250 2.0.0 Ok: {EMAIL} queued as {CODE}"])

    async def handle_data(server, session, envelope):
        return next(refusals)

    mailbox.handle_DATA = handle_data
    text = config("sms", twilio(texts.url, more=", breaker: {failure_threshold: 100}"))
    more = f"  {sendgrid(mails.url)}\n  {smtp(mailbox)}\nchains:\n  email: [sendgrid]"
    sidecar = start(text.replace("chains:", more))
    outcomes = [sidecar.send("sms").json["attempts"][0] for _ in said]
    assert {"accepted", "throttled"} < {one["outcome"] for one in outcomes}
    assert [one["provider_message_id"] for one in outcomes[2:4]] == [None, "withheld"]
    assert sidecar.send("email").json["provider_message_id"] == "withheld"
    assert sidecar.stop() == 0
    sidecar = start(text.replace("chains:", more.replace("email: [sendgrid]", "email: [smtp]")))
    assert [sidecar.send("email").json["attempts"][0]["outcome"] for _ in range(2)] == [
        "rejected",
        "accepted",
    ]


GUEST = """
import asyncio, gc, logging, threading, warnings
from sidecar import *
from sidecar import hookimpl

class Talks(Provider):
    kind, channels = "talks", frozenset({"sms", "email"})

    class Config(ProviderConfig):
        key: Secret

    async def __aenter__(self):
        await super().__aenter__()
        if self.name == "opens":
            raise Misconfigured("no such key: " + self.key)
        return self

    @property
    def key(self):
        return self.config.key.get_secret_value()

    async def send(self, message, *, timeout):
        said = f"{message.to} {message.text} {self.key}"
        log = logging.getLogger("talks")
        log.error(said)
        log.error(said + " %s", message.to)
        log.log(35, said)
        log.error("%s", said, exc_info=ValueError(said))
        warnings.warn(said)
        asyncio.get_running_loop().create_task(self.fails(said), name=said)
        thread = threading.Thread(target=self.dies, args=(said,), name=said)
        thread.start()
        thread.join()
        asyncio.get_running_loop().call_soon(self.dies, said)
        Dies(said)
        await asyncio.sleep(0)
        gc.collect()
        match message.purpose:
            case "reason":
                raise Unavailable(f"cannot reach {message.to}", code=message.to)
            case "spelt":
                area, rest = message.to[2:5], message.to[5:]
                raise Unavailable(f"to=%2B{message.to[1:]}, ({area}) {rest[:3]}-{rest[3:]}")
            case "text":
                raise Rejected(message.text, code=message.text[-12:])
            case "key":
                raise Misconfigured(f"bad key {self.key}", code=self.key)
            case "id":
                return Receipt(f"id-{message.to}")
            case "crash":
                raise RuntimeError(said)
            case "exit":
                raise SystemExit(said)
            case "cancel":
                raise asyncio.CancelledError(said)
            case "late":
                await asyncio.sleep(timeout + 0.5)

    async def fails(self, said):
        raise ValueError(said)

    def dies(self, said):
        raise ValueError(said)

class Dies:
    def __init__(self, said):
        self.said = said

    def __del__(self):
        raise ValueError(self.said)

@hookimpl
def register_providers():
    return [Talks]
"""
PURPOSES = ("reason", "spelt", "text", "id", "crash", "exit", "cancel", "late", "key")


@pytest.mark.parametrize(
    "environ_more",
    [{}, {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1"}],
    ids=["as it runs", "in development mode"],
)
def test_a_guest_that_tells_all_it_knows(start, tmp_path, environ_more):
    (tmp_path / "talking_guest.py").write_text(GUEST)
    info = tmp_path / "talks-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: talks\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[sidecar.providers]\ntalks = talking_guest\n")
    guest = f"talks: {{key: {TOKEN}, timeout: 300ms, breaker: {{failure_threshold: 100}}}}"
    broken = f"opens: {{kind: talks, key: {TOKEN}}}"
    both = config("sms", guest, broken).replace("chains:", "chains:\n  email: [talks]")
    sidecar = start(both, PYTHONPATH=str(tmp_path), **environ_more)
    outcomes = {}
    for purpose in PURPOSES:
        attempt = sidecar.send("sms", purpose=purpose, id=purpose).json["attempts"][0]
        outcomes[purpose] = attempt["outcome"]
        sidecar.send("email", purpose=purpose)
        sidecar.call("GET", f"/v1/messages/{purpose}")
        sidecar.call("GET", "/health")
    assert outcomes == {
        "reason": "unavailable",
        "spelt": "unavailable",
        "text": "rejected",
        "key": "misconfigured",
        "id": "accepted",
        "crash": "crashed",
        "exit": "crashed",
        "cancel": "crashed",
        "late": "unknown",
    }
    assert sidecar.health("sms", "opens")["broken"]
    sidecar.call("GET", "/metrics")
    assert sidecar.stop() == 0


CLASS = """
import os
from sidecar import *

class Broken(Provider):
    kind, channels = "broken", frozenset({"sms"})

    class Config(ProviderConfig):
        key: Secret
%s
    async def send(self, message, *, timeout):
        pass

def register_providers():
    return [Broken]
"""
BROKEN = {
    "as it is imported": "import os\nraise RuntimeError(os.environ['KEY'])",
    "with an import error": "import os\nraise ImportError(os.environ['KEY'])",
    "as it registers": "import os\ndef register_providers(): raise KeyError(os.environ['KEY'])",
    "with an exit": "import os\nraise SystemExit(os.environ['KEY'])",
    "as it is built": CLASS
    % """
    def __init__(self, name, config):
        raise ConfigError("bad " + config.key.get_secret_value())
""",
    "as its settings are described": CLASS
    % """
        @classmethod
        def __get_pydantic_json_schema__(cls, *arguments):
            raise RuntimeError(os.environ["KEY"])
""",
    "when it is asked": CLASS
    % """
    async def check(self, *, timeout):
        print(self.config, file=__import__("sys").stderr)
        raise Misconfigured("bad " + self.config.key.get_secret_value())
""",
}


@pytest.mark.parametrize("way", BROKEN)
def test_a_guest_that_fails_at_start_and_tells_why(command, tmp_path, way):
    (tmp_path / "broken_guest.py").write_text(BROKEN[way])
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[sidecar.providers]\nbroken = broken_guest\n")
    (tmp_path / "providers.yaml").write_text(
        "server: {listen: '127.0.0.1:0'}\n" + config("sms", "broken: {key: '${KEY}'}")
    )
    variables = {"PYTHONPATH": str(tmp_path), "KEY": TOKEN}
    words = {
        "when it is asked": ("check", "--online"),
        "as its settings are described": ("config", "schema"),
    }.get(way, ("run",))
    for chosen in (words, ("config", "show")):
        ended = command(*chosen, **variables)
        assert ended.returncode in (0, 1, 70, 78)
        assert (ended.returncode == 70) is (chosen == ("config", "schema")), ended
        assert len(ended.stderr.splitlines()) <= 1 or way == "when it is asked"
