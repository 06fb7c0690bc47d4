"""A start pays for what it needs: no library is loaded for what nobody asked for."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness import guests
from harness.process import Sidecar
from harness.providers import config, twilio

ROOT = Path(__file__).parents[2]
UNUSED = {
    "aiohttp.client",
    "aiohttp.connector",
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
SESSION = """
import aiohttp
from aiohttp import ClientTimeout, web
from aiohttp import *

class Session(Guest):
    kind = "session"

    async def send(self, message, *, timeout):
        assert aiohttp.web is web is sys.modules["aiohttp.web"]
        assert aiohttp.__version__ in aiohttp.http.SERVER_SOFTWARE
        async with ClientSession(timeout=ClientTimeout(timeout)) as session:
            async with session.get(os.environ["WHERE"]) as reply:
                return Receipt(str(reply.status))
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


def test_the_client_of_aiohttp_is_loaded_for_whoever_chose_it(start, tmp_path, vendor):
    answers = vendor(lambda _: (201, {}, TAKEN))
    text = config("sms", twilio(answers.url))
    lean = start(text, PYTHONPROFILEIMPORTTIME="1")
    assert lean.send().status == 200
    assert "sidecar.wire.connection" in loaded(lean)
    assert loaded(lean) & UNUSED == set()
    lean.stop()
    chosen = start(f"http_client: aiohttp\n{text}", PYTHONPROFILEIMPORTTIME="1")
    assert chosen.send().status == 200
    assert {"aiohttp.client", "aiohttp.connector"} <= loaded(chosen)


def test_a_plugin_may_use_what_a_start_left_out(start, tmp_path):
    found = guests.install(tmp_path, f"import rich.console\n{SESSION}", "session")
    other = tmp_path / "other"
    other.mkdir()
    shown = start(config("sms", "console: {}"))
    where = f"{shown.where}/livez"
    (other / "providers.yaml").write_text(
        f"server: {{listen: '127.0.0.1:0'}}\n{config('sms', 'session: {}')}"
    )
    sidecar = start(config=other / "providers.yaml", WHERE=where, **found)
    answer = sidecar.send()
    assert (answer.status, answer.json["provider_message_id"]) == (200, "200"), answer.json


def test_nothing_is_collected_until_it_serves_and_then_what_came_of_requests(start, tmp_path):
    found = guests.install(tmp_path, f"import gc\n{SNOOP}", "snoop")
    sidecar = start(config("sms", "snoop: {}"), **found)
    told = sidecar.send().json["provider_message_id"]
    assert told == "(False, 0), True, True, (10000, 20, 50)"


@pytest.mark.parametrize("name", ["rich", "aiohttp"])
def test_where_a_library_is_not_whole_it_is_as_if_nobody_had_tried(start, tmp_path, name):
    """An aiohttp whose server needs its client, and no rich at all."""
    if name == "aiohttp":
        whole = Path(find_spec("aiohttp").origin).parent
        shutil.copytree(whole, tmp_path / "aiohttp", ignore=shutil.ignore_patterns("__pycache__"))
        web = tmp_path / "aiohttp/web.py"
        web.write_text(f"from aiohttp import ClientSession\n{web.read_text()}")
    else:
        (tmp_path / "rich.py").write_text("raise ImportError")
    sidecar = start(
        config("sms", "console: {}"), PYTHONPROFILEIMPORTTIME="1", PYTHONPATH=str(tmp_path)
    )
    assert sidecar.send().status == 200
    assert ("aiohttp.client" in loaded(sidecar)) is (name == "aiohttp")
