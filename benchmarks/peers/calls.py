"""One call of each official SDK, as its own documentation makes it, to a stand-in at `url`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Call = Callable[[str, str], Any]
"""Takes the recipient and the text; blocks until the vendor has answered."""
THREADS = 64
SUBJECT = "Your code"
SENDER = "codes@example.com"


def aws(service: str, url: str) -> Any:
    import boto3  # each server loads its own SDK alone
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="AKIABENCH",
        aws_secret_access_key="bench-secret",
        config=Config(max_pool_connections=THREADS, retries={"total_max_attempts": 1}),
    )


def ses(url: str) -> Call:
    client = aws("sesv2", url)

    def call(to: str, text: str) -> Any:
        return client.send_email(
            FromEmailAddress=SENDER,
            Destination={"ToAddresses": [to]},
            Content={"Simple": {"Subject": {"Data": SUBJECT}, "Body": {"Text": {"Data": text}}}},
        )

    return call


def sns(url: str) -> Call:
    client = aws("sns", url)
    return lambda to, text: client.publish(PhoneNumber=to, Message=text)


def twilio(url: str) -> Call:
    from requests.adapters import HTTPAdapter
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client

    http = TwilioHttpClient(pool_connections=True)
    http.session.mount("https://", HTTPAdapter(pool_maxsize=THREADS))
    client = Client("AC" + "0" * 32, "bench-token", http_client=http)
    client.api.base_url = url
    client.get_hostname = lambda uri: uri  # it would take the address for a region
    return lambda to, text: client.messages.create(to=to, from_="+15005550006", body=text)


def sendgrid(url: str) -> Call:
    from sendgrid import SendGridAPIClient
    from sendgrid.helpers.mail import Mail

    client = SendGridAPIClient("SG.bench")
    client.client.host = url

    def call(to: str, text: str) -> Any:
        mail = Mail(from_email=SENDER, to_emails=to, subject=SUBJECT, plain_text_content=text)
        return client.send(mail)

    return call


CALLS: dict[str, Callable[[str], Call]] = {
    "ses": ses,
    "sns": sns,
    "twilio": twilio,
    "sendgrid": sendgrid,
}
