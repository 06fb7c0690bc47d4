"""The official client as the oracle: it and the provider speak to one server, and must agree."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_http_client import exceptions
from sendgrid import SendGridAPIClient
from sendgrid.helpers import mail as helpers

from sidecar import (
    DeliveryError,
    Message,
    Misconfigured,
    Receipt,
    Refused,
    Rejected,
    Throttled,
    Unavailable,
    Unknown,
)
from sidecar.testing import Answer, stub_server
from sidecar_sendgrid import SendGrid, SendGridConfig, _mail, _Origin

KEY = "SG.canary-key"
SENDER = "Example <codes@example.com>"
MESSAGE_ID = "<b5d1a2ba6e5b4c7c5a1e5aa5df4b6a3c@example.com>"


def message(**changes: Any) -> Message:
    fields = {"id": "m-1", "channel": "email", "to": "ada@example.com", "subject": "Your code"}
    return Message(**{**fields, "text": "Your code is 739184620517 🔑", **changes})


async def ours(url: str, sent: Message, **changes: Any) -> Receipt | DeliveryError:
    chosen = {
        "kind": "sendgrid",
        "api_key": KEY,
        "sender": SENDER,
        "base_url": url,
        "allow_private": True,
        **changes,
    }
    async with SendGrid("s", SendGridConfig.model_validate(chosen)) as provider:
        try:
            return await provider.send(sent, timeout=5)
        except DeliveryError as error:
            return error


async def theirs(url: str, mail: helpers.Mail, key: str = KEY) -> Any:
    """The official client's response or exception, from a thread because it blocks."""

    def run() -> Any:
        client = SendGridAPIClient(key, host=url)
        client.client.timeout = 5
        try:
            return client.send(mail)
        except exceptions.HTTPError as error:
            return error

    return await asyncio.to_thread(run)


def official(sent: Message, *, sender: str = SENDER, mail_id: str = MESSAGE_ID) -> helpers.Mail:
    """`sent` as a reader of the official client's manual would write it."""
    mail = helpers.Mail(
        from_email=sender,
        to_emails=sent.to,
        subject=sent.subject,
        plain_text_content=sent.text,
        html_content=sent.html,
    )
    mail.add_header(helpers.Header("Message-ID", mail_id))
    if sent.reply_to:
        mail.reply_to = helpers.ReplyTo(sent.reply_to)
    if sent.purpose == "otp":
        mail.tracking_settings = helpers.TrackingSettings(
            click_tracking=helpers.ClickTracking(enable=False, enable_text=False),
            open_tracking=helpers.OpenTracking(enable=False),
            subscription_tracking=helpers.SubscriptionTracking(enable=False),
        )
    return mail


def with_template(mail: helpers.Mail) -> helpers.Mail:
    mail.template_id = "d-1"
    mail.dynamic_template_data = {"code": "739184620517"}
    return mail


def unchanged(mail: helpers.Mail) -> helpers.Mail:
    return mail


TEMPLATE = {"sendgrid": {"template_id": "d-1", "dynamic_template_data": {"code": "739184620517"}}}


@pytest.mark.parametrize(
    ("sent", "finish"),
    [
        (message(), unchanged),
        (message(html="<b>739184620517</b>"), unchanged),
        (message(reply_to="Help <help@example.com>"), unchanged),
        (message(reply_to="help@example.com", purpose="alert"), unchanged),
        (message(extra=TEMPLATE), with_template),
        (message(extra=TEMPLATE, subject=None), with_template),
    ],
    ids=["text", "html", "reply to", "no code", "template", "template's own subject"],
)
async def test_both_send_the_same_mail(
    sent: Message, finish: Callable[[helpers.Mail], helpers.Mail]
) -> None:
    async with stub_server(Answer(202, {"X-Message-Id": "id-1"})) as stub:
        receipt = await ours(stub.url, sent)
        mail_id = json.loads(stub.requests[0].body)["headers"]["Message-ID"]
        response = await theirs(stub.url, finish(official(sent, mail_id=mail_id)))
    mine, other = stub.requests
    assert (mine.method, mine.path) == (other.method, other.path)
    assert json.loads(mine.body) == json.loads(other.body)
    for name in ("authorization", "content-type", "accept"):
        assert mine.headers[name] == other.headers[name]
    assert receipt == Receipt(response.headers["X-Message-Id"])


async def test_the_stand_in_takes_a_mail_from_both(stand_in: Any) -> None:
    receipt = await ours(stand_in.url, message())
    response = await theirs(stand_in.url, official(message()))
    assert isinstance(receipt, Receipt)
    assert (response.status_code, response.body) == (202, b"")
    assert response.headers["X-Message-Id"] != receipt.message_id
    assert len(stand_in.mails) == 2


@pytest.mark.parametrize(
    ("changes", "settings", "status", "kind", "outcome"),
    [
        ({"to": "ada@nowhere"}, {}, 400, exceptions.BadRequestsError, Rejected),
        (
            {"extra": {"sendgrid": {"template_id": "x"}}},
            {},
            400,
            exceptions.BadRequestsError,
            Refused,
        ),
        ({"text": ""}, {}, 400, exceptions.BadRequestsError, Rejected),
        ({}, {"sender": "codes@example.org"}, 403, exceptions.ForbiddenError, Misconfigured),
        ({}, {"api_key": "SG.another"}, 401, exceptions.UnauthorizedError, Misconfigured),
    ],
)
async def test_the_stand_in_refuses_both_for_the_same_reason(
    stand_in: Any,
    changes: dict[str, Any],
    settings: dict[str, str],
    status: int,
    kind: type[exceptions.HTTPError],
    outcome: type[DeliveryError],
) -> None:
    sent = message(**changes)
    mail = official(sent, sender=settings.get("sender", SENDER))
    mail.template_id = sent.extra_for("sendgrid").get("template_id")
    error = await ours(stand_in.url, sent, **settings)
    other = await theirs(stand_in.url, mail, settings.get("api_key", KEY))
    assert isinstance(error, outcome)
    assert type(other) is kind
    assert error.code == str(other.status_code) == str(status)
    assert stand_in.mails == []


@pytest.mark.parametrize(
    ("status", "kind", "outcome"),
    [
        (413, exceptions.PayloadTooLargeError, Rejected),
        (415, exceptions.UnsupportedMediaTypeError, Misconfigured),
        (429, exceptions.TooManyRequestsError, Throttled),
        (451, exceptions.HTTPError, Misconfigured),
        (502, exceptions.HTTPError, Unavailable),
        (503, exceptions.ServiceUnavailableError, Unavailable),
    ],
)
async def test_both_read_the_same_error(
    status: int, kind: type[exceptions.HTTPError], outcome: type[DeliveryError]
) -> None:
    body = b'{"errors": [{"message": "no", "field": null, "help": null}]}'
    async with stub_server(Answer(status, {}, body)) as stub:
        error = await ours(stub.url, message())
        other = await theirs(stub.url, official(message()))
    assert isinstance(error, outcome)
    assert type(other) is kind
    assert (error.code, other.body) == (str(status), body)


async def test_a_sandboxed_mail_is_a_success_to_the_official_client_only(stand_in: Any) -> None:
    mail = official(message())
    mail.mail_settings = helpers.MailSettings(sandbox_mode=helpers.SandBoxMode(enable=True))
    response = await theirs(stand_in.url, mail)
    assert (response.status_code, stand_in.mails) == (200, [])
    async with stub_server(Answer(response.status_code)) as stub:
        assert isinstance(await ours(stub.url, message()), Unknown)


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(),
    html=st.none() | st.text(min_size=1),
    subject=st.text(min_size=1),
    to=st.text(st.characters(exclude_characters="\x00")).map("ada{}@example.com".format),
    purpose=st.sampled_from(["otp", "alert"]),
    reply_to=st.sampled_from([None, "help@example.com", "Hélp <help@example.com>"]),
)
def test_whatever_a_message_holds_the_body_says_what_the_official_one_says(
    text: str, html: str | None, subject: str, to: str, purpose: str, reply_to: str | None
) -> None:
    sent = message(text=text, html=html, subject=subject, to=to, purpose=purpose, reply_to=reply_to)
    try:
        body = _mail(sent, _Origin(SENDER))
    except Rejected:
        return
    written = json.loads(body)
    assert body == json.dumps(written)
    mail_id = written["headers"]["Message-ID"]
    expected = official(message(purpose=purpose, reply_to=reply_to), mail_id=mail_id).get()
    contents = [("text/plain", text), ("text/html", html)]
    content = [{"type": kind, "value": value} for kind, value in contents if value]
    expected |= {"subject": subject, "personalizations": [{"to": [{"email": to}]}]}
    expected["content"] = content
    assert written == {name: value for name, value in expected.items() if value}
