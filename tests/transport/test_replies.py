"""What a reply says: its JSON, its `Retry-After`, and its status where nothing else is known."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from sidecar.delivery.errors import Misconfigured, Refused, Throttled, Unavailable, Unknown
from sidecar.transport import Reply, error_for_status

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def reply(status=200, body=b"", **headers):
    return Reply(status, CIMultiDict({k.replace("_", "-"): v for k, v in headers.items()}), body)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("1000000000", 1e9),
        ("9" * 5000, 1e9),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wednesday, 21-Oct-15 07:28:30 GMT", 30.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", pytest.approx(2.5e11, rel=0.1)),
        ("-5", None),
        ("1.5", None),
        ("1e9", None),
        ("+5", None),
        ("\u0665", None),  # an Arabic digit
        ("soon", None),
        ("", None),
        ("NaN", None),
        ("Wed, 99 Oct 2015 99:99:99 GMT", None),
    ],
)
def test_retry_after_in_all_its_forms(value, seconds):
    assert reply(Retry_After=value, Date=DATE).retry_after() == seconds


def test_no_retry_after():
    assert reply(Date=DATE).retry_after() is None


@pytest.mark.parametrize("date", [None, "garbage"])
def test_a_date_without_a_date_to_measure_it_by_is_measured_by_our_clock(monkeypatch, date):
    monkeypatch.setattr("time.time", lambda: 1445412480.0 - 40.0)  # 40 s before DATE
    headers = {"Retry_After": DATE} | ({"Date": date} if date else {})
    assert reply(**headers).retry_after() == 40.0


@given(st.text())
def test_no_text_breaks_it(text):
    seconds = reply(Retry_After=text, Date=DATE).retry_after()
    assert seconds is None or seconds >= 0.0


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"id": "m-1"}', {"id": "m-1"}),
        (b"{}", {}),
        (b"", {}),
        (b"null", {}),
        (b"[1]", {}),
        (b'"text"', {}),
        (b"<html>ok</html>", {}),
        (b"\xff\xfe\x00", {}),
        (b'{"a": ' * 100_000, {}),
        (b"[" * 100_000, {}),
        (b'{"n": ' + b"9" * 5000 + b"}", {}),
        (b'{"id": 123456789012345678901234567890}', {"id": 123456789012345678901234567890}),
        (b'{"id": [-18446744073709551617]}', {"id": [-18446744073709551617]}),
        (b'{"text": "\\ud800"}', {"text": "\ud800"}),
        ('{"id": "m-1"}'.encode("utf-16"), {"id": "m-1"}),
        (b'{"id": 18446744073709551616}', {"id": 2**64}),
        (b'{"a": [{"id": -9223372036854775809}]}', {"a": [{"id": -(2**63) - 1}]}),
        (b'{"id": ' + b"9" * 300 + b"}", {"id": 10**300 - 1}),
        (b'{"n": 0.1234567890123456789012}', {"n": 0.1234567890123456789012}),
        (b'{"n": [NaN], "n": [1e400]}', {"n": [float("inf")]}),
        (b'{"half": "\\ud800"}', {"half": "\ud800"}),
        ('{"a": "\u00e9"}'.encode("utf-16"), {"a": "\u00e9"}),
    ],
)
def test_the_body_as_an_object_or_nothing(body, value):
    found = reply(body=body).json()
    assert found == value
    assert repr(found) == repr(value)  # an integer of any size is no float


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
    ),
    st.booleans(),
)
def test_an_object_is_read_as_python_reads_it(value, ascii_only):
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert reply(body=body).json() == value


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, Unknown),
        (204, Unknown),
        (301, Unavailable),
        (307, Unavailable),
        (400, Refused),
        (401, Misconfigured),
        (402, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (405, Misconfigured),
        (408, Unavailable),
        (415, Misconfigured),
        (418, Refused),
        (422, Refused),
        (429, Throttled),
        (500, Unavailable),
        (501, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (599, Unavailable),
        (999, Unavailable),
    ],
)
def test_what_a_bare_status_means(status, error):
    found = error_for_status(reply(status, b"+14155552671"))
    assert type(found) is error
    assert found.code == str(status)
    assert "+1415" not in found.reason


def test_the_vendors_own_code_goes_first():
    assert error_for_status(reply(500), code=30001).code == "30001"
    assert error_for_status(reply(500), code=0).code == "0"


def test_too_many_requests_carries_its_time():
    found = error_for_status(reply(429, Retry_After="7"))
    assert isinstance(found, Throttled)
    assert found.retry_after == 7.0
