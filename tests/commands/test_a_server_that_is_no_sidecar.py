"""`send` and `explain` before a server that is no sidecar: they say so, and end with 69."""

from __future__ import annotations

import json

import pytest

HALF = '{"status": "\\ud800", "id": "otp_1"}'
BODIES = {
    "a list": "[]",
    "a text": '"x"',
    "nothing": "null",
    "a number": "7",
    "too deep": "[" * 200_000,
    "no Unicode": b"\xff\xfe",
    "no JSON": "<html>",
    "an empty object": "{}",
    "attempts that are none": '{"attempts": 3}',
    "an attempt that is none": '{"attempts": [{}]}',
    "an attempt of other words": json.dumps(
        {"attempts": [dict.fromkeys(("outcome", "reason", "provider_code", "circuit"), "x")]}
    ),
    "half a character": HALF,
    "chains that are a list": '{"chains": []}',
    "a chain that is a list": '{"chains": {"sms": []}}',
    "a chain without its parts": '{"chains": {"sms": {}}}',
    "a chain that is a text": '{"chains": {"sms": "next"}}',
}
ASKED = {"send": ("send", "--to", "+14155550123"), "explain": ("explain",)}


def reply(status, body):
    said = body if isinstance(body, bytes) else body.encode()
    head = f"HTTP/1.1 {status} So\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(said)}\r\n\r\n".encode() + said


@pytest.mark.parametrize(
    ("status", "body"),
    [*((200, body) for body in BODIES.values()), (401, "[]"), (401, "{}"), (500, "null")],
    ids=[*BODIES, "a list for 401", "an empty object for 401", "nothing for 500"],
)
def test_it_is_said_that_it_is_none(command, stub, status, body):
    peer = stub(reply(status, body))
    for asked in ASKED.values():
        done = command(*asked, "--channel", "sms", "--url", peer.base)
        assert (done.returncode, done.stdout) == (69, ""), done.stderr
        assert done.stderr == f"{peer.base} does not answer like a sidecar\n"


def test_so_it_is_with_json(command, stub):
    peer = stub(reply(200, "{}"))
    for asked in ASKED.values():
        done = command(*asked, "--channel", "sms", "--json", "--url", peer.base)
        assert (done.returncode, done.stdout) == (69, "")


def test_so_it_is_with_a_chunk_of_a_length_that_is_none(command, stub):
    peer = stub(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}")
    done = command(*ASKED["send"], "--channel", "sms", "--url", peer.base)
    assert (done.returncode, done.stdout) == (69, ""), done.stderr
