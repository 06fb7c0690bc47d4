"""What a provider says is kept only where it repeats neither the message nor a secret."""

from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.delivery.attempt import attempt
from sidecar.delivery.discretion import WITHHELD, holds_recipient, repeats
from sidecar.delivery.errors import Unavailable
from sidecar.delivery.model import Message, Receipt

PHONE = Message("m-1", "sms", "+14155552671", "Your code is 482913, or G-4711-XQ. In 2 words: 7315")
MAIL = Message("m-1", "email", "Ada.Lovelace@example.com", "Your code is 482913")


@pytest.mark.parametrize(
    "words",
    [
        "no such number: +14155552671",
        "14155552671",
        "SM-004155552671-7",
        "(415) 555-2671",
        "415.555.2671",
        "+1 415 555 2671",
        "%2B14155552671",
        "queued as 482913",
        "E482913",
        "x482913y",
        "7315",
        "code G-4711-XQ is taken",
    ],
)
def test_words_that_repeat_a_text_message_are_known(words):
    assert repeats(words, PHONE)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "the vendor answered 503",
        "21610",
        "SM0123456789abcdef0123456789abcdef",
        "no answer within 4.0 s",
        "4829131",
        "1482913",
        "a7315b",
        "2 words",
        "+14155552672",
        "Your code is",
    ],
)
def test_other_words_are_kept(words):
    assert not repeats(words, PHONE)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("550 5.1.1 <ada.lovelace@example.com>", True),
        ("to=ADA.LOVELACE%40EXAMPLE.COM", True),
        ("example.com has no such mailbox", False),
        ("250 Ok: queued as 0123456789AB", False),
    ],
)
def test_an_address_is_known_in_any_case(words, found):
    assert repeats(words, MAIL) is found


@given(
    before=st.text("SMabcdef0123456789_-", max_size=8),
    after=st.text("abcdef0123456789", max_size=8),
    encode=st.sampled_from(
        [
            lambda text: text.encode().hex(),
            lambda text: text.encode().hex().upper(),
            lambda text: b64encode(text.encode()).decode(),
            lambda text: urlsafe_b64encode(text.encode()).decode().rstrip("="),
            lambda text: b64encode(f"to: {text};".encode()).decode(),
            lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
            lambda text: "".join(f"&#{ord(letter)};" for letter in text),
            lambda text: "".join(f"&#x{ord(letter):x};" for letter in text),
        ]
    ),
    told=st.sampled_from([(PHONE, PHONE.to), (PHONE, "482913"), (MAIL, MAIL.to), (MAIL, "482913")]),
)
def test_what_is_encoded_is_known_too(before, after, encode, told):
    message, secret = told
    assert repeats(encode(secret), message)
    assert repeats(f"{before}.{encode(secret)}.{after}", message)


@given(words=st.text(max_size=40) | st.text("abcdefABCDEF0123456789+/=%&;#x-", max_size=60))
def test_any_words_can_be_looked_at(words):
    repeats(words, PHONE)


@given(id_=st.uuids().map(str) | st.binary(min_size=16, max_size=16).map(urlsafe_b64encode))
def test_a_random_id_is_kept(id_):
    words = id_ if isinstance(id_, str) else id_.decode()
    assert not repeats(words, Message("m-1", "sms", "+14155552671", "Your code is 93482913"))


@pytest.mark.parametrize("to", ["", "+", "+12345", "room7"])
def test_a_recipient_of_few_characters_is_not_looked_for(to):
    assert not holds_recipient("+12345 room7", to)


async def test_what_is_said_is_looked_at_where_it_comes_in(box, message):
    link = box.link(
        "p",
        Unavailable(f"no route to {message.to}", code=message.to),
        Unavailable("bad key canary-key", code="canary-key"),
        Receipt(f"id-{message.to}"),
        Receipt("SM1"),
    )
    link.strike = lambda words: words.replace("canary-key", "***")
    ended = [await attempt(link, link.ask(), message, 4.0) for _ in range(4)]
    assert [(a.reason, a.provider_code, a.provider_message_id) for a in ended] == [
        (WITHHELD, WITHHELD, None),
        ("bad key ***", "***", None),
        (None, None, WITHHELD),
        (None, None, "SM1"),
    ]
    assert link.last_error == ended[1]
