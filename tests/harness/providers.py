"""Provider sections of a configuration that point at the stand-ins."""

from __future__ import annotations

from harness.leaks import AWS_SECRET, SENDGRID_KEY, TWILIO_TOKEN
from harness.standins import Mailbox

AWS_KEYS = f"access_key_id: AKIAIOSFODNN7EXAMPLE, secret_access_key: {AWS_SECRET}"


def ses(url: str, keys: str = AWS_KEYS) -> str:
    return (
        f"ses: {{region: us-east-1, endpoint_url: '{url}', allow_private: true, {keys}, "
        "sender: codes@example.com}"
    )


def sns(url: str, keys: str = AWS_KEYS) -> str:
    return f"sns: {{region: us-east-1, endpoint_url: '{url}', allow_private: true, {keys}}}"


def sendgrid(url: str) -> str:
    return (
        f"sendgrid: {{base_url: '{url}', allow_private: true, api_key: {SENDGRID_KEY}, "
        "sender: codes@example.com}"
    )


def twilio(url: str, name: str = "twilio", more: str = "") -> str:
    return (
        f"{name}: {{kind: twilio, base_url: '{url}', allow_private: true, "
        f"account_sid: AC{'0' * 32}, auth_token: {TWILIO_TOKEN}, "
        f"sender: '+15005550006'{more}}}"
    )


def smtp(mailbox: Mailbox) -> str:
    return (
        f"smtp: {{host: localhost, port: {mailbox.port}, ca_file: '{mailbox.ca_file}', "
        f"allow_private: true, username: {mailbox.user}, password: {mailbox.password}, "
        "sender: codes@example.com}"
    )


def config(channel: str, *providers: str, more: str = "", policy: str = "") -> str:
    """A file with one chain of these providers, in this order."""
    names = ", ".join(text.partition(":")[0] for text in providers)
    lines = "".join(f"  {text}\n" for text in providers)
    chain = f"{{providers: [{names}], {policy}}}" if policy else f"[{names}]"
    return f"{more}\nproviders:\n{lines}chains:\n  {channel}: {chain}\n"
