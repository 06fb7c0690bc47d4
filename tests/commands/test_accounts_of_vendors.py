"""`otp-sidecar twilio account` and `sendgrid account`, of accounts that the fault daemon keeps."""

from __future__ import annotations

import json

import pytest

from faultd.client import CHANNELS, Faultd
from harness.process import run_command
from harness.providers import config
from harness.rig import environ as environ_of

KINDS = {"twilio": "twilio", "sendgrid": "sendgrid"}


@pytest.fixture(scope="module")
def vendors(tmp_path_factory):
    with Faultd(tmp_path_factory.mktemp("daemon"), **KINDS) as daemon:
        yield daemon


@pytest.fixture
def account(vendors, tmp_path):
    """`otp-sidecar KIND account` with one provider of that kind."""

    def run(kind, *arguments):
        text = config(CHANNELS[kind], vendors.section(kind))
        (tmp_path / "providers.yaml").write_text(text)
        environ = environ_of(tmp_path, vendors)
        done = run_command(tmp_path, environ, kind, "account", *arguments)
        assert "canary" not in done.stdout + done.stderr
        return done

    yield run
    vendors.heal()
    for kind in KINDS:
        vendors.account(kind, "well")


def test_a_twilio_account(account, vendors):
    done = account("twilio", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["facts"] == {
        "status": "active",
        "type": "Full",
        "balance": "12.50",
        "currency": "USD",
    }
    assert account("twilio").stdout.splitlines() == [
        "state    ready",
        "status   active",
        "type     Full",
        "balance  12.50 USD",
    ]
    vendors.account("twilio", "suspended")
    done = account("twilio")
    assert done.returncode == 1
    assert "twilio: the account is suspended: see why in the Twilio Console" in done.stderr


def test_a_sendgrid_account(account, vendors):
    done = account("sendgrid", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["mail_send"], told["scopes"]) == (True, ["mail.send"])
    assert (told["facts"]["credits_left"], told["facts"]["credits_total"]) == (90, 100)
    assert account("sendgrid").stdout.splitlines() == [
        "state      ready",
        "mail.send  yes",
        "credits    90 of 100 left until 2026-12-01",
        "scope      mail.send",
    ]
    vendors.account("sendgrid", "no_scope")
    done = account("sendgrid")
    assert done.returncode == 1
    assert "mail.send  no" in done.stdout
    assert "give it Mail Send" in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_an_account_that_cannot_be_reached_is_unavailable(account, vendors, kind):
    vendors.set(kind, "refuse")
    done = account(kind)
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr.startswith(f"{kind}: ")


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_configured_provider_it_is_78(command, kind):
    done = command(kind, "account")
    assert (done.returncode, done.stdout) == (78, "")
    assert "name a file with --config" in done.stderr


def test_what_the_one_provider_of_the_kind_lacks_is_said(command, tmp_path):
    (tmp_path / "providers.yaml").write_text(
        "providers: {t: {kind: twilio, optional: true, account_sid: '${SID}',"
        " auth_token: '${AUTH}', sender: '${SENDER}'}, console: {}}\nchains: {sms: [t, console]}\n"
    )
    done = command("twilio", "account")
    assert (done.returncode, done.stdout) == (78, "")
    assert "`t` lacks SID, AUTH, SENDER" in done.stderr
