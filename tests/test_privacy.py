"""Masks and keyed hashes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.privacy import Fingerprint, mask


@pytest.mark.parametrize(
    ("recipient", "masked"),
    [
        ("+14155554567", "+1******4567"),
        ("jane@example.com", "j***@e***.com"),
        ("j@x.co.uk", "j***@x***.uk"),
        ("root@localhost", "r***@***"),
        ("+12345678", "+1***5678"),
        ("+1234567", "***"),
        ("", "***"),
    ],
)
def test_masks(recipient, masked):
    assert mask(recipient) == masked


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_a_masked_number_hides_at_least_two_digits_and_half_of_a_real_one(number):
    shown = sum(c.isdigit() for c in mask(number))
    assert len(number) - 1 - shown >= 2
    assert shown <= 5


def test_a_hash_needs_its_key_and_its_purpose():
    one, other = Fingerprint(b"a" * 32), Fingerprint(b"b" * 32)
    assert one.of("recipient", "+1") == one.of("recipient", b"+1")
    assert one.of("recipient", "+1") != other.of("recipient", "+1")
    assert one.of("recipient", "+1") != one.of("key", "+1")
    assert len(one.of("key", "x")) == 32


def test_the_key_is_made_once_for_its_owner_alone(tmp_path):
    log = str(tmp_path / "data" / "log.db")
    one = Fingerprint.beside(log).of("key", "x")
    assert Fingerprint.beside(log).of("key", "x") == one
    assert (tmp_path / "data" / "log.db.key").stat().st_mode & 0o777 == 0o600
    assert Fingerprint.beside(":memory:").of("key", "x") != one


def test_a_key_that_was_cut_off_is_not_used(tmp_path):
    (tmp_path / "log.db.key").write_bytes(b"")
    with pytest.raises(OSError, match="32 bytes"):
        Fingerprint.beside(str(tmp_path / "log.db"))
