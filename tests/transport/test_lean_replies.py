"""The reader of replies, byte by byte: what is whole, what is not, and what may follow."""

import contextlib
import gzip
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.delivery.errors import Unknown
from sidecar.wire.reply import HEAD_LIMIT, Headers, ReplyReader


@pytest.fixture(params=["lean"], autouse=True)
def engine():
    """Nothing here goes over a wire."""


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BOMB = gzip.compress(b"0" * 2**20)


def read(*pieces, method="POST", ended=False):
    """(status, body, reusable) of a whole reply, or None; raises `Unknown`."""
    reader = ReplyReader()
    reader.begin(method)
    whole = False
    for piece in pieces:
        whole = reader.feed(piece) or whole
    if ended:
        whole = reader.end()
    return result(reader) if whole else None


def result(reader):
    status, _, body = reader.answer
    return status, body, reader.reusable


WHOLE = [
    (OK + b"Content-Length: 2\r\n\r\n{}", (200, b"{}", True)),
    (OK + b"cOnTeNt-LeNgTh:2\r\n\r\n{}", (200, b"{}", True)),
    (OK + b"X-Empty:\r\nContent-Length: 0\r\n\r\n", (200, b"", True)),
    (CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", (200, b"{}", True)),
    (CHUNKED + b'1;a="b;c"\r\n{\r\n1  \r\n}\r\n0\r\nTrailer: x\r\n\r\n', (200, b"{}", True)),
    (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", (200, b"{}", False)),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", (200, b"{}", False)),
    (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
        (200, b"{}", True),
    ),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + EMPTY, (200, b"", True)),
    (b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n" + EMPTY, (200, b"", True)),
    (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", True)),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", (204, b"", False)),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", (304, b"", False)),
    (OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
     (200, BOMB, True)),
    # more than was asked for: the reply is whole, the connection is not to be trusted
    (EMPTY + EMPTY, (200, b"", False)),
    (EMPTY + b"garbage", (200, b"", False)),
    (OK + b"Connection: close\r\nContent-Length: 0\r\n\r\nmore", (200, b"", False)),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}", (204, b"", False)),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "expected"), WHOLE, ids=[str(n) for n in range(len(WHOLE))])
def test_a_whole_reply(raw, expected):
    assert read(raw) == expected


EXACT = WHOLE[:14]
"""Without surplus: where it comes in a piece of its own, the connection has to see it."""


@settings(max_examples=300)
@given(st.sampled_from(EXACT), st.lists(st.integers(0, 400), max_size=12))
def test_it_does_not_matter_where_a_reply_is_cut(case, cuts):
    raw, expected = case
    at = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    pieces = [raw[a:b] for a, b in itertools.pairwise(at)]
    assert read(*pieces) == expected


@pytest.mark.parametrize("case", EXACT, ids=[str(n) for n in range(len(EXACT))])
def test_a_reply_that_breaks_off_is_whole_at_no_place(case):
    raw, _ = case
    for place in range(len(raw) - 1 if len(raw) < 500 else 200):
        assert read(raw[:place], ended=True) is None, raw[:place]


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 1000])
def test_without_a_length_the_end_of_the_connection_is_the_end_of_the_body(body):
    assert read(OK + b"\r\n" + body) is None
    assert read(OK + b"\r\n" + body, ended=True) == (200, body, False)


def test_a_head_alone_answers_head():
    assert read(OK + b"Content-Length: 99\r\n\r\n", method="HEAD") == (200, b"", False)


@pytest.mark.parametrize(
    "raw",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 1000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 17,
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\n",
        OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        OK + b"X: a\x00b\r\n\r\n",
        OK + b"X : a\r\n\r\n",
        OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: " + b"x" * HEAD_LIMIT,
        OK + b"X: y\r\n" * 129 + b"\r\n",
        CHUNKED + b"zz\r\n{}",
        CHUNKED + b"-1\r\n{}",
        CHUNKED + b"ffffffffffffffffff\r\n{}",
        CHUNKED + b"2\r\n{}garbage",
        CHUNKED + b"2\n{}\n0\n\n",
    ],
)  # fmt: skip
def test_what_is_no_reply_is_unknown(raw):
    with pytest.raises(Unknown):
        read(raw)


@pytest.mark.parametrize(
    "endless",
    [
        b"x" * 1000,  # the status line
        OK + b"X: " + b"x" * 1000,
        OK + b"X-Many: y\r\n" * 50,
        CHUNKED + b"1;" + b"e" * 1000,
        CHUNKED + b"0\r\nTrailer: " + b"x" * 1000,
        CHUNKED + b"fffffff\r\n" + b"x" * 1000,
        OK + b"\r\n" + b"x" * 1000,
        OK + b"Content-Length: 999999999\r\n\r\n" + b"x" * 1000,
    ],
)
def test_nothing_is_read_without_end(endless):
    reader = ReplyReader()
    reader.begin("POST")
    with pytest.raises(Unknown):  # noqa: PT012  # the piece that is too much is not known
        reader.feed(endless)
        for _ in range(3000):
            reader.feed(endless[-1:] * 1000)


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=80), max_size=5), st.booleans())
def test_no_bytes_break_the_reader(pieces, begun):
    with contextlib.suppress(Unknown):
        read(*([OK] if begun else []), *pieces, ended=True)


def test_headers_are_case_insensitive_and_the_first_of_a_name_counts():
    reader = ReplyReader()
    reader.begin("POST")
    reader.feed(OK + b"X-Id: 1\r\nx-ID: 2\r\nY: \xfc \r\nContent-Length: 0\r\n\r\n")
    _, headers, _ = reader.answer
    assert (headers["X-ID"], headers.get("x-id"), headers["y"]) == ("1", "1", "\xfc")
    assert headers.get("Z", "") == ""
    assert (sorted(headers), len(headers)) == (["content-length", "x-id", "y"], 3)
    assert "\xfc" not in repr(headers)


def test_a_name_beyond_ascii_is_no_other_and_what_is_listed_is_found():
    headers = Headers([(b"X-?", b"1"), (b"X-\xc0", b"2")])  # the parser lets no such name in
    assert "x-\u0100" not in headers
    assert dict(headers) == {"x-?": "1", "x-\xe0": "2"}
    assert headers["X-\xc0"] == "2"


def test_a_trailer_is_no_header():
    reader = ReplyReader()
    reader.begin("POST")
    reader.feed(CHUNKED + b"0\r\nRetry-After: 9\r\n\r\n")
    _, headers, _ = reader.answer
    assert "retry-after" not in headers


def test_one_reader_reads_many_replies():
    reader = ReplyReader()
    for raw, expected in EXACT[:5]:
        reader.begin("POST")
        assert reader.feed(raw)
        assert result(reader) == expected
