"""Stand-ins of the providers: ours for SendGrid and Twilio, moto for AWS, aiosmtpd for SMTP."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from harness.leaks import SMTP_PASSWORD
from harness.process import PATIENCE, wait_for


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # of 5, a burst would wait for the kernel's next try, a second later


class Vendor:
    """A stand-in of SendGrid or Twilio: answers as `answer` says and keeps what it accepted.

    `answer(request)` returns (status, headers, body); None closes the connection without a word.
    """

    def __init__(self, answer: Callable[[VendorRequest], Any]) -> None:
        self.answer = answer
        self.answer_get: Callable[[VendorRequest], Any] = lambda request: (404, {}, b"{}")
        self.requests: list[VendorRequest] = []
        self.connections: list[socket.socket] = []
        self.gate: threading.Event | None = None
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                vendor.connections.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = VendorRequest(self.path, dict(self.headers), body)
                vendor.requests.append(request)
                if vendor.gate is not None:
                    vendor.gate.wait(PATIENCE)
                said = vendor.answer(request)
                if said is None:
                    self.close_connection = True
                else:
                    self._say(said)

            def do_GET(self) -> None:
                request = VendorRequest(self.path, dict(self.headers), b"")
                self._say(vendor.answer_get(request))

            def _say(self, said: Any) -> None:
                status, headers, text = said
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def speak_tls(self, authority: trustme.CA) -> None:
        """From the next connection on, as `localhost`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}"

    def close(self) -> None:
        if self.gate is not None:
            self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class VendorRequest:
    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body


def twilio_accepts(request: VendorRequest) -> Any:
    body = {"sid": "SM" + "0" * 32, "status": "queued", "error_code": None}
    return 201, {"Content-Type": "application/json"}, json.dumps(body).encode()


def sendgrid_accepts(request: VendorRequest) -> Any:
    return 202, {"X-Message-Id": "sg-0001"}, b""


class Moto:
    """A moto server in a process of its own: SES and SNS that check what they are told."""

    def __init__(self, log: Path) -> None:
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"},
            )

        def listening() -> str | None:
            assert self._process.poll() is None, log.read_text()
            for word in log.read_text().split():
                if word.startswith("http://127.0.0.1:"):
                    return word
            return None

        self.url = wait_for(listening, "moto")

    def reset(self) -> None:
        self._post("/moto-api/reset", b"")

    def check_signatures(self) -> None:
        """From here on every request's signature and credentials are checked for real."""
        self._post("/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})

    def trust(self) -> None:
        """No more checks."""
        self._post("/moto-api/reset-auth", b"1000000000", {"Content-Type": "text/plain"})

    def verify(self, address: str) -> None:
        body = json.dumps({"EmailIdentity": address}).encode()
        headers = {"Content-Type": "application/json", "Authorization": _UNCHECKED}
        self._post("/v2/email/identities", body, headers)

    def put_secret(self, name: str, text: str) -> None:
        """Make the secret of this name, or give it another text."""
        try:
            self._secret("CreateSecret", Name=name, SecretString=text)
        except HTTPError as there_already:
            there_already.close()
            self._secret("PutSecretValue", SecretId=name, SecretString=text)

    def delete_secret(self, name: str) -> None:
        self._secret("DeleteSecret", SecretId=name, ForceDeleteWithoutRecovery=True)

    def _secret(self, call: str, **fields: Any) -> None:
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"secretsmanager.{call}",
            "Authorization": _UNCHECKED.replace("/ses/", "/secretsmanager/"),
        }
        self._post(
            "/", json.dumps({"ClientRequestToken": str(uuid4()), **fields}).encode(), headers
        )

    def kept(self, service: str, what: str) -> list[dict[str, Any]]:
        with urlopen(f"{self.url}/moto-api/data.json", timeout=PATIENCE) as answer:
            found: list[dict[str, Any]] = json.load(answer).get(service, {}).get(what, [])
        return found

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def _post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        request = Request(self.url + path, data=body, headers=dict(headers or {}), method="POST")
        with urlopen(request, timeout=PATIENCE) as answer:
            answer.read()


_UNCHECKED = (
    "AWS4-HMAC-SHA256 Credential=AKIAX/20261123/us-east-1/ses/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


class AnyPort(Controller):
    """aiosmtpd's controller on a port of the system's choice; it closes what it accepted."""

    def factory(self) -> Any:
        session = super().factory()
        self.sessions = [*getattr(self, "sessions", []), session]
        return session

    def stop(self, no_assert: bool = False) -> None:
        for session in getattr(self, "sessions", []):
            if session.transport is not None:
                self.loop.call_soon_threadsafe(session.transport.abort)
        super().stop(no_assert)

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class Mailbox:
    """aiosmtpd with STARTTLS and AUTH required."""

    user, password = "mailer", SMTP_PASSWORD

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.ca_file = directory / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.mails: list[Any] = []
        self.controller = AnyPort(
            self,
            hostname="127.0.0.1",
            port=0,
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=self._login,
            auth_require_tls=True,
        )
        self.controller.start()
        self.port = self.controller.port

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.mails.append(envelope)
        return "250 OK"

    def _login(self, server: Any, session: Any, envelope: Any, mechanism: Any, data: Any) -> Any:
        known = data.login == self.user.encode() and data.password == self.password.encode()
        return AuthResult(success=known)
