"""Raw bytes to a loopback port and back, and how the connection ended."""

from __future__ import annotations

import json
import socket
import ssl
import time
from urllib.parse import urlencode

from harness.process import EMAIL, PHONE, TEXT

_MAIL = {
    "ses": {
        "Destination": {"ToAddresses": [EMAIL]},
        "Content": {"Simple": {"Body": {"Text": {"Data": TEXT}}}},
    },
    "sendgrid": {
        "personalizations": [{"to": [{"email": EMAIL}]}],
        "content": [{"type": "text/plain", "value": TEXT}],
    },
    "eum": {"DestinationPhoneNumber": PHONE, "MessageBody": TEXT},
}
_FORM = {
    "sns": {"Action": "Publish", "PhoneNumber": PHONE, "Message": TEXT},
    "twilio": {"To": PHONE, "Body": TEXT},
}
_PATH = {
    "ses": "/v2/email/outbound-emails",
    "sns": "/",
    "eum": "/",
    "sendgrid": "/v3/mail/send",
    "twilio": "/2010-04-01/Accounts/AC0/Messages.json",
}


def request_for(kind: str) -> bytes:
    """A send as the vendor's API wants it."""
    body = json.dumps(_MAIL[kind]) if kind in _MAIL else urlencode(_FORM[kind])
    head = f"POST {_PATH[kind]} HTTP/1.1\r\nContent-Length: {len(body)}\r\n"
    if kind == "eum":
        head += "X-Amz-Target: PinpointSMSVoiceV2.SendTextMessage\r\n"
    return f"{head}\r\n{body}".encode()


def listen_to(sock: socket.socket, seconds: float) -> tuple[bytes, str]:
    """What comes within `seconds`, and the end of it: `eof`, `reset` or `silence`."""
    give_up = time.monotonic() + seconds
    received = bytearray()
    try:
        while (left := give_up - time.monotonic()) > 0:
            sock.settimeout(left)
            chunk = sock.recv(1_000_000)
            if not chunk:
                return bytes(received), "eof"
            received += chunk
    except ConnectionError:
        return bytes(received), "reset"
    except TimeoutError:
        pass
    return bytes(received), "silence"


def exchange(port: int, data: bytes, seconds: float = 5.0) -> tuple[bytes, str]:
    """Send `data` on a new connection; see `listen_to`."""
    try:
        made = socket.create_connection(("127.0.0.1", port), timeout=5.0)
    except ConnectionResetError:  # it came before `connect` had looked at how it went
        return b"", "reset"
    with made as sock:
        try:
            sock.sendall(data)
        except ConnectionError:  # told once: what is read from here on ends with EOF
            return listen_to(sock, seconds)[0], "reset"
        return listen_to(sock, seconds)


def handshake(port: int, ca_file: str, seconds: float = 5.0) -> ssl.SSLSocket:
    """A verified TLS connection to `localhost`; raises what the handshake raises."""
    context = ssl.create_default_context(cafile=ca_file)
    sock = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    try:
        return context.wrap_socket(sock, server_hostname="localhost")
    except BaseException:
        sock.close()
        raise
