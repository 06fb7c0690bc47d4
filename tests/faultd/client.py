"""The daemon as a test holds it: start, break, heal, read the ledger, end."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from faultd.mail import PASSWORD, USER

PATIENCE = 30.0
"""Seconds that a command, or the start, may take on a busy machine."""
TESTS = Path(__file__).parents[1]
AWS = {
    "region": "us-east-1",
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "secret_access_key": "canary-aws-secret-0001",
}
SENDER = {"sender": "codes@example.com"}
SETTINGS: dict[str, dict[str, Any]] = {
    "ses": AWS | SENDER,
    "sns": AWS,
    "eum": AWS,
    "sendgrid": {"api_key": "SG.canary-key-0001"} | SENDER,
    "twilio": {
        "account_sid": f"AC{'0' * 32}",
        "auth_token": "canary-twilio-token-0001",
        "sender": "+15005550006",
    },
    "smtp": {"username": USER, "password": PASSWORD} | SENDER,
}
"""What each kind needs besides where it is; every secret in it is a canary."""
CHANNELS = {
    "ses": "email",
    "sendgrid": "email",
    "smtp": "email",
    "sns": "sms",
    "twilio": "sms",
    "eum": "sms",
}


class Faultd:
    """A daemon in a process of its own. `names` are its providers with their kinds.

    `ca_file` is what its TLS listeners are verified by (`SSL_CERT_FILE` of a sidecar),
    `ledger_file` has the ledger's records as lines of JSON.
    """

    def __init__(self, directory: Path, **names: str) -> None:
        self.ca_file = directory / "ca.pem"
        self.ledger_file = directory / "ledger.jsonl"
        self.errors = directory / "faultd.stderr"
        pairs = [f"{name}={kind}" for name, kind in names.items()]
        with self.errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "faultd", str(directory), *pairs],
                env={**os.environ, "PYTHONPATH": str(TESTS)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.errors.read_text()
        self.control: int = json.loads(line)["control"]
        self.providers: dict[str, dict[str, Any]] = self._ask("GET", "/providers")

    @property
    def pid(self) -> int:
        return self._process.pid

    def add(self, name: str, kind: str) -> None:
        self.providers = self._ask("POST", "/add", name=name, kind=kind)

    def set(self, provider: str, fault: str, **options: Any) -> None:
        """Break a provider, in one way at a time; `faultd.faults` has the names and options.

        Raises ValueError for what the daemon does not know.
        """
        self._ask("POST", "/set", provider=provider, fault=fault, **options)

    def account(self, provider: str, state: str, *verified: str) -> None:
        """Put its account into a state of `faultd.accounts`; a sandbox reaches `verified`.

        `heal` leaves it. Raises ValueError for what the daemon does not know.
        """
        self._ask("POST", "/account", provider=provider, state=state, verified=verified)

    def heal(self, provider: str | None = None) -> None:
        """One provider, or all of them, from now on."""
        self._ask("POST", "/heal", provider=provider)

    def ledger(self, since: int = 0) -> list[dict[str, Any]]:
        """The records, oldest first, without the first `since`."""
        records: list[dict[str, Any]] = self._ask("GET", f"/ledger?since={since}")
        return records

    def counts(self, provider: str) -> dict[str, int]:
        """`connections`, `requests`, `redirects_followed`, from the start."""
        counted: dict[str, int] = self._ask("GET", "/counts")[provider]
        return counted

    def port(self, provider: str, *, tls: bool = False) -> int:
        port: int = self.providers[provider]["tls" if tls else "plain"]
        return port

    def url(self, provider: str, *, tls: bool = False) -> str:
        """Over TLS by name, so that a certificate can be for the wrong one."""
        port = self.port(provider, tls=tls)
        return f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"

    def section(self, provider: str, *, tls: bool = False, **more: Any) -> str:
        """The provider's section of a configuration, for `harness.providers.config`.

        SMTP is reached by STARTTLS, or by TLS from the first byte where `tls` says so. No look at
        the account, where `more` does not ask for it: it would use up a fault that strikes once.
        """
        kind = self.providers[provider]["kind"]
        where: dict[str, Any]
        if kind == "smtp":
            where = {"host": "localhost", "port": self.port(provider, tls=tls)}
            where |= {"tls": "implicit" if tls else "starttls", "ca_file": str(self.ca_file)}
        else:
            key = "endpoint_url" if kind in ("ses", "sns", "eum") else "base_url"
            where = {key: self.url(provider, tls=tls)}
        plain = {"kind": kind, "allow_private": True, "preflight": "off"}
        settings = {**plain, **where, **SETTINGS[kind], **more}
        return f"{provider}: {json.dumps(settings)}"

    def close(self) -> None:
        """End it: its stdin ends, and that is its word."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _ask(self, method: str, path: str, **asked: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=PATIENCE)
        try:
            connection.request(method, path, json.dumps(asked) if asked else None)
            response = connection.getresponse()
            said = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(said["error"])
        return said
