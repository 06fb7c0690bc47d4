"""Books on a clock turned by hand, and the alerts they gave."""

import pytest

from money.helpers import Desk, moment
from sidecar.money.books import Books
from sidecar.testing import ManualClock


@pytest.fixture
def clock():
    return ManualClock(moment("2026-11-10T12:00"))


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def books(clock, desk):
    return Books(clock, desk)
