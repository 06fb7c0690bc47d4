"""Ids that nobody can guess, and none twice."""

from __future__ import annotations

import os

import pytest

from sidecar import ids


@pytest.mark.parametrize("size", [1, 6, 8, 5_000])
def test_an_id_has_two_digits_a_byte(size):
    assert len(bytes.fromhex(ids.random_hex(size))) == size


def test_no_id_comes_twice_over_many_blocks():
    made = [ids.random_hex(8 - number % 3) for number in range(20_000)]
    assert len(set(made)) == len(made)


def test_every_byte_of_the_system_is_given_away_once(monkeypatch):
    ids.random_hex(2**13)  # leaves nothing of a block that was begun
    read = []

    def urandom(size, real=os.urandom):
        read.append(real(size))
        return read[-1]

    monkeypatch.setattr(os, "urandom", urandom)
    given = "".join(ids.random_hex(8) for _ in range(1_500))
    assert given == b"".join(read).hex()[: len(given)]
    assert len(read) < 4
