"""Each fault does on the wire what its name says: HTTP, and the TCP and TLS beneath it."""

from __future__ import annotations

import json
import socket
import ssl
import zlib
from email.utils import parsedate_to_datetime

import pytest

from faultd.faults import MIB
from harness.process import wait_for
from harness.vendor_wire import exchange, handshake, listen_to, request_for

VENDORS = ["ses", "sns", "eum", "sendgrid", "twilio"]
SEND = request_for("twilio")
SHORT = 0.3
"""Seconds of silence that are believed."""


def parts(reply):
    head, _, body = reply.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    pairs = (text.partition(": ") for text in lines)
    headers = {name.lower(): value for name, _, value in pairs}
    return int(line.split()[1]), headers, body


@pytest.fixture
def ask(faultd):
    """One exchange with a provider, and the ledger's new records."""

    def one(kind="twilio", seconds=5.0):
        before = len(faultd.ledger())
        data = request_for(kind).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        reply, ending = exchange(faultd.port(kind), data, seconds)
        return reply, ending, faultd.ledger(since=before)

    return one


def test_refuse_shuts_the_port_and_heal_opens_the_same(faultd):
    port = faultd.port("twilio")
    with socket.create_connection(("127.0.0.1", port)) as kept:
        kept.sendall(SEND)
        assert kept.recv(65_536).startswith(b"HTTP/1.1 201")
        faultd.set("twilio", "refuse")
        assert listen_to(kept, 5.0)[1] != "silence", "a kept connection is closed, too"
    for tls in (False, True):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", faultd.port("twilio", tls=tls)), timeout=5.0)
    faultd.heal("twilio")
    assert exchange(port, SEND, SHORT)[0].startswith(b"HTTP/1.1 201")


@pytest.mark.parametrize(("at", "read"), [("connect", 0), ("request", 1)])
@pytest.mark.parametrize("fault", ["silence", "reset", "eof"])
def test_no_answer_before_or_after_the_request(faultd, ask, fault, at, read):
    faultd.set("twilio", fault, at=at)
    before = faultd.counts("twilio")
    reply, ending, taken = ask(seconds=SHORT if fault == "silence" else 5.0)
    assert (reply, taken) == (b"", [])
    # FIN on a socket with unread bytes is an RST: the kernel's rule, not the daemon's.
    assert ending == fault or (fault, at, ending) == ("eof", "connect", "reset")
    after = faultd.counts("twilio")
    assert after["requests"] - before["requests"] == read
    assert after["connections"] - before["connections"] == 1


@pytest.mark.parametrize("how", ["reset", "eof", "silence"])
@pytest.mark.parametrize("kind", VENDORS)
def test_a_lost_answer_stands_in_the_ledger(faultd, ask, kind, how):
    faultd.set(kind, "lost", how=how)
    reply, ending, taken = ask(kind, SHORT if how == "silence" else 5.0)
    assert (reply, ending) == (b"", how)
    assert [(record["provider"], record["lost"]) for record in taken] == [(kind, True)]
    lines = faultd.ledger_file.read_text().splitlines()
    assert [json.loads(line) for line in lines[-1:]] == taken


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_drip_is_a_byte_at_a_time(faultd, part):
    faultd.set("twilio", "drip", part=part, interval=0.1)
    with socket.create_connection(("127.0.0.1", faultd.port("twilio"))) as sock:
        sock.sendall(SEND)
        start = b""
        while part == "body" and not start.endswith(b"\r\n\r\n"):
            start += sock.recv(1)
        chunks = [sock.recv(65_536) for _ in range(5)]
    assert [len(chunk) for chunk in chunks] == [1] * 5
    assert b"".join(chunks) == (b"HTTP/" if part == "head" else b'{"sid')


def test_a_truncated_body_is_shorter_than_its_length(faultd, ask):
    faultd.set("twilio", "truncate")
    reply, ending, taken = ask()
    status, headers, body = parts(reply)
    assert (status, ending, len(taken)) == (201, "eof", 1)
    assert 0 < len(body) < int(headers["content-length"])


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_endless_answer_ends_by_its_bytes(faultd, ask, part):
    faultd.set("twilio", "endless", part=part, limit=MIB)
    reply, ending, taken = ask()
    assert (ending, len(taken)) == ("eof", 1)
    assert MIB <= len(reply) < 1.2 * MIB
    assert (b"\r\n\r\n" in reply) == (part == "body")


def test_an_endless_answer_ends_by_its_time(faultd, ask):
    faultd.set("twilio", "endless", limit=10**12, seconds=0.2)
    _, ending, _ = ask(seconds=30.0)
    assert ending == "eof"


def test_a_bomb_inflates_from_more_than_256_kib(faultd, ask):
    faultd.set("ses", "bomb", size=80 * MIB)
    status, headers, body = parts(ask("ses", 30.0)[0])
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert 256 * 1024 < len(body) < MIB
    inflated = zlib.decompress(body, wbits=31)
    assert len(inflated) > 80 * MIB
    assert json.loads(inflated)["MessageId"]


def test_a_big_body_is_a_good_one(faultd, ask):
    faultd.set("twilio", "big")
    reply, _, (record,) = ask()
    _, _, body = parts(reply)
    assert len(body) == 300 * 1024
    assert json.loads(body)["sid"] == record["id"]


@pytest.mark.parametrize("kind", VENDORS)
@pytest.mark.parametrize("form", [None, "5", "date", "garbage", "1000000000", "-1"])
def test_429_has_each_form_of_retry_after(faultd, ask, kind, form):
    faultd.set(kind, "throttle", retry_after=form)
    reply, _, taken = ask(kind)
    status, headers, _ = parts(reply)
    assert (status, taken) == (429, [])
    said = headers.get("retry-after")
    if form == "date":
        ahead = parsedate_to_datetime(said) - parsedate_to_datetime(headers["date"])
        assert 28 <= ahead.total_seconds() <= 31
    else:
        assert said == form


@pytest.mark.parametrize("kind", VENDORS)
@pytest.mark.parametrize(
    ("fault", "code"),
    [*(("status", c) for c in (500, 502, 503, 504, 599)), ("auth", 401), ("auth", 403)],
)
def test_a_status_is_what_was_asked_for(faultd, ask, kind, fault, code):
    faultd.set(kind, fault, code=code)
    reply, _, taken = ask(kind)
    status, _, body = parts(reply)
    assert (status, taken) == (code, [])
    assert body


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_leads_to_the_trap(faultd, ask, code):
    faultd.set("twilio", "redirect", code=code)
    reply, _, taken = ask()
    status, headers, _ = parts(reply)
    assert (status, taken) == (code, [])
    before = faultd.counts("twilio")["redirects_followed"]
    _, _, there = headers["location"].partition("http://127.0.0.1:")
    port, _, path = there.partition("/")
    exchange(int(port), SEND.replace(b"POST /", f"POST /{path}/".encode()))
    assert faultd.counts("twilio")["redirects_followed"] == before + 1
    assert int(port) not in {faultd.port(kind) for kind in VENDORS}


@pytest.mark.parametrize("kind", VENDORS)
def test_an_answer_may_only_look_like_a_yes(faultd, ask, kind):
    bodies = {}
    for what in ("html", "empty", "null", "wrong_type", "no_id", "huge_id"):
        faultd.set(kind, "answer", body=what)
        reply, _, taken = ask(kind)
        status, headers, bodies[what] = parts(reply)
        assert 200 <= status < 300
        assert taken == []
        said = headers.get("x-message-id", "")
        assert bool(said) == (kind == "sendgrid" and what in ("wrong_type", "huge_id"))
        assert (len(bodies[what]) + len(said) >= 5_000_000) == (what == "huge_id")
    assert b"<html>" in bodies["html"]
    assert (bodies["empty"], bodies["null"]) == (b"", b"null")
    assert b"sid" not in bodies["no_id"]
    assert b"MessageId" not in bodies["no_id"]


@pytest.mark.parametrize(
    ("kind", "rejected", "failed"),
    [
        ("ses", b"Illegal address", b"suppression list"),
        ("sns", b"is not valid to publish to", b"<Code>InternalError"),
        ("eum", b"INVALID_PARAMETER", b"InternalServerException"),
        ("sendgrid", b"Does not contain a valid address", b"not queued"),
        ("twilio", b"21211", b'"status": "failed"'),
    ],
)
def test_the_vendors_own_words_for_no(faultd, ask, kind, rejected, failed):
    faultd.set(kind, "reject")
    reply, _, taken = ask(kind)
    assert (parts(reply)[0], taken) == (400, [])
    assert rejected in reply
    faultd.set(kind, "failed")
    reply, _, taken = ask(kind)
    assert 200 <= parts(reply)[0] < 300
    assert taken == []
    assert failed in reply


# OpenSSL's X509_V_ERR_ numbers
@pytest.mark.parametrize(
    ("how", "code"),
    [("expired", 10), ("self_signed", 18), ("unknown_issuer", 20), ("wrong_host", 62)],
)
def test_a_certificate_is_wrong_in_one_way(faultd, how, code):
    port = faultd.port("twilio", tls=True)
    faultd.set("twilio", "tls", how=how)
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        handshake(port, faultd.ca_file)
    assert refused.value.verify_code == code
    faultd.heal("twilio")
    with handshake(port, faultd.ca_file) as sock:
        sock.sendall(SEND)
        assert sock.recv(65_536).startswith(b"HTTP/1.1 201")


def test_a_handshake_gets_garbage_or_nothing(faultd):
    port = faultd.port("twilio", tls=True)
    faultd.set("twilio", "tls", how="garbage")
    with pytest.raises(ssl.SSLError):
        handshake(port, faultd.ca_file)
    faultd.set("twilio", "tls", how="hang")
    with pytest.raises(TimeoutError):
        handshake(port, faultd.ca_file, SHORT)


def test_a_fault_strikes_as_often_as_it_was_told(faultd, ask):
    faultd.set("twilio", "status", code=500, times=2)
    assert [parts(ask()[0])[0] for _ in range(4)] == [500, 500, 201, 201]


def test_a_fault_strikes_by_chance_and_the_seed_repeats_it(faultd, ask):
    def walk(seed):
        faultd.set("twilio", "status", code=500, probability=0.5, seed=seed)
        return [parts(ask()[0])[0] for _ in range(16)]

    first = walk(1)
    assert set(first) == {500, 201}
    assert walk(1) == first
    assert walk(2) != first


def test_a_slow_provider_answers_late_and_well(faultd, ask):
    faultd.set("twilio", "slow", delay=0.6)
    assert ask(seconds=SHORT)[0] == b""
    reply, _, (record,) = ask()
    assert parts(reply)[0] == 201
    assert record["lost"] is False


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("no_such", {}),
        ("reply", {}),  # SMTP's alone
        ("silence", {"at": "dot"}),
        ("status", {"colour": 1}),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(faultd, ask, name, options):
    with pytest.raises(ValueError, match=name):
        faultd.set("twilio", name, **options)
    assert parts(ask()[0])[0] == 201


def test_set_closes_what_is_kept_only_where_it_must(faultd):
    with socket.create_connection(("127.0.0.1", faultd.port("sns"))) as kept:
        for fault, at in (("status", "request"), ("reset", "connect")):
            kept.sendall(request_for("sns"))
            assert kept.recv(65_536)
            faultd.set("sns", fault, at=at)
        assert wait_for(lambda: listen_to(kept, SHORT)[1] != "silence", "the end")
