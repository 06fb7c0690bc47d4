"""What an operator hears of at once, from the real process to a receiver that checks signatures."""

from __future__ import annotations

import json
import signal
import threading
import time

import pytest

from harness.leaks import Scan
from harness.process import wait_for
from harness.providers import config, twilio
from harness.standins import twilio_accepts
from harness.webhooks import KEY, OLD_KEY, secret_of, verified

QUICK = "breaker: {recovery_timeout: 1s}"

UNSEEN = ", preflight: 'off'"
"""These stand-ins have no account, which is another alert."""


def fails(request):
    return 503, {}, b"<html>upstream is down</html>"


def takes(request):
    return 204, {}, b""


class Inbox:
    """What a receiver has: every payload verified, and searched for what may not be in it."""

    def __init__(self, stand_in, key=KEY):
        self.stand_in = stand_in
        self.key = key

    def all(self):
        found = []
        for request in list(self.stand_in.requests):
            said = f"{request.path} {request.headers}".encode() + request.body
            assert [str(one) for one in Scan().find(said)] == []
            found.append(verified(request.headers, request.body, self.key, time.time()))
        return found

    def told(self, event="circuit_open"):
        data = [one["data"] for one in self.all() if one["type"] == f"otp_sidecar.{event}"]
        return [(one["subject"], one["resolved"]) for one in data]


def alerts(url, key=KEY):
    return f"alerts: {{webhook: '{url}', secret: {secret_of(key)}, allow_private: true}}\n"


@pytest.fixture
def house(start, vendor):
    """A sidecar whose first provider fails and whose second one takes all, and its receiver."""
    first, second, receiver = vendor(fails), vendor(twilio_accepts), vendor(takes)
    chain = [twilio(one.url, name, UNSEEN) for name, one in (("first", first), ("second", second))]

    def begin():
        return start(config("sms", *chain, more=alerts(f"{receiver.url}/hook") + QUICK))

    return begin, first, receiver


def fail_five_times(sidecar):
    for _ in range(5):
        assert sidecar.send().status == 200
    assert sidecar.health("sms", "first")["circuit"]["state"] == "open"


def heal(sidecar, first):
    first.answer = twilio_accepts

    def closed():
        sidecar.send()
        return sidecar.health("sms", "first")["circuit"]["state"] == "closed"

    wait_for(closed, "the circuit to close")


def metric(sidecar, name):
    page = sidecar.call("GET", "/metrics").body.decode()
    return next((float(x.split()[1]) for x in page.splitlines() if x.startswith(f"{name} ")), None)


def test_a_circuit_opens_and_closes_with_one_post_each(house):
    begin, first, receiver = house
    sidecar, inbox = begin(), Inbox(receiver)
    fail_five_times(sidecar)
    for _ in range(10):
        sidecar.send()
    wait_for(lambda: len(inbox.told()) == 1, "the alert")
    health = sidecar.call("GET", "/health").json["alerts"]
    assert [(one["event"], one["subject"]) for one in health] == [
        ("circuit_open", "first"),
        ("fallback", "sms"),
    ]
    assert health[1]["summary"] == "sms goes by second: first is unavailable"
    assert metric(sidecar, "otp_alerts_active") == 2

    heal(sidecar, first)
    wait_for(lambda: len(inbox.told()) == 2, "the good news")
    assert inbox.told() == [("first", False), ("first", True)]
    assert inbox.told("fallback") == [("sms", False)], "ten quiet minutes have not passed"
    opened, closed = (one for one in inbox.all() if one["type"] == "otp_sidecar.circuit_open")
    assert opened["data"]["facts"]["reason"] == "5 consecutive failures"
    assert opened["timestamp"] <= closed["timestamp"]
    assert metric(sidecar, "otp_alerts_active") == 1
    assert metric(sidecar, 'otp_alerts_total{event="circuit_open"}') == 1
    delivered = 'otp_alert_webhook_total{result="delivered"}'
    wait_for(lambda: metric(sidecar, delivered) == 3, "the third answer to be counted")
    (line,) = [one for one in sidecar.events("alert") if one["alert"] == "circuit_open"]
    assert line["level"] == "warning"
    assert line["facts"]["kind"] == "twilio"
    (line,) = wait_for(lambda: sidecar.events("alert_resolved"), "the line")
    assert (line["level"], line["subject"]) == ("info", "first")


def test_a_receiver_that_hangs_holds_up_no_send_and_no_end(house):
    begin, _, receiver = house
    receiver.gate = threading.Event()
    sidecar = begin()
    fail_five_times(sidecar)
    wait_for(lambda: receiver.requests, "the POST that hangs")
    assert [sidecar.send().status for _ in range(100)] == [200] * 100
    assert len(receiver.requests) == 1, "all of them were answered while it hung"
    assert sidecar.stop() == 0
    assert sidecar.events("stopped")
    assert sidecar.events("alerts_unsent")[0]["alerts"] == 2


def test_what_is_bad_after_a_restart_is_told_anew(house):
    begin, _, receiver = house
    inbox = Inbox(receiver)
    one = begin()
    fail_five_times(one)
    wait_for(lambda: inbox.told() == [("first", False)], "the alert")
    assert one.stop() == 0
    another = begin()
    fail_five_times(another)
    wait_for(lambda: inbox.told() == [("first", False)] * 2, "the alert")
    ids = {request.headers["webhook-id"] for request in receiver.requests}
    assert len(ids) == len(receiver.requests)


def test_what_waits_at_an_end_is_tried_once_more(house):
    begin, _, receiver = house
    receiver.answer = fails
    sidecar = begin()
    fail_five_times(sidecar)
    wait_for(lambda: len(receiver.requests) == 2, "both tries that fail")
    receiver.answer = takes
    assert sidecar.stop() == 0
    assert sorted(Inbox(receiver).told()) == [("first", False)] * 2
    assert sidecar.events("alerts_unsent") == []


def test_gone_is_heeded_until_a_reload_and_the_reload_is_obeyed(house, vendor):
    begin, first, receiver = house
    receiver.answer = lambda request: (410, {}, b"")
    sidecar = begin()
    fail_five_times(sidecar)
    wait_for(lambda: sidecar.events("alert_webhook_gone"), "the line")
    assert len(receiver.requests) == 1
    other = vendor(takes)
    text = sidecar.config.read_text()
    new = text.replace(receiver.url, other.url).replace(secret_of(KEY), secret_of(OLD_KEY))
    sidecar.config.write_text(new)
    sidecar.process.send_signal(signal.SIGHUP)
    inbox = Inbox(other, OLD_KEY)
    wait_for(lambda: inbox.told() and inbox.told("fallback"), "what had waited")
    heal(sidecar, first)
    wait_for(lambda: inbox.told() == [("first", False), ("first", True)], "the good news")
    assert len(receiver.requests) == 1


def test_without_a_webhook_there_are_the_lines_alone(start, vendor):
    only = vendor(fails)
    sidecar = start(config("sms", twilio(only.url, more=UNSEEN)))
    for _ in range(5):
        sidecar.send()
    (line,) = wait_for(lambda: sidecar.events("alert"), "the line")
    assert line["alert"] == "circuit_open"
    assert metric(sidecar, "otp_alerts_active") == 1


def written(tmp_path, url, more=""):
    (tmp_path / "providers.yaml").write_text(
        f"providers: {{console: {{}}}}\nchains: {{sms: [console]}}\n{url and alerts(url)}{more}"
    )


def test_the_command_sends_one_and_says_what_was_answered(command, tmp_path, vendor):
    receiver = vendor(takes)
    written(tmp_path, receiver.url)
    done = command("alerts", "test")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{receiver.url.removeprefix('http://')}: answered 204\n"
    (payload,) = Inbox(receiver).all()
    assert payload["type"] == "otp_sidecar.test"
    receiver.answer = lambda request: (200, {}, b"x" * 300_000)
    assert command("alerts", "test").returncode == 0, "nobody reads what is behind the status"
    receiver.answer = fails
    done = command("alerts", "test", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == 503
    receiver.close()


def test_the_command_says_why_nothing_was_answered(command, tmp_path, vendor):
    receiver = vendor(takes)
    receiver.close()
    written(tmp_path, receiver.url)
    done = command("alerts", "test")
    assert done.returncode == 1
    assert done.stdout.endswith(": not delivered, the connection was refused\n")
    written(tmp_path, "")
    done = command("alerts", "test")
    assert (done.returncode, done.stdout) == (1, "alerts.webhook is not set\n")
