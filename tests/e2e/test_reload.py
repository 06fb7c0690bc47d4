"""The configuration changes while it runs: what follows it, what stays, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.process import PATIENCE, wait_for
from harness.providers import config, twilio
from harness.standins import twilio_accepts
from sidecar.reload import LOOK_EVERY

LISTEN = "server: {listen: '127.0.0.1:0'}\n"
CONSOLE = "providers: {console: {}}\nchains: {sms: [console]}\n"


def down(request):
    return 503, {}, b"down"


def put(sidecar, text):
    """Replace the file as an editor does: written beside it, then renamed. Its digest."""
    whole = (text if text.startswith("server:") else LISTEN + text).encode()
    beside = sidecar.config.with_name("new.yaml")
    beside.write_bytes(whole)
    beside.replace(sidecar.config)
    return hashlib.sha256(whole).hexdigest()[:12]


def reload(sidecar, text=None):
    """Put the file, send SIGHUP, and give the first event that says how it went."""
    before = len(sidecar.lines)
    digest = None if text is None else put(sidecar, text)
    sidecar.process.send_signal(signal.SIGHUP)

    def told():
        # A signal that found nothing new may still be answered: that is not ours.
        return [
            line
            for line in sidecar.lines[before:]
            if line.get("event") == "reload_failed"
            or (line.get("event") == "reloaded" and digest in (None, line["digest"]))
        ]

    return wait_for(told, "the reload")[0]


def metric(sidecar, name):
    page = sidecar.call("GET", "/metrics").body.decode()
    return float(next(x.split()[1] for x in page.splitlines() if x.startswith(f"{name} ")))


def held(sidecar):
    """How many descriptors and threads it has."""
    mine = Path("/proc", str(sidecar.process.pid))
    return tuple(sum(1 for _ in (mine / what).iterdir()) for what in ("fd", "task"))


def test_another_order_changes_the_order_and_nothing_else(start, vendor):
    one, two = vendor(down), vendor(twilio_accepts)
    unseen = ", preflight: 'off'"  # a look at the account may have the kept connection just then
    sections = (twilio(one.url, "one", unseen), twilio(two.url, "two", unseen))
    sidecar = start(config("sms", *sections))
    for _ in range(3):
        assert sidecar.send().trail == [("one", "unavailable"), ("two", "accepted")]
    connections = len(two.connections)
    told = reload(sidecar, config("sms", *reversed(sections)))
    assert told["event"] == "reloaded"
    assert told["chains"] == ["sms"]
    assert not {"added", "removed", "changed"} & told.keys()
    assert sidecar.health("sms", "one")["circuit"]["consecutive_failures"] == 3
    assert sidecar.health("sms", "one")["role"] == "secondary"
    assert sidecar.send().trail == [("two", "accepted")]
    assert len(two.connections) == connections, "the kept connection is used on"


def test_a_provider_whose_settings_change_is_a_new_one(start, vendor):
    broken, healthy = vendor(down), vendor(twilio_accepts)
    sidecar = start(config("sms", twilio(broken.url), "console: {}"))
    for _ in range(5):
        sidecar.send()
    assert sidecar.health("sms", "twilio")["circuit"]["state"] == "open"
    told = reload(sidecar, config("sms", twilio(healthy.url), "console: {}"))
    assert told["changed"] == ["twilio"]
    assert sidecar.health("sms", "twilio")["circuit"]["state"] == "closed"
    assert sidecar.send().trail == [("twilio", "accepted")]


def test_what_the_chain_obeys_leaves_the_provider_and_its_circuit_alone(start, vendor):
    stand_in = vendor(down)
    sidecar = start(config("sms", twilio(stand_in.url), "console: {}"))
    for _ in range(5):
        sidecar.send()
    slower = twilio(stand_in.url, more=", timeout: 2s")
    assert reload(sidecar, config("sms", slower, "console: {}"))["changed"] == ["twilio"]
    assert sidecar.health("sms", "twilio")["circuit"]["state"] == "open"
    off = twilio(stand_in.url, more=", enabled: false")
    reload(sidecar, config("sms", off, "console: {}"))
    assert sidecar.send().json["attempts"][0]["reason"] == "disabled"
    reload(sidecar, config("sms", twilio(stand_in.url), "console: {}"))
    assert sidecar.send().json["attempts"][0]["reason"] == "circuit_open"


def test_a_mended_account_is_tried_at_once(start, vendor):
    stand_in = vendor(lambda r: (401, {}, b'{"code": 20003}'))
    text = config("sms", twilio(stand_in.url), "console: {}")
    sidecar = start(text)
    assert sidecar.send().trail == [("twilio", "misconfigured"), ("console", "accepted")]
    stand_in.answer = twilio_accepts
    assert sidecar.send().trail == [("twilio", "skipped"), ("console", "accepted")]
    reload(sidecar)
    assert sidecar.send().trail == [("twilio", "accepted")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("providers: {console: {}\n", ":3:1"),
        ("providers: {sendgird: {}}\nchains: {sms: [sendgird]}\n", ":2:13"),
        (
            "providers: {t: {kind: twilio, account_sid: '${NOT_THERE}'}}\nchains: {sms: [t]}\n",
            ":2:",
        ),
        ("providers: {console: {colour: red}}\nchains: {sms: [console]}\n", ":2:"),
        ("# " + "x" * 5_000_000, ":1:1"),
        (LISTEN.replace("}", ", token_file: nowhere}") + CONSOLE, ":1:45"),
    ],
    ids=["syntax", "kind", "variable", "key", "5 MB", "token file"],
)
def test_a_bad_file_changes_nothing(start, text, place):
    sidecar = start(CONSOLE)
    told = reload(sidecar, text)
    assert (told["event"], told["level"]) == ("reload_failed", "error")
    assert f"providers.yaml{place}" in told["error"] or place in told["error"], told
    assert sidecar.send().status == 200
    assert sidecar.call("GET", "/readyz").status == 200
    assert metric(sidecar, "otp_config_last_reload_successful") == 0
    assert sidecar.call("GET", "/health").json["config"]["reload_error"] == told["error"]
    assert reload(sidecar, CONSOLE)["event"] == "reloaded"
    assert metric(sidecar, "otp_config_last_reload_successful") == 1
    assert sidecar.call("GET", "/health").json["config"]["reload_error"] is None


def test_an_empty_file_changes_nothing(start):
    sidecar = start(CONSOLE)
    sidecar.config.write_text("")
    told = reload(sidecar)
    assert told["event"] == "reload_failed"
    assert "providers.yaml:1:1" in told["error"]
    assert sidecar.send().status == 200


def test_a_provider_that_cannot_open_is_refused_and_the_old_one_goes_on(start, vendor, tmp_path):
    stand_in = vendor(twilio_accepts)
    sidecar = start(config("sms", twilio(stand_in.url)))
    (tmp_path / "bad.pem").write_text("no certificate")
    smtp = f"smtp: {{host: mail.example.com, ca_file: '{tmp_path}/bad.pem', tls: starttls, "
    smtp += "username: u, password: canary-password, sender: codes@example.com}"
    text = config("sms", twilio(stand_in.url)) + "  email: [smtp]\n"
    told = reload(sidecar, text.replace("providers:\n", f"providers:\n  {smtp}\n"))
    assert told["event"] == "reload_failed"
    assert "smtp" in told["error"]
    assert "ca_file" in told["error"]
    assert sidecar.send().trail == [("twilio", "accepted")]


def test_a_channel_that_is_no_more_is_told(start):
    sidecar = start("providers: {console: {}}\nchains: {sms: [console], email: [console]}\n")
    assert reload(sidecar, CONSOLE)["chains"] == ["email"]


def test_what_a_running_process_cannot_change_is_said(start, command):
    sidecar = start(CONSOLE)
    told = reload(sidecar, "server: {listen: '127.0.0.1:1'}\n" + CONSOLE)
    assert told["event"] == "reloaded"
    assert told["needs_restart"] == ["server.listen"]
    assert sidecar.call("GET", "/health").json["config"]["needs_restart"] == ["server.listen"]
    shown = command("explain", "--channel", "sms", "--url", f"http://127.0.0.1:{sidecar.port}")
    assert "changed in the file, and in effect after a restart: server.listen" in shown.stdout
    told = reload(sidecar, "http_client: aiohttp\n" + CONSOLE)
    assert told["needs_restart"] == ["http_client"]
    assert reload(sidecar, "chains: {")["event"] == "reload_failed"
    assert sidecar.call("GET", "/health").json["config"]["needs_restart"] == ["http_client"]
    reload(sidecar, CONSOLE)
    assert sidecar.call("GET", "/health").json["config"]["needs_restart"] == []
    assert sidecar.send().status == 200


def test_a_reload_that_finds_nothing_new_says_so(start):
    absent = "{optional: true, api_key: '${ABSENT}', sender: a@example.com}"
    text = f"providers: {{console: {{}}, sendgrid: {absent}}}\nchains: {{sms: [console]}}\n"
    sidecar = start(text)
    told = reload(sidecar)
    assert not {"added", "removed", "changed", "chains"} & told.keys()


def test_limits_hosts_and_tokens_follow(start, tmp_path):
    sidecar = start(CONSOLE)
    assert sidecar.call("GET", "/health", headers={"Host": "codes.internal"}).status == 421
    (tmp_path / "token").write_text("canary-token-0001\n")
    server = "server: {listen: '127.0.0.1:0', allowed_hosts: [codes.internal], token_file: token}\n"
    limits = "limits: {in_flight: 0}\n"
    assert reload(sidecar, f"{server}{limits}{CONSOLE}")["event"] == "reload_failed"
    assert sidecar.send().status == 200
    limits = "limits: {deadline: 100ms}\n"
    assert reload(sidecar, f"{server}{limits}{CONSOLE}")["event"] == "reloaded"
    key = {"Authorization": "Bearer canary-token-0001"}
    assert sidecar.send().status == 401
    headers = {**key, "Host": "codes.internal"}
    assert sidecar.call("GET", "/health", headers=headers).status == 200
    assert sidecar.send(headers=key).status == 504, "no attempt begins with 100 ms left"


def test_a_changed_file_is_seen_without_a_signal(start, vendor):
    stand_in = vendor(twilio_accepts)
    sidecar = start(CONSOLE)
    put(sidecar, config("sms", twilio(stand_in.url)))
    (told,) = wait_for(lambda: sidecar.events("reloaded"), "the change")
    assert (told["added"], told["removed"]) == (["twilio"], ["console"])
    assert sidecar.send().trail == [("twilio", "accepted")]


def test_a_secret_that_is_rotated_is_used_at_the_next_send(start, vendor, tmp_path):
    stand_in = vendor(twilio_accepts)
    (tmp_path / "secrets").mkdir()
    secret = tmp_path / "secrets" / "token"
    secret.write_text("canary-twilio-token-0001")
    text = config("sms", twilio(stand_in.url)).replace(
        "auth_token: canary-twilio-token-0001", "auth_token: '${file:secrets/token}'"
    )
    sidecar = start(text)
    sidecar.send()
    secret.write_text("canary-twilio-token-0002")
    wait_for(lambda: sidecar.events("reloaded"), "the change of the secret")
    sidecar.send()
    used = [request.headers["Authorization"] for request in stand_in.requests]
    assert len(set(used)) == 2


def test_a_dotenv_is_read_anew_and_what_it_no_longer_says_is_gone(start, vendor, tmp_path):
    stand_in = vendor(twilio_accepts)
    text = config("sms", twilio(stand_in.url), "console: {}").replace(
        "auth_token: canary-twilio-token-0001", "auth_token: '${TOKEN}', optional: true"
    )
    (tmp_path / ".env").write_text("TOKEN=canary-twilio-token-0001\n")
    sidecar = start(text)
    assert sidecar.send().trail == [("twilio", "accepted")]
    (tmp_path / ".env").write_text("OTHER=1\n")
    wait_for(lambda: sidecar.events("reloaded"), "the change")
    assert sidecar.health("sms", "twilio")["missing"] == ["TOKEN"]
    assert sidecar.send().trail == [("twilio", "skipped"), ("console", "accepted")]


def test_a_config_map_that_is_swapped_twenty_times_is_applied_each_time(start, tmp_path):
    """As the kubelet does it: `..data` is a link that is renamed over the one before."""
    mount = tmp_path / "mount"
    mount.mkdir()

    def swap(number):
        version = mount / f"..version_{number}"
        version.mkdir()
        (version / "providers.yaml").write_text(
            f"{LISTEN}log: {{path: '{tmp_path}/data/log.db'}}\n"
            f"providers: {{c{number}: {{kind: console}}}}\nchains: {{sms: [c{number}]}}\n"
        )
        (mount / "..new").symlink_to(version.name)
        before = (mount / "..data").readlink() if (mount / "..data").is_symlink() else None
        (mount / "..new").replace(mount / "..data")
        if before is not None:
            (mount / before / "providers.yaml").unlink()
            (mount / before).rmdir()

    swap(0)
    (mount / "providers.yaml").symlink_to("..data/providers.yaml")
    sidecar = start(config=mount / "providers.yaml")
    for number in range(1, 21):
        swap(number)
        wait_for(lambda n=number: len(sidecar.events("reloaded")) == n, f"swap {number}")
        assert sidecar.send().json["provider"] == f"c{number}"
    assert sidecar.events("reload_failed") == []


def test_fifty_signals_in_a_row_are_a_few_reloads(start):
    sidecar = start(CONSOLE)
    for _ in range(50):
        sidecar.process.send_signal(signal.SIGHUP)
    wait_for(lambda: sidecar.events("reloaded"), "a reload")
    assert reload(sidecar)["event"] == "reloaded"
    assert len(sidecar.events("reloaded")) < 25
    assert sidecar.send().status == 200


def test_sends_in_flight_end_on_the_version_they_began_with(start, vendor):
    old, new = vendor(twilio_accepts), vendor(twilio_accepts)
    old.gate = threading.Event()
    limits = "limits: {in_flight_per_provider: 200}"
    sidecar = start(config("sms", twilio(old.url, "old"), more=limits))
    with ThreadPoolExecutor(100) as callers:
        waiting = [callers.submit(sidecar.send, id=f"m-{n}") for n in range(100)]
        wait_for(lambda: len(old.requests) == 100, "a hundred sends in flight")
        told = reload(sidecar, config("sms", twilio(new.url, "new"), more=limits))
        assert (told["added"], told["removed"]) == (["new"], ["old"])
        fresh = [sidecar.send(id=f"n-{n}") for n in range(10)]
        descriptors = held(sidecar)[0]
        old.gate.set()
        answers = [f.result(PATIENCE) for f in waiting]
    assert {tuple(a.trail) for a in answers} == {(("old", "accepted"),)}
    assert {tuple(a.trail) for a in fresh} == {(("new", "accepted"),)}
    assert {sidecar.call("GET", f"/v1/messages/m-{n}").json["provider"] for n in range(100)} == {
        "old"
    }

    def closed():
        return held(sidecar)[0] <= descriptors - 100

    wait_for(closed, "the old provider's connections to be closed")


def test_reloads_leave_nothing_behind(start, vendor):
    stand_in = vendor(twilio_accepts)
    sidecar = start(config("sms", twilio(stand_in.url)))

    def round_of(number):
        more = f", timeout: 3s, sender: '+1500555{number:04}'"
        text = config("sms", twilio(stand_in.url).replace(", sender: '+15005550006'", more))
        assert reload(sidecar, text)["changed"] == ["twilio"]
        assert sidecar.send().status == 200

    for number in range(3):
        round_of(number)
    before = held(sidecar)
    for number in range(3, 15):
        round_of(number)
    wait_for(
        lambda: held(sidecar)[0] <= before[0] + 1, "the descriptors of twelve reloads to be closed"
    )
    assert held(sidecar)[1] <= before[1] + 3, "threads of the pool at most"


def test_a_reload_in_the_middle_of_the_drain_changes_nothing(start, vendor):
    stand_in = vendor(twilio_accepts)
    stand_in.gate = threading.Event()
    text = config("sms", twilio(stand_in.url))
    sidecar = start(text)
    with ThreadPoolExecutor(100) as callers:
        waiting = [callers.submit(sidecar.send, id=f"m-{n}") for n in range(60)]
        wait_for(lambda: len(stand_in.requests) == 60, "sends in flight")
        sidecar.process.terminate()
        wait_for(lambda: sidecar.events("stopping"), "the drain")
        sidecar.config.write_text(LISTEN + CONSOLE)
        sidecar.process.send_signal(signal.SIGHUP)
        stand_in.gate.set()
        assert [f.result(PATIENCE).status for f in waiting] == [200] * 60
    assert sidecar.stop() == 0


def test_a_directory_that_was_removed_and_made_anew_is_watched_again(start, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    text = f"{LISTEN}log: {{path: '{tmp_path}/data/log.db'}}\n{CONSOLE}"
    (place / "providers.yaml").write_text(text)
    sidecar = start(config=place / "providers.yaml")
    shutil.rmtree(place)
    place.mkdir()
    assert reload(sidecar, text.replace("console: {}", "console: {timeout: 1s}"))["changed"]
    began = time.monotonic()
    digest = put(sidecar, text.replace("console: {}", "console: {timeout: 2s}"))
    wait_for(
        lambda: [line for line in sidecar.events("reloaded") if line["digest"] == digest],
        "the change",
    )
    assert time.monotonic() - began < LOOK_EVERY / 2, "by a glance, not by the look at the content"
