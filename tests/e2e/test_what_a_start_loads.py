"""A start pays for what it needs: no library is loaded for what nobody asked for."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from harness import guests
from harness.process import Sidecar
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


def loaded(sidecar: Sidecar) -> set[str]:
    """What the process has imported by a statement, where it was to tell (`-X importtime`)."""
    lines = sidecar.errors.read_text().splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


def test_the_default_file_loads_nothing_that_no_send_of_it_needs(start, tmp_path):
    assert all(find_spec(name.partition(".")[0]) for name in UNUSED)  # else it proves nothing
    text = (ROOT / "providers.yaml").read_text().replace("127.0.0.1:8780", "127.0.0.1:0")
    (tmp_path / "providers.yaml").write_text(text)
    sidecar = start(PYTHONPROFILEIMPORTTIME="1", OTP_SIDECAR_ENV="development")
    assert sidecar.send().status == sidecar.send("email").status == 200
    assert sidecar.call("GET", "/metrics").status == 200
    assert {"structlog.dev", "aiohttp.web_app", "sidecar_aws.signing"} <= loaded(sidecar)
    assert loaded(sidecar) & UNUSED == set()


def test_the_lean_client_loads_no_other(start, vendor):
    answers = vendor(lambda _: (201, {}, TAKEN))
    text = config("sms", twilio(answers.url))
    lean = start(text, PYTHONPROFILEIMPORTTIME="1")
    assert lean.send().status == 200
    assert "sidecar.wire.connection" in loaded(lean)
    assert loaded(lean) & {*UNUSED, "sidecar.wire.aiohttp_client"} == set()


def test_a_plugin_may_use_what_a_start_left_out(start, tmp_path):
    found = guests.install(tmp_path, CONSOLE, "rich")
    sidecar = start(config("sms", "rich: {}"), **found)
    assert sidecar.send().json["provider_message_id"] == "Console"


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
