"""Signatures, against the specification's own vector and a second implementation."""

from __future__ import annotations

import base64
import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.webhooks import KEY, OLD_KEY, secret_of, verified
from sidecar.alerts.signing import key_of, sign

# Of the test suites of the reference libraries ("sign function works").
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNED = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_vector():
    assert sign([key_of(SECRET)], *SIGNED) == SIGNATURE


def test_every_key_signs():
    other = bytes(range(32))
    both = sign([key_of(SECRET), other], *SIGNED).split(" ")
    assert both[0] == SIGNATURE
    assert both[1] == sign([other], *SIGNED) != SIGNATURE


@given(key=st.binary(min_size=24, max_size=64), moment=st.integers(0, 2**40), text=st.text())
def test_a_second_implementation_verifies_it(key, moment, text):
    body = b'{"type": "t", "timestamp": "x", "data": %s}' % json.dumps(text).encode()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(moment),
        "webhook-signature": sign([bytes(32), key_of(secret_of(key))], "msg_1", moment, body),
    }
    assert verified(headers, body, key)["data"] == text


def test_the_example_in_the_guide_verifies_it(request):
    guide = (request.config.rootpath / "docs/operations.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    room = {}
    exec(example, room)
    body, now = b'{"type": "t"}', int(time.time())

    def headers(moment, *keys):
        signature = sign(keys, "msg_1", moment, body)
        return {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(moment),
            "webhook-signature": signature,
        }

    secret = secret_of(KEY)
    assert room["verify"](headers(now, OLD_KEY, KEY), body, secret) == {"type": "t"}
    with pytest.raises(ValueError, match="not signed"):
        room["verify"](headers(now, OLD_KEY), body, secret)
    with pytest.raises(ValueError, match="not signed"):
        room["verify"](headers(now, KEY), body + b" ", secret)
    with pytest.raises(ValueError, match="too old"):
        room["verify"](headers(now - 400, KEY), body, secret)


def test_padding_may_be_missing():
    key = bytes(range(25))
    assert key_of(secret_of(key).rstrip("=")) == key


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "must begin with `whsec_`"),
        ("correct horse battery staple", "must begin with `whsec_`"),
        (SECRET.removeprefix("whsec_"), "must begin with `whsec_`"),
        ("whsk_" + SECRET, "must begin with `whsec_`"),
        ("whsec_", "must be of 24 to 64 bytes"),
        ("whsec_*" + SECRET, "must be base64"),
        ("whsec_ " + SECRET, "must be base64"),
        ("whsec_\u00e4" + SECRET, "must be base64"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "must be of 24 to 64 bytes"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "must be of 24 to 64 bytes"),
    ],
)
def test_what_is_no_secret(secret, why):
    with pytest.raises(ValueError, match=why) as caught:
        key_of(secret)
    assert not secret.strip("whsec_*") or secret not in str(caught.value)
