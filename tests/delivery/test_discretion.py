"""What a provider says is kept only where it repeats neither the message nor a secret."""

import re
import time
from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.delivery.attempt import attempt
from sidecar.delivery.discretion import WITHHELD, repeats
from sidecar.delivery.errors import Refused, Unavailable
from sidecar.delivery.model import Message, Receipt
from sidecar.delivery.recipient import holds_recipient

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


def wide(text):
    """The text in characters of full width, as some write it."""
    return "".join(chr(ord(one) + 0xFEE0) if one.isalnum() else one for one in text)


def in_digits_from(zero):
    """738291 in the digits of another script, given its zero."""
    return "".join(chr(ord(zero) + int(one)) for one in "738291")


NUMBER = [
    *("738 291", "738-291", "738.291", "73 82 91", "7 3 8 2 9 1", "738 - 291", "738291"),
    *("738  291", "738_291", "738/291", "(738) 291"),
]
OTHERS = [
    *("\u277c\u2778\u277d\u2777\u277e\u2776", "7\ufe0f\u20e33\ufe0f\u20e38\ufe0f\u20e3291"),
    *("738\u2011291", "738\u2212291", "738\u00b7291", "738\u00a0291", "738\u200b291"),
    *(in_digits_from(zero) for zero in "\uff10\u0660\u06f0\u0966"),
    wide("738 291"),
]


@pytest.mark.parametrize("said", [*NUMBER, *OTHERS, "738\u2013291", "E738-291x"])
@pytest.mark.parametrize("text", [*NUMBER, *OTHERS, "G-738291", "738\r\n291", "738\t291"])
def test_a_number_is_known_however_it_is_grouped(said, text):
    for rest in ("", ". 10 minutes are left", " - 10 minutes left", "\n@a.example"):
        message = Message("m-1", "sms", "+14155552671", f"Your code: {text}{rest}")
        assert repeats(f"filtered: {said}", message)
        assert repeats(f"filtered: {said}. 10 left", message)
        assert repeats(said.encode().hex(), message) or not said.isascii()
        assert not repeats("filtered: 738 292", message)
        assert not repeats("filtered: 1738 291", message)
        assert not repeats("filtered: 738 2915", message)


@pytest.mark.parametrize(
    ("code", "words", "found"),
    [
        ("a1b2c3", "r-a1b2c3", True),
        ("a1b2c3", "A1B2C3", True),
        ("k7xq9m", "filtered: k7xq9m.", True),
        ("K7xq9M", "id_k7xq9m", True),
        ("K7XQ9M", "k7xq9m", True),
        ("K7XQ9M", "xK7XQ9My", True),
        (wide("a1b2c3"), "a1b2c3", True),
        ("a1b2c3", wide("a1b2c3"), True),
        ("a8f3kd92ls", "a8f3kd92ls", True),
        ("a1b2c3", "94f20ce6-13c5-43a0-9a9e-ca52da1b2c3b", False),
        ("a1b2c3", "xa1b2c3", False),
        ("a1b2c3x", "a1b2c3", False),
        ("a1b2c3", "a1b2c4", False),
        ("ABCDEFGH", "ABCDEFGH", False),
        ("AB12-CD34", "login-AB12CD34", True),
        ("AB12CD34", "login-AB12-CD34", True),
        ("482", "482", False),
        ("12AB", "12AB", False),
    ],
)
def test_a_code_of_letters_and_digits_is_known_where_it_stands_alone(code, words, found):
    message = Message("m-1", "sms", "+14155552671", f"Your code is {code}.")
    assert repeats(words, message) is found


UUID = "0b8e7f2c-7315-4731-9731-5d2f8a6c1e90"


@pytest.mark.parametrize("code", ["7315", "4731", "73-15", "47314", "key-7315-4", "-7315-"])
@pytest.mark.parametrize("id_", [UUID, UUID.upper(), f"0102018b7e3a8c1e-{UUID}-000000"])
def test_few_digits_in_a_uuid_are_its_own(code, id_):
    message = Message("m-1", "sms", "+14155552671", f"Your code is {code}")
    assert not repeats(id_, message)
    for words in (f"{id_} {code}", f"{code} {id_}", f"{id_}, for {code}"):
        assert repeats(words, message)


def test_few_digits_in_what_is_only_like_a_uuid_are_known():
    message = Message("m-1", "sms", "+14155552671", "Your code is 7315")
    for words in (UUID[1:], UUID[:-1], f"z{UUID}", f"{UUID}z", UUID.replace("a", "g")):
        assert repeats(words, message)


@pytest.mark.parametrize("text", ["Code 73-15", "7315", "7 3 1 5"])
def test_few_digits_are_known_where_they_stand_alone(text):
    message = Message("m-1", "sms", "+14155552671", text)
    assert repeats("id-73-15", message)
    assert not repeats("a73-15b", message)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("550 5.1.1 <ada.lovelace@example.com>", True),
        ("to=ADA.LOVELACE%40EXAMPLE.COM", True),
        ("example.com has no such mailbox", False),
        ("250 Ok: queued as 0123456789AB", False),
        ("bounce+ada.lovelace=example.com@gw.example", True),
        ("to%3DAda.Lovelace%3Dexample.com", True),
        ("bounce-17+ada.lovelace=example.com", True),
        ("ada.lovelace=example.org", False),
    ],
)
def test_an_address_is_known_in_any_case(words, found):
    assert repeats(words, MAIL) is found


@pytest.mark.parametrize("to", ["ada@bücher.example", "ada@xn--bcher-kva.example"])
@pytest.mark.parametrize("words", ["no Ada@Bücher.example", "no ada@XN--bcher-kva.example here"])
def test_an_address_is_known_with_its_domain_in_letters_and_in_ascii(to, words):
    assert repeats(words, Message("m-1", "email", to, "Hello"))
    assert not repeats(words, Message("m-1", "email", "ada@xn--bcher.example", "Hello"))


@pytest.mark.parametrize(
    ("to", "other"),
    [
        ("ada@straße.example", "ada@xn--strae-oqa.example"),
        ("ada@paral\u00b7lel.example", "ADA@XN--PARALLEL-KOA.EXAMPLE"),
        ("ada\u0663@example.com", "ADA\u0663@EXAMPLE.COM"),
        ("\uff41da@example.com", "ada@example.com"),
        ("stra\u00dfe@example.com", "STRASSE@EXAMPLE.COM"),
        ("ada@stra\u00dfe.example", "ada@strasse.example"),
        ("ada\u2013love@example.com", "ada-love@example.com"),
    ],
)
def test_an_address_is_known_with_signs_that_have_another_form(to, other):
    message = Message("m-1", "email", to, "Hello")
    for words in (f"no user {to} here", f"no user {other} here", f"550 5.1.1 {other}"):
        assert repeats(words, message), words


ORDINARY = (
    "took 1000 ms, the limit is 2500",
    "maintenance 08:00-18:00 UTC",
    "valid from 2026-11-30 18:00:00",
    "the balance is 2,500 USD",
    "checkout-1000",
)


@pytest.mark.parametrize("rest", ["Valid until 10:00", "1,000 points", "24/7", "$2,500.00", "8:00"])
@pytest.mark.parametrize("words", ORDINARY)
def test_times_and_prices_of_a_text_are_no_codes(words, rest):
    message = Message("m-1", "sms", "+14155552671", f"Your code is 482913. {rest}, thank you.")
    assert not repeats(words, message)


@pytest.mark.parametrize(
    ("to", "own"),
    [
        ("+6591234567", "91234567"),  # Singapore: eight digits
        ("+4512345678", "12345678"),
        ("+3541234567", "1234567"),  # Iceland: seven
        ("+376312345", "312345"),
        ("+14155552671", "155552671"),
        ("+4915112345678", "112345678"),
        ("+29051234", "29051234"),  # Saint Helena: five, which stand in many an id
    ],
)
def test_a_number_is_known_without_its_calling_code(to, own):
    assert holds_recipient(f"gw-{own}-1", to)
    assert repeats(f"gw-{own[:3]}-{own[3:]}-1", Message("m-1", "sms", to, "Hello"))
    assert not holds_recipient(f"gw-{own[1:]}", to)


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


@pytest.mark.parametrize(
    ("text", "words"), [("Code 12 34", "id=3132203334 "), ("123 4", "req-0A3132332034z")]
)
def test_few_digits_in_two_groups_are_known_in_hex(text, words):
    assert repeats(words, Message("m-1", "sms", "+14155552671", text))


@pytest.mark.parametrize("code", ["482913", "731504", "K7-XQ9M", "B2-RT4N", "48-2913"])
@pytest.mark.parametrize("padding", [0, 200])
def test_each_text_of_a_template_is_read_for_its_own_code(code, padding):
    message = Message("m-1", "sms", "+14155552671", f"Your code is {code}, for 5 minutes.")
    other = Message("m-1", "sms", "+14155552671", message.text.replace(code, code[:-2] + "55"))
    for words in (code, code.encode().hex(), b64encode(code.encode()).decode()):
        assert repeats(f"{'z' * padding}.{words}", message)
        assert not repeats(f"{'z' * padding}.{words}", other)


@given(words=st.text(max_size=40) | st.text("abcdefABCDEF0123456789+/=%&;#x-", max_size=60))
def test_any_words_can_be_looked_at(words):
    repeats(words, PHONE)


@given(id_=st.uuids().map(str) | st.binary(min_size=16, max_size=16).map(urlsafe_b64encode))
def test_a_random_id_is_kept(id_):
    words = id_ if isinstance(id_, str) else id_.decode()
    for code in ("93482913", "9348 2913", "k7xq9m2a", "a1b2c3d4"):
        assert not repeats(words, Message("m-1", "sms", "+14155552671", f"Your code is {code}"))


def seconds_for(text, words):
    """CPU of one look, the least of several: another process's turn counts for nobody.

    The thread's own: under a limit of CPU, Linux counts that of the process by clock ticks.
    """
    message = Message("m-1", "email", "ada@example.com", text)

    def once():
        re.purge()  # else one that compiles for each number does so once
        begun = time.thread_time()
        repeats(words, message)
        return time.thread_time() - begun

    return min(once() for _ in range(5))


@pytest.mark.parametrize("words", ["req-0000001", "QmFzZTY0-1111-1111-x1A2b3"])
@pytest.mark.parametrize(
    "piece",
    [
        "1",
        "1 ",
        "12 34 ",
        "1.1-",
        "A1-",
        "ABC1 ",
        "a1b2c3 ",
        "123456789 ",
        "\uff11",
        "\u0301\u0316",
    ],
)
def test_the_time_for_a_text_grows_as_the_text_does(piece, words):
    short, long = (f"until 29.11.2026, {piece * (n // len(piece))}" for n in (1_000, 8_000))
    # Eight times as much, or sixty-four where each character is looked at once for every other.
    assert seconds_for(long, words) < 24 * seconds_for(short, words)


def test_the_time_for_words_of_many_codes_is_that_of_one_look():
    # Fourteen runs of base64, each of which may begin at any of four places.
    packed = ".".join(b64encode(f"{number}".encode()).decode() for number in range(123456, 123470))
    digits = " ".join(str(3**8_600)[:4_096])
    assert seconds_for(digits, packed) < 12 * seconds_for(digits, "no such number 1")


@pytest.mark.parametrize("piece", ["1,", "1 ", "1.", "\u249b", "\u2474"])
@pytest.mark.parametrize("text", ["code 1234", "code 2020", "1 1 1 1 1 1 1", "\u249b" * 99])
def test_the_time_for_words_grows_as_they_do(piece, text):
    short, long = (piece * (n // len(piece)) for n in (90, 720))
    assert seconds_for(text, long) < 24 * seconds_for(text, short)


def test_many_numbers_that_stand_in_the_words_too_take_no_longer():
    # Each of them was a regular expression to compile, a millisecond each.
    digits = str(3**300)[:128]
    grouped = " ".join(digits[at : at + 2] for at in range(0, 128, 2))
    many, few = (f"{piece} {'x' * 700}" for piece in (f"{grouped} {grouped[1:]}", "12 34"))
    assert seconds_for(many, "x" + digits) < 100 * seconds_for(few, "x" + digits)


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


@pytest.mark.parametrize("before", range(140, 205, 5))
async def test_what_is_cut_in_two_is_not_told_in_part(box, message, before):
    secret = "canary-key-of-forty-characters-0123456789"
    told = [f"{'x' * before} {one}" for one in (message.to, secret)]
    link = box.link("p", *(Refused(words, code=words[100:]) for words in told))
    link.strike = lambda words: words.replace(secret, "***")
    for _ in told:
        ended = await attempt(link, link.ask(), message, 4.0)
        assert ended.reason in (WITHHELD, f"{'x' * before} ***"[:200])
        assert ended.provider_code in (WITHHELD, f"{'x' * (before - 100)} ***"[:64])


@pytest.mark.parametrize("length", [30, 300, 900])
async def test_what_stands_behind_a_secret_is_looked_at_however_long_that_is(box, message, length):
    secret = "canary" + "y" * length
    words = f"{secret} may not send to {message.to}"
    link = box.link("p", Refused(words, code=words))
    link.strike = lambda words: words.replace(secret, "***")
    ended = await attempt(link, link.ask(), message, 4.0)
    assert (ended.reason, ended.provider_code) == (WITHHELD, WITHHELD)


async def test_an_encoded_address_that_the_cut_goes_through_is_known(box):
    message = Message("m-1", "email", f"{'a1' * 30}@{'b2' * 60}.example", "Hello")
    link = box.link("p", Refused(f"{'x' * 190} {message.to.encode().hex()}"))
    assert (await attempt(link, link.ask(), message, 4.0)).reason == WITHHELD


async def test_a_sign_that_nobody_sees_hides_no_recipient(box):
    message = Message("m-1", "email", "ada.lovelace@example.com", "Hello")
    for sign in ("\u200b", "\u00ad", "\u2060"):
        link = box.link("p", Refused(f"rejected {message.to.replace('@', f'@{sign}')}"))
        assert (await attempt(link, link.ask(), message, 4.0)).reason == WITHHELD


@pytest.mark.parametrize(
    "words", ["PIN\u200b4829 no", "no\u200b4829\u200bwas", "1\u200e\u200f4829\u200f"]
)
async def test_a_sign_that_nobody_sees_hides_no_code(box, words):
    message = Message("m-1", "sms", "+14155552671", "Your code is 4829")
    link = box.link("p", Refused(words, code=words))
    ended = await attempt(link, link.ask(), message, 4.0)
    assert (ended.reason, ended.provider_code) == (WITHHELD, WITHHELD)


async def test_a_code_at_the_end_of_a_line_is_known_in_what_a_provider_says(box):
    message = Message("m-1", "sms", "+14155552671", "Your code is 4829\nDo not share it")
    link = box.link("p", Refused(f"blocked: {message.text}", code="x\n4829\ny"))
    ended = await attempt(link, link.ask(), message, 4.0)
    assert (ended.reason, ended.provider_code) == (WITHHELD, WITHHELD)
