"""JSON that is none, or says two things at once; and who is told to go on with a body."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.process import EMAIL, PHONE
from harness.wire import connect, everything, replies, tell
from sidecar.api.problems import Problem
from sidecar.api.strict_json import DEPTH_LIMIT, read_object

GOOD = {"channel": "sms", "to": PHONE, "text": "Your code is 482913"}
MAIL = {"channel": "email", "to": EMAIL, "text": "Your code is 482913"}


@pytest.fixture(scope="module")
def sidecar(begin):
    return begin("header_timeout: 1s")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"channel": "sms", "to": "+14155552671", "to": "+14155552672", "text": "1"}', "/to"),
        ('{"channel":"sms","to":"+14155552671","text":"1","text":"1"}', "/text"),
        ('{"channel":"sms","to":"+14155552671","text":"1","t\\u0065xt":"2"}', "/text"),
        ('{"channel":"sms","to":"+14155552671","text":"a:b","text":"1"}', "/text"),
        ('{"channel" :"sms","channel"\n:"sms","to":"+14155552671","text":"1"}', "/channel"),
        ('{"a": 1, "a" : 2, "text": "\\":"}', "/a"),
        ('{"extra": {"twilio": {"sender": "a", "sender": "b"}}}', "/extra/twilio/sender"),
        ('{"extra": {"twilio": {}, "twilio": {}}}', "/extra/twilio"),
        ('{"extra": [{"a": 1}, {"a/b~": 1, "a/b~": 1}]}', "/extra/1/a~1b~0"),
        ('{"x": {"y": {"' + "k" * 100 + '": 1, "' + "k" * 100 + '": 1}}}', "/x/y/" + "k" * 64),
        ('{"\\u202e": 1, "\\u202e": 1}', "/?"),
    ],
)
def test_a_key_that_is_there_twice(sidecar, body, pointer):
    answer = sidecar.call("POST", "/v1/send", body.encode())
    assert (answer.status, answer.json["code"]) == (422, "invalid")
    assert answer.json["errors"] == [{"pointer": pointer, "detail": "is there more than once"}]
    assert sidecar.inbox() == []


KEYS = st.sampled_from(["a", "b", 'q"', ":", '":', "\\", "e\u0301"]) | st.text(max_size=3)
VALUES = st.recursive(
    st.sampled_from([1, None, True, ":", '":', ' :"', "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
SPACES = st.sampled_from(["", " ", "\n", "\t", "\r"])


def written(value, space: str) -> str:
    """JSON with `space` before and behind every colon."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k)}{space}:{space}{written(v, space)}" for k, v in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(one, space) for one in value) + "]"
    return json.dumps(value)


@given(document=st.dictionaries(KEYS, VALUES, max_size=4), space=SPACES)
def test_what_has_every_key_once_is_read_as_it_is(document, space):
    assert read_object(written(document, space).encode()) == document


@given(document=st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), space=SPACES, data=st.data())
def test_what_has_a_key_twice_is_never_read(document, space, data):
    key = data.draw(st.sampled_from(sorted(document)))
    again = f"{json.dumps(key)}{data.draw(SPACES)}:{written(data.draw(VALUES), space)}"
    text = written(document, space)
    with pytest.raises(Problem) as caught:
        read_object(f"{text[:-1]},{again}}}".encode())
    assert caught.value.status == 422


@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"b":', b"}")], ids=["list", "object"])
def test_nests_have_a_bound(begin, end):
    def nest(levels):
        return b'{"a":' + begin * levels + b"{}" + end * levels + b"}"

    assert read_object(nest(DEPTH_LIMIT - 2))
    with pytest.raises(Problem, match="invalid"):
        read_object(nest(DEPTH_LIMIT - 1))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 30_000 + b"]" * 30_000, 400),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400),
        (b'{"a": NaN}', 400),
        (b'{"a": Infinity}', 400),
        (b'{"a": -1e999}', 400),
        (b'{"a": ' + b"9" * 5_000 + b"}", 400),
        (b'{"a": 0.' + b"9" * 5_000 + b"}", 422),
        (b'{"\\udc00": 1}', 400),
        (b'{"a": "\\ud800\\u0041"}', 400),
        (b'{"a": "\xed\xa0\x80"}', 400),
        (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), 400),
        (json.dumps(GOOD).encode("utf-16-le"), 400),
        (json.dumps(GOOD).encode("utf-32"), 400),
        (b'{"a": "\xc0\xaf"}', 400),
        (b'{"a": "\x00"}', 400),
        (b'{"a": 1} {"b": 2}', 400),
        (b"{'a': 1}", 400),
        (b'{"a": 1,}', 400),
        (b'{"a": 01}', 400),
        (b"true", 422),
        (b'"text"', 422),
        (b"[" + json.dumps(GOOD).encode() + b"]", 422),
    ],
    ids=repr,
)
def test_bodies_that_are_no_send(sidecar, body, status):
    answer = sidecar.call("POST", "/v1/send", body)
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(answer.body) < 2_000


WRONG = {
    "channel": [1, True, None, ["sms"], "sms\n", "SMS", "s" * 100, "\u202esms"],
    "to": [14155552671, True, None, [PHONE], f"{PHONE}\n", f"{PHONE}\u202e", f"{PHONE}\0", ""],
    "text": [
        1,
        True,
        None,
        ["x"],
        "",
        "a\0b",
        "\x1b[2J",
        "\u202e",
        "\u2066x",
        "\u2028",
        "x" * 1_601,
    ],
    "subject": ["s", 1, False],
    "html": ["<b>", 1],
    "reply_to": ["a@b.example", 1],
    "purpose": [1, None, "", "a b", "a\n", "\u202e"],
    "expires_in": [True, "300", 0, -1, 86_401, [], 1e308],
    "deadline": [True, "5", 0, -1, 31, {}],
    "id": [1, True, "", "a b", "a\n", "\u202e", "-x", "x" * 129],
    "extra": [1, [], "x", {"twilio": 1}, {"twilio": {"a": "\x00"}}, {"twilio": {"a\u202e": 1}}],
    "no_such": [1, "\u202e"],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG.items() for value in values]
)
def test_every_field_takes_what_it_should_and_a_pointer_says_which(sidecar, field, value):
    answer = sidecar.call("POST", "/v1/send", {**GOOD, field: value})
    assert answer.status == 422, answer
    places = [error["pointer"] for error in answer.json["errors"]]
    if field in ("subject", "html", "reply_to") and isinstance(value, str):
        assert places == [""]
    else:
        assert places
        assert all(place.startswith(f"/{field}") for place in places)
    assert sidecar.inbox() == []
    assert (
        value is True
        or not isinstance(value, str)
        or len(value) < 3
        or value not in str(answer.json)
    )


@pytest.mark.parametrize("field", ["subject", "html", "reply_to", "text", "to"])
@pytest.mark.parametrize("bad", ["a\0", "\u202ea", "\u2067a", "a\x85", "\u2029"])
def test_no_field_of_a_mail_takes_control_or_bidi_characters(sidecar, field, bad):
    answer = sidecar.call("POST", "/v1/send", {**MAIL, field: bad})
    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [f"/{field}"]


HEAD = "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n{more}"
FAIL = [
    {"host": "evil.example"},
    {"host": ""},
    {"kind": "text/plain", "method": "POST"},
    {"more": "Origin: null\r\n"},
    {"more": "Sec-Fetch-Site: cross-site\r\n"},
    {"more": "Content-Encoding: gzip\r\n", "method": "POST"},
]


@pytest.mark.parametrize("path", ["/v1/send", "/nothing", "/livez", "/v1/messages/x"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET", "TRACE", "WHATEVER"])
def test_nobody_is_told_to_go_on_before_the_door_was_passed(sidecar, path, method):
    for fault in FAIL:
        fields = {"host": "localhost", "kind": "application/json", "more": "", **fault}
        fields = {**fields, "path": path, "method": fault.get("method", method)}
        head = HEAD.format(**fields) + "Content-Length: 2\r\nExpect: 100-continue\r\n"
        with connect(sidecar) as connection:
            connection.sendall(f"{head}Connection: close\r\n\r\n{{}}".encode())
            answers = replies(everything(connection))
        assert [answer.status for answer in answers] in ([400], [403], [415], [421]), fault


def test_whoever_passed_it_is(sidecar):
    head = HEAD.format(
        method="POST", path="/v1/send", host="localhost", kind="application/json", more=""
    )
    request = f"{head}Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    with connect(sidecar) as connection:
        connection.sendall(request.encode())
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        (answer,) = replies(everything(connection))
    assert answer.status == 422


def test_what_is_no_method_of_a_path_is_told_which_are(sidecar):
    request = HEAD.format(
        method="PUT", path="/v1/send", host="localhost", kind="application/json", more="\r\n"
    )
    answer = tell(sidecar, request.encode())[0]
    assert answer.problem["code"] == "method_not_allowed"
    assert b"Allow: POST" in answer.head
