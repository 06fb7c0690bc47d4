"""The whole road: a real sidecar looks at accounts of moto and of the fault daemon."""

from __future__ import annotations

import json
import signal

import pytest

from faultd.client import CHANNELS, Faultd
from harness.process import EMAIL, PHONE, run_command, wait_for
from harness.providers import config, ses, sns
from harness.rig import environ as environ_of

OTHER = {"email": "eve@example.com", "sms": "+14155550199"}


def account(sidecar, channel, provider):
    return sidecar.health(channel, provider)["account"]


def found(sidecar, channel, provider, state):
    """The account, as soon as it is in this state."""

    def look():
        seen = account(sidecar, channel, provider)
        return seen if seen["state"] == state else None

    return wait_for(look, f"{provider} to be {state}")


def trail(answer):
    return [(a["provider"], a["outcome"], a["reason"]) for a in answer.json["attempts"]]


def gauge(sidecar, provider):
    page = sidecar.call("GET", "/metrics").body.decode()
    lines = [
        x for x in page.splitlines() if x.startswith(f'otp_account_state{{provider="{provider}"')
    ]
    return [x.split('state="')[1].split('"')[0] for x in lines if x.endswith(" 1.0")]


# moto: the sender, and the limits of SMS


def test_an_unverified_sender_is_found_before_a_message_finds_it(start, command, moto):
    both = [ses(moto.url).replace("{", "{preflight: skip, ", 1), "console: {}"]
    sidecar = start(config("email", *both))
    seen = found(sidecar, "email", "ses", "blocked")
    assert seen["summary"].startswith("neither the sender nor its domain is verified")
    assert seen["facts"]["sender_verified"] is False
    assert seen["checked_at"]
    assert 500 < seen["next_check_in"] <= 661
    assert gauge(sidecar, "ses") == ["blocked"]

    answer = sidecar.send("email")
    assert trail(answer) == [("ses", "skipped", "preflight"), ("console", "accepted", None)]
    health = sidecar.call("GET", "/health").json
    assert health["chains"]["email"]["status"] == "degraded"
    provider = health["chains"]["email"]["providers"][0]
    assert (provider["usable"], provider["skipped_because"]) == (False, "preflight")
    assert provider["circuit"]["state"] == "closed"
    assert [sidecar.call("GET", path).status for path in ("/livez", "/readyz")] == [200, 200]
    said = command("explain", "--channel", "email", "--url", sidecar.where).stdout
    assert "ses              out  preflight, for" in said
    assert "account blocked: neither the sender nor its domain is verified" in said

    moto.verify("codes@example.com")
    sidecar.process.send_signal(signal.SIGHUP)
    found(sidecar, "email", "ses", "ready")
    assert trail(sidecar.send("email")) == [("ses", "accepted", None)]
    lines = wait_for(lambda: sidecar.events("account_changed")[1:], "both changes to be told")
    assert lines[0]["after"] == "ready"
    first = sidecar.events("account_changed")[0]
    assert (first["before"], first["after"], first["level"]) == ("unknown", "blocked", "warning")


def test_sns_is_ready_where_the_stand_in_knows_no_sandbox(start, moto):
    sidecar = start(config("sms", sns(moto.url)))
    assert found(sidecar, "sms", "sns", "ready")["summary"].startswith("SNS ")


# The fault daemon: everything else


@pytest.fixture(scope="module")
def vendors(tmp_path_factory):
    with Faultd(tmp_path_factory.mktemp("daemon"), **{kind: kind for kind in CHANNELS}) as daemon:
        yield daemon


@pytest.fixture
def begin(start, vendors, tmp_path):
    """A sidecar with one provider of `kind` before a console; its account is looked at."""

    def starts(kind, mode):
        vendors.heal()
        sections = (vendors.section(kind, preflight=mode), "console: {}")
        more = "preflight: {interval: 1s}"
        trusting = environ_of(tmp_path, vendors)
        return start(config(CHANNELS[kind], *sections, more=more), **trusting)

    return starts


AMISS = {
    ("ses", "paused"): ("blocked", "resume it in the SES console"),
    ("ses", "quota"): ("blocked", "the daily quota of 50000 mails is used up"),
    ("ses", "unverified"): ("blocked", "neither the sender nor its domain"),
    ("ses", "sandbox"): ("degraded", "the account is in the sandbox"),
    ("sns", "sandbox"): ("degraded", "the account is in the sandbox"),
    ("sns", "limit"): ("degraded", "the monthly spend limit for SMS is 1 USD"),
    ("sendgrid", "no_scope"): ("blocked", "lacks the scope mail.send"),
    ("sendgrid", "no_credits"): ("blocked", "the day's 100 credits are used up"),
    ("twilio", "suspended"): ("blocked", "the account is suspended"),
    ("twilio", "trial"): ("degraded", "upgrade it in the Twilio Console"),
    ("twilio", "empty"): ("degraded", "the balance is used up (0.00 USD)"),
}


@pytest.mark.parametrize(("kind", "what"), AMISS)
def test_what_is_amiss_is_told_and_goes_when_it_is_mended(begin, vendors, kind, what):
    state, words = AMISS[kind, what]
    vendors.account(kind, what, EMAIL if CHANNELS[kind] == "email" else PHONE)
    sidecar = begin(kind, "observe")
    channel = CHANNELS[kind]
    assert words in found(sidecar, channel, kind, state)["summary"]
    answer = sidecar.send(channel)
    assert trail(answer)[0][:2] == (kind, "accepted"), "who observes keeps nothing back"
    vendors.account(kind, "well")
    found(sidecar, channel, kind, "ready")


def test_the_login_at_an_smtp_server_is_looked_at(begin, vendors):
    sidecar = begin("smtp", "skip")
    assert "logged in" in found(sidecar, "email", "smtp", "ready")["summary"]
    vendors.set("smtp", "auth", code=535)
    assert "mend the settings" in found(sidecar, "email", "smtp", "blocked")["summary"]
    assert trail(sidecar.send("email"))[0] == ("smtp", "skipped", "preflight")
    vendors.heal("smtp")
    found(sidecar, "email", "smtp", "ready")
    assert trail(sidecar.send("email"))[0] == ("smtp", "accepted", None)


@pytest.mark.parametrize(
    ("kind", "what"), [("ses", "sandbox"), ("sns", "sandbox"), ("twilio", "trial")]
)
def test_a_sandbox_is_passed_by_for_whoever_is_not_verified(begin, command, vendors, kind, what):
    channel = CHANNELS[kind]
    known = EMAIL if channel == "email" else PHONE
    vendors.account(kind, what, known)
    sidecar = begin(kind, "skip")
    seen = found(sidecar, channel, kind, "degraded")
    assert seen["facts"]["verified_recipients"] == 1
    assert trail(sidecar.send(channel, to=OTHER[channel])) == [
        (kind, "skipped", "preflight"),
        ("console", "accepted", None),
    ]
    assert trail(sidecar.send(channel, to=known)) == [(kind, "accepted", None)]
    health = sidecar.call("GET", "/health")
    assert health.json["status"] == "ok", "the usual message goes through"
    assert known.encode() not in health.body
    assert "is not verified" in sidecar.health(channel, kind)["account"]["passed_by"]
    said = command("explain", "--channel", channel, "--url", sidecar.where).stdout
    assert "in   circuit closed 0/5" in said
    assert f"; account degraded: {seen['summary']}" in said
    vendors.account(kind, "well")
    found(sidecar, channel, kind, "ready")
    assert trail(sidecar.send(channel, to=OTHER[channel])) == [(kind, "accepted", None)]


def test_a_vendor_that_is_down_is_unreachable_and_no_circuit_opens(begin, vendors):
    sidecar = begin("twilio", "skip")
    found(sidecar, "sms", "twilio", "ready")
    vendors.set("twilio", "refuse")
    found(sidecar, "sms", "twilio", "unreachable")
    provider = sidecar.health("sms", "twilio")
    assert (provider["usable"], provider["circuit"]["consecutive_failures"]) == (True, 0)
    assert sidecar.call("GET", "/readyz").status == 200


def test_the_command_says_the_same(begin, vendors, tmp_path):
    vendors.account("sendgrid", "no_scope")
    sidecar = begin("sendgrid", "observe")
    seen = found(sidecar, "email", "sendgrid", "blocked")
    trusting = environ_of(tmp_path, vendors)
    said = run_command(tmp_path, trusting, "check", "--online", "--json")
    (report,) = (one for one in json.loads(said.stdout) if one["provider"] == "sendgrid")
    assert {name: report[name] for name in ("state", "summary", "facts")} == {
        name: seen[name] for name in ("state", "summary", "facts")
    }
    vendors.account("sendgrid", "well")
