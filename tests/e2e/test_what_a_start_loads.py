"""A start pays for what it needs: no library is loaded for what nobody asked for."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import trustme

from harness import guests
from harness.process import PATIENCE, Sidecar, wait_for
from harness.providers import config, twilio

ROOT = Path(__file__).parents[2]
UNUSED = {
    "sidecar.safe",
    "sidecar.sources",
    "sidecar_aws.secrets_manager",
    "aiosmtplib",
    "boto3",
    "botocore",
    "jsonschema",
    "pygments",
    "requests",
    "rich.console",
    "sendgrid",
    "twilio",
    "urllib3",
}
TAKEN = b'{"sid": "SM%s", "status": "queued"}' % (b"0" * 32)
SNOOP = """
DURING = gc.isenabled(), gc.get_freeze_count()

class Snoop(Guest):
    kind = "snoop"

    async def send(self, message, *, timeout):
        collects, kept = gc.isenabled(), gc.get_freeze_count() > 50_000
        return Receipt(f"{DURING}, {collects}, {kept}, {gc.get_threshold()}")
"""
CONSOLE = """
import rich.console

class Rich(Guest):
    kind = "rich"

    async def send(self, message, *, timeout):
        return Receipt(rich.console.Console.__name__)
"""

OWN_CLIENT = """
import aiohttp, gc, ssl

def trusted(context):  # asked of the C class: to ask the context itself is to use it
    return super(ssl.SSLContext, context).cert_store_stats()["x509_ca"]

READ = [trusted(one) for one in gc.get_objects() if isinstance(one, ssl.SSLContext)]

class OwnClient(Guest):
    kind = "own"

    async def send(self, message, *, timeout):
        async with aiohttp.ClientSession() as client, client.post("URL") as answer:
            return Receipt(f"{READ} {answer.status} {trusted(ssl.create_default_context())}")
"""

BROKEN = """
open("go").readline()
raise ImportError("canary")
"""


def loaded(sidecar: Sidecar) -> list[str]:
    """What the process has imported, in order, where it was to tell (`-X importtime`)."""
    lines = sidecar.errors.read_text().splitlines()
    return [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]


def test_the_default_file_loads_nothing_that_no_send_of_it_needs(start, tmp_path):
    assert all(find_spec(name.partition(".")[0]) for name in UNUSED)  # else it proves nothing
    text = (ROOT / "providers.yaml").read_text().replace("127.0.0.1:8780", "127.0.0.1:0")
    (tmp_path / "providers.yaml").write_text(text)
    sidecar = start(PYTHONPROFILEIMPORTTIME="1", OTP_SIDECAR_ENV="development")
    assert sidecar.send().status == sidecar.send("email").status == 200
    assert sidecar.call("GET", "/metrics").status == 200
    assert {"structlog.dev", "aiohttp.web_app", "sidecar_aws.signing"} <= set(loaded(sidecar))
    assert UNUSED.isdisjoint(loaded(sidecar))


def test_what_knows_recipients_is_loaded_beside_a_start_that_does_not_wait(start):
    sidecar = start(config("sms", "console: {}"), PYTHONPROFILEIMPORTTIME="1")
    libraries = {"email_validator", "phonenumbers"}
    wait_for(lambda: libraries <= set(loaded(sidecar)), "the libraries, for no send")
    names = loaded(sidecar)
    assert all(names.index("sidecar.serve") < names.index(name) for name in libraries)


def test_one_that_cannot_be_loaded_ends_the_process_as_soon_as_that_is_known(start, tmp_path):
    (tmp_path / "phonenumbers.py").write_text(BROKEN)
    os.mkfifo(tmp_path / "go")
    sidecar = start(config("sms", "console: {}"), PYTHONPATH=str(tmp_path))
    assert sidecar.call("GET", "/livez").status == 200  # it waits in there, and nobody for it
    (tmp_path / "go").write_text("now\n")
    assert sidecar.process.wait(PATIENCE) == 70
    assert "ImportError at " in sidecar.errors.read_text()
    assert "canary" not in sidecar.errors.read_text()


def test_the_lean_client_loads_no_other(start, vendor):
    answers = vendor(lambda _: (201, {}, TAKEN))
    text = config("sms", twilio(answers.url))
    lean = start(text, PYTHONPROFILEIMPORTTIME="1")
    assert lean.send().status == 200
    assert "sidecar.wire.connection" in loaded(lean)
    assert {*UNUSED, "sidecar.wire.aiohttp_client"}.isdisjoint(loaded(lean))


def test_a_plugin_may_use_what_a_start_left_out(start, tmp_path):
    found = guests.install(tmp_path, CONSOLE, "rich")
    sidecar = start(config("sms", "rich: {}"), **found)
    assert sidecar.send().json["provider_message_id"] == "Console"


@pytest.mark.parametrize("known", [True, False])
def test_a_plugins_own_aiohttp_client_trusts_the_systems_authorities(
    start, vendor, tmp_path, known
):
    authorities = [trustme.CA(), trustme.CA()]
    authorities[0].cert_pem.write_to_path(tmp_path / "ca.pem")
    server = vendor(lambda _: (201, {}, TAKEN))
    server.speak_tls(authorities[0 if known else 1])
    found = guests.install(tmp_path, OWN_CLIENT.replace("URL", server.url), "own")
    sidecar = start(config("sms", "own: {}"), SSL_CERT_FILE=str(tmp_path / "ca.pem"), **found)
    answer = sidecar.send()
    if known:  # a start reads none for the contexts that the client comes with
        assert answer.json["provider_message_id"] == "[0, 0] 201 1"
    else:
        assert (answer.trail, server.requests) == ([("own", "crashed")], [])


def test_nothing_is_collected_until_it_serves_and_then_what_came_of_requests(start, tmp_path):
    found = guests.install(tmp_path, f"import gc\n{SNOOP}", "snoop")
    sidecar = start(config("sms", "snoop: {}"), **found)
    told = sidecar.send().json["provider_message_id"]
    # The send itself is under way, and reckoned with where it was seen.
    assert told in (f"(False, 0), True, True, ({objects}, 20, 50)" for objects in (10_000, 10_100))


def test_where_rich_is_not_installed_nothing_is_amiss(start, tmp_path):
    (tmp_path / "rich.py").write_text("raise ImportError")
    sidecar = start(config("sms", "console: {}"), PYTHONPATH=str(tmp_path))
    assert sidecar.send().status == 200
