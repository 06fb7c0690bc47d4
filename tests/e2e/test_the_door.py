"""Who may come in, and what a malformed request is told. One process for the whole file."""

from __future__ import annotations

import json
import socket

import pytest

from harness.leaks import PHONE
from harness.process import PATIENCE, TEXT, Sidecar

GOOD = {"channel": "sms", "to": PHONE, "text": TEXT}
TOKEN_NOW, TOKEN_NEXT = "canary-token-now-0001", "canary-token-next-0002"


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory):
    directory = tmp_path_factory.mktemp("door")
    (directory / "providers.yaml").write_text(
        "server: {listen: '127.0.0.1:0', allowed_hosts: [codes.internal]}\n"
        "providers: {console: {}}\nchains: {sms: [console], email: [console]}\n"
    )
    environ = {"HOME": str(directory), "AWS_EC2_METADATA_DISABLED": "true"}
    running = Sidecar(directory / "providers.yaml", environ).ready()
    yield running
    assert running.stop() == 0


def raw(sidecar, request: bytes) -> bytes:
    """The first head that comes back for these bytes."""
    with socket.create_connection(("127.0.0.1", sidecar.port), PATIENCE) as connection:
        connection.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received and (chunk := connection.recv(65536)):
            received += chunk
        return received


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST", 200),
        ("[::1]:{port}", 200),
        ("codes.internal", 200),
        ("codes.internal:8080", 200),
        ("127.0.0.1:1", 421),
        ("127.0.0.1:{port}x", 421),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.", 421),
        ("localhost:" + "1" * 5000, 421),
        ("", 400),
    ],
)
def test_the_host_header(sidecar, host, expected):
    host = host.format(port=sidecar.port)
    request = f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert status(raw(sidecar, request.encode())) == expected


def test_no_host_and_two_hosts(sidecar):
    assert status(raw(sidecar, b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")) == 400
    twice = b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"
    assert status(raw(sidecar, twice)) == 400


def test_an_absolute_target_is_judged_like_a_host(sidecar):
    request = (
        b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert status(raw(sidecar, request)) == 421


@pytest.mark.parametrize("kind", ["application/json" + ";" * 8_000, "x;" + 'y="z";' * 1_300])
def test_no_content_type_takes_the_loop_its_turns(sidecar, kind):
    for number in range(3):  # of seconds each, for the standard library's parser
        headers = {"Content-Type": f"{kind} {number}"}
        assert sidecar.call("POST", "/v1/send", b"{}", headers).status in (415, 422)
    assert not [
        line for line in sidecar.events("loop_blocked") if line["where"].startswith("email")
    ]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://localhost"}, 403),
        ({"Origin": "http://localhost:{port}"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "Application/JSON ;charset=utf-8"}, 200),
        ({"Content-Type": "nh\t@hsoo];rpl*"}, 415),
        ({"Content-Type": "application/json;" + "(" * 8_000}, 200),
        ({"Content-Type": "application/json " + "(" * 8_000}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Idempotency-Key": "a" * 256}, 400),
        ({"Idempotency-Key": '"unclosed'}, 400),
        ({"Idempotency-Key": "two words"}, 400),
        ({"Request-Timeout": "soon"}, 400),
        ({"Request-Timeout": "31"}, 400),
        ({"Request-Timeout": "0"}, 400),
        ({"Request-Timeout": "2.5"}, 200),
    ],
)
def test_headers_of_a_send(sidecar, headers, expected):
    headers = {name: value.replace("{port}", str(sidecar.port)) for name, value in headers.items()}
    answer = sidecar.call("POST", "/v1/send", json.dumps(GOOD).encode(), headers)
    assert answer.status == expected, answer
    if expected >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["status"] == expected
        assert answer.json["code"]
        assert answer.json["detail"]
    assert not any(name.lower().startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    ("body", "expected", "code"),
    [
        (b"", 400, "not_json"),
        (b"{", 400, "not_json"),
        (b'{"a": NaN}', 400, "not_json"),
        (b'{"a": 1e999}', 400, "not_json"),
        (b'{"a": "\\ud800"}', 400, "not_json"),
        (b"\xef\xbb\xbf{}", 400, "not_json"),
        (b'{"a": "\xff"}', 400, "not_json"),
        (json.dumps(GOOD).encode("utf-16"), 400, "not_json"),
        (b"[" * 60_000, 400, "not_json"),
        (b"[]", 422, "invalid"),
        (b'{"extra": {"a": {"b": ' + b"[" * 300 + b"]" * 300 + b"}}}", 422, "invalid"),
        (b"null", 422, "invalid"),
        (b'{"a": ' + b"1" * 5000 + b"}", 400, "not_json"),
        (b"x" * 65_537, 413, "too_large"),
    ],
)
def test_bodies_that_are_no_send(sidecar, body, expected, code):
    answer = sidecar.call("POST", "/v1/send", body)
    assert (answer.status, answer.json["code"]) == (expected, code), answer


def test_a_chunked_body_over_the_limit(sidecar):
    chunk = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
    head = b"POST /v1/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = raw(sidecar, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 9 + b"0\r\n\r\n")
    assert status(answer) == 413


def test_paths_and_methods_that_are_not_there(sidecar):
    missing = sidecar.call("GET", "/nothing")
    assert (missing.status, missing.json["code"]) == (404, "not_found")
    wrong = sidecar.call("GET", "/v1/send")
    assert (wrong.status, wrong.json["code"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "POST"
    assert sidecar.call("GET", "/v1/messages/none").status == 404


def test_100_continue_is_for_those_who_may_come_in(sidecar):
    head = b"POST /v1/send HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\n"
    rest = b"Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n{}"
    assert raw(sidecar, head % b"localhost" + rest).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert status(raw(sidecar, head % b"evil.example" + rest)) == 421
    assert status(raw(sidecar, head % b"localhost" + b"Origin: http://[\r\n" + rest)) == 403


def test_ids_are_taken_up_and_returned(sidecar):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"X-Request-Id": "login-7", "traceparent": trace}
    answer = sidecar.send(headers=headers)
    assert answer.headers["X-Request-Id"] == "login-7"
    assert answer.headers["traceparent"] == trace
    made_up = sidecar.send(headers={"X-Request-Id": "bad id", "traceparent": "nonsense"})
    assert made_up.headers["X-Request-Id"] != "bad id"
    assert "traceparent" not in made_up.headers


def test_the_documents_need_no_network(sidecar):
    document = sidecar.call("GET", "/openapi.json").json
    assert document["openapi"].startswith("3.1")
    page = sidecar.call("GET", "/docs").body.decode()
    assert "<script" not in page
    assert "https://" not in page
    for path in document["paths"]:
        assert f"<code>GET {path}</code>" in page or f"<code>POST {path}</code>" in page


def test_health_is_there_under_both_names(sidecar):
    one, other = (sidecar.call("GET", p).json for p in ("/health", "/health/messaging"))
    assert one["chains"].keys() == other["chains"].keys() == {"sms", "email"}
    (console,) = one["chains"]["sms"]["providers"]
    assert (console["role"], console["circuit"]["state"]) == ("primary", "closed")


def test_html_in_a_text_is_shown_and_not_run(sidecar):
    sidecar.send(text=f"<script>alert(1)</script> {TEXT}")
    page = sidecar.call("GET", "/inbox").body.decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_tokens(tmp_path, start):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN_NOW}\n{TOKEN_NEXT}\n")
    (tmp_path / "providers.yaml").write_text(
        f"server: {{listen: '127.0.0.1:0', token_file: '{tokens}'}}\n"
        "providers: {console: {}}\nchains: {sms: [console]}\n"
    )
    sidecar = start()

    def send(token, path="/v1/send"):
        headers = {"Authorization": None if token is None else f"Bearer {token}"}
        return sidecar.call("POST", path, GOOD, headers).status

    assert [send(t) for t in (TOKEN_NOW, TOKEN_NEXT)] == [200, 200]
    assert [send(t) for t in (None, "wrong", TOKEN_NOW[:-1], "")] == [401] * 4
    assert sidecar.call("GET", "/livez").status == 200
    assert sidecar.call("GET", "/readyz").status == 200
    smuggled = ("/v1/send?x=/livez", "//v1/send", "/livez/../v1/send", "/livez")
    assert [send(None, path) for path in smuggled] == [401] * 4
    assert sidecar.call("GET", "/health").status == 401
    assert sidecar.call("GET", "/livez?x=1").status == 401
