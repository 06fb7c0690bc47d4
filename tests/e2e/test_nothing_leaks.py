"""No code, no secret and no full recipient in anything that is written."""

from __future__ import annotations

import base64
import html
import urllib.parse

from harness.process import CODE, EMAIL, PHONE
from harness.providers import config, sendgrid, smtp, twilio


def spellings(canary: str) -> set[bytes]:
    raw = canary.encode()
    return {
        raw,
        raw.hex().encode(),
        urllib.parse.quote(canary, safe="").encode(),
        html.escape(canary).encode(),
        *(_inside_base64(raw, before) for before in range(3)),
    }


def _inside_base64(raw: bytes, before: int) -> bytes:
    """The characters that only `raw` decides, where `before` bytes (modulo 3) stand before it."""
    whole = (before + len(raw)) * 8 // 6
    return base64.b64encode(b"\0" * before + raw)[-(-before * 8 // 6) : whole]


def found_in(text: bytes) -> list[str]:
    return [
        canary for canary in CANARIES if any(s in text for s in spellings(canary) if len(s) > 5)
    ]


def test_the_scan_can_find_a_canary():
    for canary in CANARIES:
        assert found_in(b"...%s..." % canary.encode()) != []
        assert found_in(base64.b64encode(b"some %s text" % canary.encode())) != []


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
        sidecar.send("sms", headers={"Idempotency-Key": f"login-{PHONE[1:]}-{CODE}"}),
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
    for answer in answers:
        assert found_in(answer.body) == [], answer
        assert found_in(repr(answer.headers).encode()) == []
    assert found_in("".join(sidecar.raw).encode()) == []
    assert found_in(sidecar.errors.read_bytes()) == []
    written = [path for path in (tmp_path / "data").iterdir() if path.is_file()]
    assert {path.name for path in written} >= {"deliveries.db", "deliveries.db.key"}
    for path in written:
        assert found_in(path.read_bytes()) == [], path
    assert len(sidecar.events("delivery")) == 4
    line = sidecar.events("delivery")[0]
    assert line["recipient"] == "+1******2671"
    assert list(line)[:3] == ["ts", "level", "event"]
