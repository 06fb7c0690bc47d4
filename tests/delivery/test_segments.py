"""Parts of an SMS: known texts, and a second way of counting that must agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.delivery.segments import Segments, count_segments

# The default alphabet of 3GPP TS 23.038, row by row of its table, without the escape.
TABLE = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
EXTENSION_TABLE = "\f^{}\\[~]|€"
GSM, UCS = "GSM-7", "UCS-2"


def test_the_alphabets_have_their_size():
    assert len(set(TABLE)) == 127
    assert len(set(EXTENSION_TABLE)) == 10


@pytest.mark.parametrize("character", TABLE)
def test_a_character_of_the_alphabet_costs_one_septet(character):
    assert count_segments(character) == Segments(GSM, 1, 1)


@pytest.mark.parametrize("character", EXTENSION_TABLE)
def test_a_character_of_the_extension_costs_two(character):
    assert count_segments(character) == Segments(GSM, 2, 1)


@pytest.mark.parametrize(
    "character", ["ç", "`", "ё", "\t", "\x1b", "\u2019", "\u2013", "日", "\u00a0", "\x00"]
)
def test_any_other_character_makes_the_text_ucs_2(character):
    assert count_segments("a" + character) == Segments(UCS, 2, 1)


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", GSM, 0, 1),
        ("Your code is 482913", GSM, 19, 1),
        ("a" * 160, GSM, 160, 1),
        ("a" * 161, GSM, 161, 2),
        ("a" * 306, GSM, 306, 2),
        ("a" * 307, GSM, 307, 3),
        ("a" * 459, GSM, 459, 3),
        ("a" * 460, GSM, 460, 4),
        ("€" * 80, GSM, 160, 1),
        ("a" + "€" * 80, GSM, 161, 2),
        ("€" * 152, GSM, 304, 2),
        ("€" * 153, GSM, 306, 3),  # 76 to a part: the escape is not parted from its character
        ("a" * 152 + "€" + "a" * 152, GSM, 306, 3),
        ("日" * 70, UCS, 70, 1),
        ("日" * 71, UCS, 71, 2),
        ("日" * 134, UCS, 134, 2),
        ("日" * 135, UCS, 135, 3),
        ("😀" * 35, UCS, 70, 1),
        ("😀" * 36, UCS, 72, 2),
        ("😀" * 66, UCS, 132, 2),
        ("😀" * 67, UCS, 134, 3),  # 33 to a part: a surrogate pair is not split
        ("a" * 66 + "😀" + "a" * 3, UCS, 71, 2),
        ("a" * 159 + "ё", UCS, 160, 3),
    ],
)
def test_known_texts(text, encoding, units, count):
    assert count_segments(text) == Segments(encoding, units, count)


def split(text):
    """The parts themselves, by cutting: as many whole characters as fit, again and again."""
    if all(c in TABLE + EXTENSION_TABLE for c in text):
        encoding, whole, joined = GSM, 160, 153

        def size(part):
            return len(part) + sum(part.count(c) for c in EXTENSION_TABLE)
    else:
        encoding, whole, joined = UCS, 70, 67

        def size(part):
            return len(part.encode("utf-16-be", "surrogatepass")) // 2

    if size(text) <= whole:
        return encoding, size(text), [text]
    parts, rest = [], text
    while rest:
        cut = min(joined, len(rest))
        while size(rest[:cut]) > joined:
            cut -= 1
        parts.append(rest[:cut])
        rest = rest[cut:]
    return encoding, size(text), parts


gsm = st.text(st.sampled_from("abcé\n" + "€" * 3 + "{}"), max_size=700)
ucs = st.text(st.sampled_from("ab日😀😀é"), max_size=300)


@given(st.one_of(gsm, ucs, st.text(max_size=200)))
def test_cutting_the_text_gives_as_many_parts(text):
    encoding, units, parts = split(text)
    assert "".join(parts) == text
    assert count_segments(text) == Segments(encoding, units, len(parts))
