"""Secrets by reference, in a real process, with moto's Secrets Manager over the wire."""

from __future__ import annotations

import json
import signal
import threading
from base64 import b64decode

import pytest

from harness import guests
from harness.process import wait_for
from harness.providers import config, twilio
from harness.standins import twilio_accepts

OLD, NEW = "canary-twilio-token-0001", "canary-twilio-token-0002"
FROM_AWS = "${aws-sm:otp/twilio#auth_token}"
REFUSED = (401, {}, b'{"code": 20003}')


class Account:
    """A Twilio account: which tokens it takes is for the test to say."""

    def __init__(self, vendor, *tokens):
        self.tokens = set(tokens)
        self.vendor = vendor(self._sends)
        self.vendor.answer_get = self._tells
        self.url = self.vendor.url

    def _sends(self, request):
        return twilio_accepts(request) if self._knows(request) else REFUSED

    def _tells(self, request):
        told = json.dumps({"status": "active", "type": "Full", "balance": "9"}).encode()
        return (200, {}, told) if self._knows(request) else REFUSED

    def _knows(self, request):
        return token_of(request) in self.tokens

    @property
    def used(self):
        """The token of each send that came."""
        return [token_of(request) for request in self.vendor.requests]


def token_of(request):
    return b64decode(request.headers["Authorization"].split()[1]).decode().partition(":")[2]


def text(account, secret=FROM_AWS, refresh="1h", more=""):
    section = twilio(account.url, more=more).replace(OLD, f"'{secret}'")
    return f"secrets: {{refresh: {refresh}}}\n" + config("sms", section, "console: {}")


@pytest.fixture
def account(vendor):
    return Account(vendor, OLD, NEW)


@pytest.fixture
def aws(moto):
    """What a process needs to find moto; the secret is there."""
    moto.put_secret("otp/twilio", json.dumps({"auth_token": OLD}))
    return {
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": moto.url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "canary-aws-secret-0001",
    }


def rotate(moto, token=NEW):
    moto.put_secret("otp/twilio", json.dumps({"auth_token": token}))


def told(sidecar, event, many=1):
    return wait_for(lambda: sidecar.events(event)[many - 1 :], event)[0]


# While it runs


def test_a_rotated_secret_is_swapped_in_and_no_send_is_lost(start, account, aws, moto):
    sidecar = start(text(account, refresh="1s"), **aws)
    answers, enough = [], threading.Event()

    def send_on():
        while not enough.is_set():
            answers.append(sidecar.send())

    senders = [threading.Thread(target=send_on) for _ in range(3)]
    for sender in senders:
        sender.start()
    try:
        wait_for(lambda: len(answers) > 20, "sends before the rotation")
        rotate(moto)
        assert told(sidecar, "reloaded")["changed"] == ["twilio"]
        swapped = len(account.used)
        wait_for(lambda: len(account.used) > swapped + 20, "sends after it")
    finally:
        enough.set()
        for sender in senders:
            sender.join()
    assert {str(answer.trail) for answer in answers} == {"[('twilio', 'accepted')]"}
    assert len(account.used) == len(answers)
    assert set(account.used[:20]) == {OLD}
    assert account.used[-1] == NEW
    assert sidecar.events("secret_refused") == sidecar.events("secret_not_read") == []


def test_a_key_that_was_revoked_opens_no_circuit_where_there_is_a_new_one(
    start, account, aws, moto
):
    sidecar = start(text(account), **aws)
    assert sidecar.send().trail == [("twilio", "accepted")]
    account.tokens = {NEW}
    rotate(moto)
    assert sidecar.send().trail == [("twilio", "misconfigured"), ("console", "accepted")]
    assert sidecar.events("circuit_changed") == []
    assert told(sidecar, "reloaded")["changed"] == ["twilio"]
    assert sidecar.send().trail == [("twilio", "accepted")]
    assert account.used == [OLD, OLD, NEW], "nothing was sent again by the same provider"
    assert sidecar.health("sms", "twilio")["circuit"]["state"] == "closed"


def test_a_key_that_was_revoked_opens_the_circuit_where_there_is_no_new_one(
    start, account, aws, moto
):
    sidecar = start(text(account), **aws)
    account.tokens = set()
    assert sidecar.send().trail == [("twilio", "misconfigured"), ("console", "accepted")]
    assert sidecar.health("sms", "twilio")["circuit"]["state"] == "open"
    assert sidecar.send().trail == [("twilio", "skipped"), ("console", "accepted")]


def test_a_new_key_that_is_wrong_too_opens_it_after_one_look(start, account, aws, moto):
    sidecar = start(text(account), **aws)
    account.tokens = set()
    rotate(moto, "canary-wrong")
    assert sidecar.send().trail == [("twilio", "misconfigured"), ("console", "accepted")]
    told(sidecar, "reloaded")
    assert sidecar.send().trail == [("twilio", "misconfigured"), ("console", "accepted")]
    assert sidecar.health("sms", "twilio")["circuit"]["state"] == "open"
    assert account.used == [OLD, "canary-wrong"]


def test_a_new_key_that_the_account_refuses_does_not_take_the_old_ones_place(
    start, account, aws, moto
):
    sidecar = start(text(account, refresh="1s"), **aws)
    rotate(moto, "canary-wrong")
    refused = told(sidecar, "secret_refused")
    assert (refused["level"], refused["provider"]) == ("error", "twilio")
    assert "20003" in refused["reason"]
    assert sidecar.send().trail == [("twilio", "accepted")]
    told(sidecar, "reloaded", 2)  # it is tried again
    assert len(sidecar.events("secret_refused")) == 1, "and told once"
    account.tokens.add("canary-wrong")
    wait_for(lambda: any(line.get("changed") for line in sidecar.events("reloaded")), "the new key")
    sidecar.send()
    assert account.used == [OLD, "canary-wrong"]


def test_a_secret_that_cannot_be_read_again_stays_and_is_told_once(start, account, aws, moto):
    sidecar = start(text(account, refresh="1s"), **aws)
    moto.delete_secret("otp/twilio")
    line = told(sidecar, "secret_not_read")
    assert (line["level"], line["secret"]) == ("error", "aws-sm:otp/twilio#auth_token")
    assert line["reason"].startswith("is not there, or has no value, in us-east-1")
    sidecar.process.send_signal(
        signal.SIGHUP
    )  # a load from the file goes by the text that was read
    told(sidecar, "reloaded")
    assert sidecar.send().trail == [("twilio", "accepted")]
    rotate(moto)
    assert told(sidecar, "secret_read_again")["secret"] == "aws-sm:otp/twilio#auth_token"
    wait_for(lambda: any(line.get("changed") for line in sidecar.events("reloaded")), "the swap")
    sidecar.send()
    assert account.used == [OLD, NEW]
    assert len(sidecar.events("secret_not_read")) == 1


def test_a_secret_that_comes_later_brings_its_optional_provider(start, account, aws, moto):
    moto.delete_secret("otp/twilio")
    sidecar = start(text(account, refresh="1s", more=", optional: true"), **aws)
    assert sidecar.events("ready")[0]["not_configured"] == {
        "twilio": ["aws-sm:otp/twilio#auth_token"]
    }
    told(sidecar, "secret_not_read")
    assert sidecar.send().trail == [("twilio", "skipped"), ("console", "accepted")]
    rotate(moto)
    assert told(sidecar, "reloaded")["changed"] == ["twilio"]
    assert sidecar.send().trail == [("twilio", "accepted")]


def test_a_hangup_reads_the_secrets_too(start, account, aws, moto):
    sidecar = start(text(account), **aws)
    rotate(moto)
    sidecar.process.send_signal(signal.SIGHUP)
    assert told(sidecar, "reloaded")["changed"] == ["twilio"]
    sidecar.send()
    assert account.used == [NEW]


def test_a_file_with_a_new_secret_is_tried_out_too(start, account, tmp_path):
    secret = tmp_path / "token"
    secret.write_text(OLD)
    sidecar = start(text(account, secret="${file:token}"))
    secret.write_text("canary-wrong")
    assert told(sidecar, "secret_refused")["provider"] == "twilio"
    assert sidecar.send().trail == [("twilio", "accepted")]
    secret.write_text(NEW)
    wait_for(lambda: any(line.get("changed") for line in sidecar.events("reloaded")), "the swap")
    sidecar.send()
    assert account.used == [OLD, NEW]


# At start

FAULTS = {
    "no such secret": ("aws-sm:otp/none#auth_token", "is not there, or has no value, in us-east-1"),
    "no such key": ("aws-sm:otp/twilio#token", "has no key `token`: add it to the secret"),
    "no text": ("aws-sm:otp/twilio#number", "has no text under `number`, but a number"),
    "no object": ("aws-sm:otp/plain#key", "is no JSON object, so it has no `key`"),
}


@pytest.mark.parametrize(("inside", "why"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_had_ends_the_check_and_the_start(
    command, account, aws, moto, tmp_path, inside, why
):
    moto.put_secret("otp/twilio", json.dumps({"auth_token": OLD, "number": 5}))
    moto.put_secret("otp/plain", "canary-plain")
    file = tmp_path / "providers.yaml"
    file.write_text(text(account, secret=f"${{{inside}}}"))
    for arguments in (["check", "providers.yaml"], ["run"]):
        ended = command(*arguments, **aws)
        assert ended.returncode == 78
        place, _, said = ended.stderr.partition(": ")
        assert place.startswith("providers.yaml:4:")
        assert said.startswith(f"providers.twilio.auth_token: the secret `{inside}` {why}")


def test_a_check_says_why_an_optional_provider_lacks_its_secret(command, account, aws, tmp_path):
    (tmp_path / "providers.yaml").write_text(
        text(account, secret="${aws-sm:otp/none}", more=", optional: true")
    )
    ended = command("check", **aws)
    assert ended.returncode == 0
    assert "not configured, lacks aws-sm:otp/none" in ended.stdout
    assert ended.stderr.startswith("the secret `aws-sm:otp/none` is not there, or has no value")


def test_the_configuration_shows_where_it_came_from_and_not_what_it_is(
    command, account, aws, tmp_path
):
    (tmp_path / "providers.yaml").write_text(text(account))
    shown = json.loads(command("config", "show", "--json", **aws).stdout)
    assert shown["providers"]["twilio"]["auth_token"] == "***"
    assert shown["origins"]["providers.twilio.auth_token"] == "aws-sm otp/twilio#auth_token"


VAULT = """
import os
from sidecar import NoSecret, SecretSource, hookimpl

class Vault(SecretSource):
    scheme = "vault"

    def fetch(self, name, *, timeout):
        return self.environ["VAULT_" + name]

@hookimpl
def register_secret_sources():
    return [Vault]
"""


def test_another_plugin_offers_another_scheme_and_sees_the_dotenv(start, account, tmp_path):
    found = guests.install_module(tmp_path, VAULT, "vault", group="sidecar.secrets")
    (tmp_path / ".env").write_text(f"VAULT_TWILIO={OLD}\n")
    sidecar = start(text(account, secret="${vault:TWILIO}"), **found)
    assert sidecar.send().trail == [("twilio", "accepted")]
    assert account.used == [OLD]
