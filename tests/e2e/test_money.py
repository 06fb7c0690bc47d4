"""Prices, budgets and books of the real process, against the bill of a stand-in."""

from __future__ import annotations

import http.client
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from faultd.client import Faultd
from harness.providers import config
from sidecar.delivery.model import in_digits

PRICE = "0.0083"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with Faultd(tmp_path_factory.mktemp("faultd"), one="twilio", two="twilio") as running:
        yield running


@pytest.fixture
def faultd(daemon):
    yield daemon
    daemon.heal()


def costs_of(sidecar, name):
    return sidecar.health("sms", name)["cost"]


def bill(database):
    """The books by a second counting: what the rows of the log say, each for itself."""
    with closing(sqlite3.connect(database)) as log:
        rows = log.execute(
            "select provider, outcome, units, cost_amount from attempts where outcome <> 'skipped'"
        ).fetchall()
    spent = {}
    for provider, outcome, units, amount in rows:
        billed = outcome in ("accepted", "unknown", "crashed")
        assert Decimal(amount) == (Decimal(PRICE) * units if billed else 0)
        assert (units > 0) == billed
        spent[provider] = spent.get(provider, 0) + Decimal(amount)
    return spent


def test_from_soft_to_spent_to_503(start, faultd, command):
    three, two = f"{Decimal(PRICE) * 3} USD", f"{Decimal(PRICE) * 2} USD"
    one = faultd.section("one", budget={"monthly": three, "soft": 0.6})
    sidecar = start(config("sms", one, faultd.section("two", budget={"daily": two, "soft": 1})))
    first, second, third, fourth, fifth, sixth = (sidecar.send("sms") for _ in range(6))
    assert first.trail == second.trail == [("one", "accepted")]
    assert first.json["cost"] == {"amount": PRICE, "currency": "USD"}
    assert third.trail == fourth.trail == [("one", "skipped"), ("two", "accepted")]
    assert third.json["attempts"][0]["reason"] == "soft_budget"
    # Now both are short: the declared order holds again, and the last money is spent.
    assert fifth.trail[-1] == ("one", "accepted")
    assert (sixth.status, sixth.json["code"]) == (503, "over_budget")
    assert {a["reason"] for a in sixth.json["attempts"]} == {"over_budget"}
    midnight = 86_400 - datetime.now(UTC).timestamp() % 86_400
    assert abs(int(sixth.headers["Retry-After"]) - midnight) < 60
    shown = sidecar.call("GET", "/health").json["chains"]["sms"]
    assert [p["skipped_because"] for p in shown["providers"]] == ["over_budget"] * 2
    assert costs_of(sidecar, "one")["budget"]["state"] == "over"
    where = f"http://127.0.0.1:{sidecar.port}"
    explained = command("explain", "--channel", "sms", "--url", where).stdout
    assert "0.0249 of 0.0249 USD monthly" in explained
    alerts = [one["subject"] for one in sidecar.events("alert")]
    assert alerts.count("one, monthly budget, 100%") == 1
    assert alerts.count("two, daily budget, 50%") == 1
    page = sidecar.call("GET", "/metrics").body.decode()
    assert 'otp_cost_total{currency="USD",provider="one"} 0.0249' in page
    assert 'otp_spent{currency="USD",provider="two",window="daily"} 0.0166' in page


def test_money_for_one_and_fifty_that_want_it_and_a_kill(start, faultd):
    before = len(faultd.ledger())
    faultd.set("one", "slow", delay=0.2)
    text = config("sms", faultd.section("one", budget={"monthly": f"{PRICE} USD"}))
    sidecar = start(text)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: sidecar.send("sms"), range(50)))
    assert sorted(a.status for a in answers) == [200] + [503] * 49
    assert len(faultd.ledger()) - before == 1
    sidecar.kill()
    again = start(text)
    assert costs_of(again, "one")["spent_this_month"] == PRICE
    assert again.send("sms").json["code"] == "over_budget"
    assert len(faultd.ledger()) - before == 1


def test_what_a_kill_cuts_off_is_billed(start, faultd, tmp_path):
    text = config("sms", faultd.section("one", budget={"monthly": "1.00 USD"}))
    dying = start(text, OTP_SIDECAR_CRASH_AT="left")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        dying.send("sms", text="a" * 161)
    again = start(text)
    assert costs_of(again, "one")["spent_this_month"] == "0.0166"
    assert bill(tmp_path / "data" / "deliveries.db") == {"one": Decimal("0.0166")}


def test_the_report_is_the_bill(start, faultd, command, tmp_path):
    faultd.set("one", "status", code=503, probability=0.5, seed=7)
    before = len(faultd.ledger())
    sections = (faultd.section("one", breaker={"enabled": False}), faultd.section("two"))
    sidecar = start(config("sms", *sections))
    for number in range(20):
        assert sidecar.send("sms", text="x" * (100 * (number % 4 + 1))).status == 200
    spent = bill(tmp_path / "data" / "deliveries.db")
    taken = faultd.ledger()[before:]
    segments = sum({1: 1, 2: 2, 3: 2, 4: 3}[number % 4 + 1] for number in range(20))
    assert len(taken) == 20
    assert sum(spent.values()) == Decimal(PRICE) * segments
    told = json.loads(command("cost", "--json").stdout)
    assert {one["provider"]: Decimal(one["cost"]) for one in told["providers"]} == spent
    assert sum(one["accepted"] for one in told["providers"]) == 20
    by_name = {one["provider"]: one for one in told["providers"]}
    assert by_name["two"]["after_failover"] == by_name["two"]["cost"]
    assert by_name["one"]["after_failover"] == "0.00"
    page = command("cost", "--month", f"{datetime.now(UTC):%Y-%m}").stdout
    assert f"total {in_digits(Decimal(PRICE) * segments)} USD" in page
    assert sidecar.stop() == 0
    assert command("cost").stdout == page


def test_the_log_in_memory_has_no_report(command, tmp_path):
    path = tmp_path / "providers.yaml"
    path.write_text("log: {path: ':memory:'}\nproviders: {console: }\nchains: {sms: [console]}\n")
    asked = command("cost")
    assert (asked.returncode, asked.stdout) == (69, "")
    assert "/health" in asked.stderr


def test_a_chain_of_a_provider_that_does_not_serve_the_channel_is_no_plan(command):
    told = command("cost", "--email", "100", "--chain", "email=twilio")
    assert (told.returncode, told.stdout) == (2, "")
    assert "--chain: `twilio` does not serve email, only sms" in told.stderr
