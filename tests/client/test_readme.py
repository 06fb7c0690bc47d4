"""The example in the README runs against a real sidecar, as it stands there."""

from __future__ import annotations

import re

import pytest

import sidecar.client
from harness.leaks import CODE, PHONE
from harness.providers import config, twilio
from harness.standins import twilio_accepts
from sidecar.client import BadRequest, Client


@pytest.fixture
def example(request, start, vendor):
    """A sidecar, its provider, and the function of the README."""
    (text,) = re.findall(
        r"```python\n(.*?)```", (request.config.rootpath / "README.md").read_text(), re.DOTALL
    )
    stand_in = vendor(twilio_accepts)
    where = start(config("sms", twilio(stand_in.url))).where
    assert Client().__repr__() in repr(Client("http://127.0.0.1:8780")), "the default is told"
    names: dict = {}
    exec(text.replace("http://127.0.0.1:8780", where), names)
    yield stand_in, names["send_code"], names["sidecar"]
    names["sidecar"].close()


def test_the_example_tells_the_user_what_is_true(example):
    stand_in, send_code, _ = example
    sent = send_code(PHONE, CODE, "login-1")
    assert sent == "We have sent you a code."
    assert send_code(PHONE, CODE, "login-1") == sent
    assert len(stand_in.requests) == 1
    stand_in.answer = lambda request: None
    assert send_code(PHONE, CODE, "login-2") == sent
    stand_in.answer = lambda request: (503, {}, b"")
    assert "again" in send_code(PHONE, CODE, "login-3")
    refusal = {"Content-Type": "application/json"}, b'{"code": 21211, "message": "no"}'
    stand_in.answer = lambda request: (400, *refusal)
    assert "cannot reach" in send_code(PHONE, CODE, "login-4")
    assert "check the number" in send_code(PHONE[1:], CODE, "login-5")


def test_a_number_without_its_plus_sign_is_told_in_words(example):
    with pytest.raises(BadRequest) as caught:
        example[2].send(channel="sms", to=PHONE[1:], text=f"Your code is {CODE}")
    assert "a plus sign, the country's code" in caught.value.detail


def test_the_contract_is_in_the_docstring():
    rules = re.findall(r"^([1-9])\. ", sidecar.client.__doc__, re.MULTILINE)
    assert rules == ["1", "2", "3", "4", "5", "6"]
    named = set(re.findall(r"`([A-Z]\w+)`", sidecar.client.__doc__))
    assert named <= set(sidecar.client.__all__)


@pytest.mark.parametrize("name", sidecar.client.__all__)
def test_every_name_can_be_imported(name):
    assert getattr(sidecar.client, name).__doc__
    assert sidecar.client.__all__ == sorted(sidecar.client.__all__)
