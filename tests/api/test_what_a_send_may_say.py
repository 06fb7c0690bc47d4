"""The body of a send: what is taken, and what is refused with a pointer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.api.plain import read_plainly
from sidecar.api.problems import Problem
from sidecar.api.schema import parse_send, read_by_model

SMS = {"channel": "sms", "to": "+14155552671", "text": "Your code is 482913"}
MAIL = {"channel": "email", "to": "ada@example.com", "text": "Your code is 482913"}


def parse(body, **changes):
    return parse_send(json.dumps({**body, **changes}).encode())


def pointers(body, **changes):
    with pytest.raises(Problem) as caught:
        parse(body, **changes)
    assert caught.value.status == 422
    assert caught.value.pointers is not None
    return [fault["pointer"] for fault in caught.value.pointers]


def test_the_smallest_sends():
    assert parse(SMS).message.subject is None
    assert parse(MAIL).message.subject == "Your code"
    assert parse({**SMS, "channel": "voice", "to": "anything"}).message.channel == "voice"


@pytest.mark.parametrize(
    "number",
    [
        "14155552671",
        "+1 415 555 2671",
        "+1-415-555-2671",
        "tel:+14155552671",
        "+14155552671;ext=5",
        "0014155552671",
        "+04155552671",
        "+١٤١٥٥٥٥٢٦٧١",
        "+1415555267",
        "+141555526711",
        "+999155552671",
        "",
        "+14155552671,+14155552672",
    ],
)
def test_numbers_that_are_none(number):
    assert pointers(SMS, to=number) == ["/to"]


@pytest.mark.parametrize(
    "number", ["+14155552671", "+15005550006", "+442079460000", "+4915112345678"]
)
def test_numbers(number):
    assert parse(SMS, to=number).message.to == number


@pytest.mark.parametrize(
    "address",
    [
        "ada",
        "ada@example.com, bob@example.com",
        "ada@example.com;bob@example.com",
        "Ada <ada@example.com>",
        "group: ada@example.com;",
        "<@relay.example:ada@example.com>",
        '"ada b"@example.com',
        "ada@[127.0.0.1]",
        "-ada@example.com",
        "a" * 65 + "@example.com",
        "ada@" + "a" * 63 + "." + ("b" * 63 + ".") * 3 + "com",
        "ada@example.com\r\nRCPT TO:<e@f.example>",
        "ada@example.com\x00",
        "=?utf-8?q?ada?=@example.com",
        "ada@example.com\u2028",
    ],
)
def test_addresses_that_are_not_one(address):
    assert pointers(MAIL, to=address) == ["/to"]
    assert pointers(MAIL, reply_to=address) == ["/reply_to"]


@pytest.mark.parametrize(
    "address", ["ada@example.com", "ada+otp@sub.example.co.uk", "zoë@exämple.com"]
)
def test_addresses(address):
    assert parse(MAIL, to=address).message.to == address


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"text": ""}, "/text"),
        ({"text": None}, "/text"),
        ({"text": 482913}, "/text"),
        ({"text": "a\x00b"}, "/text"),
        ({"text": "code \u202e319284"}, "/text"),
        ({"text": "x" * 1601}, "/text"),
        ({"text": "x" * 8193}, "/text"),
        ({"channel": "SMS"}, "/channel"),
        ({"purpose": "Log In"}, "/purpose"),
        ({"expires_in": 0}, "/expires_in"),
        ({"expires_in": True}, "/expires_in"),
        ({"expires_in": "300"}, "/expires_in"),
        ({"deadline": 31}, "/deadline"),
        ({"deadline": 0}, "/deadline"),
        ({"id": "../../etc"}, "/id"),
        ({"id": "a b"}, "/id"),
        ({"extra": {"twilio": "x"}}, "/extra/twilio"),
        ({"extra": []}, "/extra"),
        ({"unknown": 1}, "/unknown"),
        ({"to~/x": 1}, "/to~0~1x"),
        ({"subject": "for mails"}, ""),
    ],
)
def test_a_fault_has_its_pointer(changes, pointer):
    assert pointers(SMS, **changes) == [pointer]


@pytest.mark.parametrize(
    "subject", ["a\r\nBcc: z@x.example", "a\u2028b", "=?utf-8?q?a=0D=0ABcc=3A?=", ""]
)
def test_subjects_that_would_be_headers(subject):
    assert pointers(MAIL, subject=subject) == ["/subject"]


def test_no_refusal_repeats_what_was_sent():
    with pytest.raises(Problem) as caught:
        parse(SMS, to="+1415555267x", text=["482913"], purpose="482913 !")
    told = f"{caught.value.detail} {caught.value.pointers}"
    assert "482913" not in told
    assert "415555267" not in told


def test_how_long_the_caller_waits_does_not_make_another_message():
    assert parse(SMS, deadline=5).form == parse(SMS).form
    assert parse(SMS, expires_in=5).form != parse(SMS).form
    assert parse(SMS, text="x").form != parse(SMS).form


def refusal(body):
    """The problem that `body` is answered with; None where it is a send."""
    try:
        parse_send(body)
    except Problem as problem:
        return problem
    return None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_send_or_a_problem(body):
    problem = refusal(body)
    assert problem is None or problem.status in (400, 422)


@given(
    st.fixed_dictionaries(
        {"channel": st.sampled_from(["sms", "email"]), "to": st.text(), "text": st.text()},
        optional={
            "subject": st.text(),
            "id": st.text(),
            "extra": json_values,
            "expires_in": json_values,
        },
    )
)
def test_any_fields_are_a_send_or_a_problem(fields):
    problem = refusal(json.dumps(fields).encode())
    assert problem is None or problem.answer().status in (400, 422)  # 400: Infinity is no JSON


@pytest.mark.parametrize(
    "document",
    [
        SMS,
        MAIL,
        {**SMS, "id": "m-1", "purpose": "login", "expires_in": 300, "deadline": 2.5},
        {**MAIL, "to": "ada.l+otp@sub.example.co.uk", "subject": "Hello", "text": "one\ntwo é"},
    ],
)
def test_usual_sends_are_read_without_the_model(document):
    assert read_plainly(document) == read_by_model(document)


ADDRESSES = (
    *("ada@example.com", "a.b@x.org", "a..b@x.org", ".a@x.org", "a.@x.org", "-a@x.org", "a@x"),
    *(
        "a@localhost",
        "a@x.test",
        "a@-x.org",
        "a@xn--a.com",
        "a@[127.0.0.1]",
        "a@b@x.org",
        "é@x.org",
    ),
    *("a@x.org\n", "a @x.org", "a@x .org", "=?a@x.org", f"{'a' * 64}@x.org", f"{'a' * 65}@x.org"),
    *("+14155552671@x.org", f"a@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 60}.org", "a@x.org."),
)
NUMBERS = ("+14155552671", "+442079460000", "+0123456789", "+999155552671", "+14155552671\n")
TEXTS = ("Your code is 482913", "x" * 1_600, "x" * 1_601, "x" * 8_192, "x" * 8_193, "", "a\tb")
STRANGE = ("a\x00", "\u202e", "\u2028", "\x85", "one\ntwo", "=?utf-8?q?a?=", "\u200d", "\ud7ff")
FIELDS = {
    "channel": ("sms", "email", "voice", "SMS", "sms\n"),
    "to": (*NUMBERS, *ADDRESSES),
    "text": (*TEXTS, *STRANGE),
    "subject": (None, "Hello", "x" * 255, "x" * 256, "", *STRANGE),
    "purpose": ("otp", "login", "Login", "a" * 64, "a" * 65, "otp\n", "14155552671", "+", "é"),
    "id": (None, "m-1", "m-1\n", "a" * 128, "a" * 129, "id-4155552671", "4155552671", "", "-m"),
    "expires_in": (None, 1, 300, 0.5, 86_400, 86_401, 300.5, True, "300", 10**20),
    "deadline": (None, 1, 0, 30, 30.5, 0.25, False, -1, 10**400),
    "html": (None, "<p>482913</p>"),
    "reply_to": (None, "help@example.com"),
    "extra": ({}, {"ses": {}}),
    "another": (None, 1),
}
changes = st.one_of(
    *(
        st.tuples(st.just(name), st.sampled_from(values) | st.text(max_size=12) | json_values)
        for name, values in FIELDS.items()
    )
)
documents = st.builds(
    lambda usual, changed: {**usual, **dict(changed)},
    st.sampled_from([SMS, MAIL]),
    st.lists(changes, max_size=3),
)


@settings(max_examples=1_500)
@given(documents)
def test_what_is_read_without_the_model_is_what_the_model_reads(document):
    plainly = read_plainly(document)
    assert plainly is None or plainly == read_by_model(document)
