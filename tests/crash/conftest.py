"""Fixtures of the crash tests: one fault daemon for a module, and sidecars that die."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faultd.client import Faultd
from harness.fixtures import environ, start

__all__ = ["environ", "start"]  # fixtures, found by their names

SPARES = {"sms": "spare_sms", "email": "spare_email"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faultd]:
    """One provider of each kind that crashes are tried with, and a spare for each channel."""
    with Faultd(
        tmp_path_factory.mktemp("faultd"),
        twilio="twilio",
        sendgrid="sendgrid",
        ses="ses",
        smtp="smtp",
        spare_sms="twilio",
        spare_email="sendgrid",
    ) as running:
        yield running


@pytest.fixture
def faultd(daemon: Faultd) -> Iterator[Faultd]:
    yield daemon
    daemon.heal()
