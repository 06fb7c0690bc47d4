"""No test sees this machine's AWS settings, and moto's server runs as a process of its own."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config

from sidecar.testing import Answer, stub_server

START = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '0'])"
NO_RETRY = Config(retries={"total_max_attempts": 1}, read_timeout=60, proxies={})


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@dataclass(frozen=True)
class Moto:
    """A moto server. Its calls block: from a coroutine, call them in a thread."""

    url: str

    def client(self, service: str, **keys: str) -> Any:
        keys = keys or {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        session = boto3.session.Session(region_name="us-east-1", **keys)
        return session.client(service, endpoint_url=self.url, config=NO_RETRY)

    def post(self, path: str, body: str = "") -> None:
        request = Request(self.url + path, body.encode(), {"Content-Type": "text/plain"})
        with urlopen(request, timeout=60) as answer:
            assert answer.status == 200

    def check_signatures(self) -> None:
        self.post("/moto-api/reset-auth", "0")


@pytest.fixture(scope="session")
def moto_process() -> Iterator[Moto]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    process = subprocess.Popen(
        [sys.executable, "-c", START], env=environ, stderr=subprocess.PIPE, text=True
    )
    log = process.stderr
    found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in log)))
    drain = threading.Thread(target=log.read, daemon=True)
    drain.start()
    moto = Moto(found[0])
    for service, call in [("sesv2", "list_email_identities"), ("sns", "list_topics")]:
        getattr(moto.client(service), call)()  # the first call of a service loads it, for seconds
    yield moto
    process.terminate()
    process.wait(timeout=10)
    drain.join(timeout=10)
    log.close()


@pytest.fixture
def moto(moto_process: Moto) -> Iterator[Moto]:
    yield moto_process
    moto_process.post("/moto-api/reset-auth", "inf")
    moto_process.post("/moto-api/reset")


@pytest.fixture
def write_profile(monkeypatch, tmp_path) -> Callable[[str], None]:
    """Write a credentials file, and let botocore find it."""
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    return path.write_text


# Commands: a stand-in speaks for AWS where moto lacks a call

SECRET = "canary-aws-secret-0001"
KEYS = f"access_key_id: AKIAIOSFODNN7EXAMPLE, secret_access_key: {SECRET}, allow_private: true"


class Says:
    """What AWS answers, and the keys that a provider's section has."""

    keys = KEYS

    @staticmethod
    def told(document):
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    @staticmethod
    def refused(code, status=400, message="no"):
        """As both protocols say it: SES v2 in a header, SNS in XML."""
        xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        headers = {"x-amzn-errortype": code, "Content-Type": "application/json"}
        return {
            "sesv2": Answer(status, headers, json.dumps({"message": message}).encode()),
            "sns": Answer(status, {"Content-Type": "text/xml"}, f"{xml}</ErrorResponse>".encode()),
        }

    @staticmethod
    def sns(action, inside=""):
        body = f"<{action}Response><{action}Result>{inside}</{action}Result></{action}Response>"
        return Answer(200, {"Content-Type": "text/xml"}, body.encode())

    @staticmethod
    def limit(value):
        entry = f"<entry><key>MonthlySpendLimit</key><value>{value}</value></entry>"
        return Says.sns("GetSMSAttributes", f"<attributes>{entry}</attributes>")


@pytest.fixture
def says() -> type[Says]:
    return Says


@pytest.fixture
def write(tmp_path):
    def put(url, more=""):
        place = f"region: us-east-1, endpoint_url: '{url}', {KEYS}"
        (tmp_path / "providers.yaml").write_text(
            f"providers:\n  ses: {{{place}, sender: 'Codes <codes@example.com>'}}\n"
            f"  sns: {{{place}}}\n{more}chains: {{email: [ses], sms: [sns]}}\n"
        )

    return put


@pytest.fixture
def run(tmp_path):
    """One command to its end, in a thread: the stand-in answers meanwhile."""

    def blocking(*arguments, stdin=subprocess.DEVNULL, **environ):
        kept = {name: os.environ[name] for name in ("PATH", "HOME")}
        return subprocess.run(
            [sys.executable, "-m", "sidecar", "aws", *arguments],
            cwd=tmp_path,
            env={**kept, "AWS_EC2_METADATA_DISABLED": "true", **environ},
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def command(*arguments, **more):
        done = await asyncio.to_thread(blocking, *arguments, **more)
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return command


@pytest.fixture
def against(write, run):
    """The command against a stand-in that gives these answers; what it was asked comes second."""

    async def command(answers, *arguments, **more):
        async with stub_server(*answers) as stub:
            write(stub.url)
            return await run(*arguments, **more), stub.requests

    return command
