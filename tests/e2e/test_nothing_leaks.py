"""What the product could be led to write a code, a secret or a recipient into, and does not.

Nothing here searches: `harness.leak_plugin` scans all that this and every other test has written.
"""

from __future__ import annotations

from harness.leaks import CODE, EMAIL, KEY, PHONE
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
