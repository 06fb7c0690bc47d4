"""Botocore's own signer as the oracle: whatever is signed, header for header the same."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar import Message
from sidecar_aws.access import Access, Keys
from sidecar_aws.eum import ID, Eum, EumConfig
from sidecar_aws.ses import TAG, Ses, SesConfig
from sidecar_aws.ses_account import ACCOUNT, IDENTITIES
from sidecar_aws.signing import CALLS, Signer
from sidecar_aws.sns import Sns, SnsConfig
from sidecar_aws.wire import _FORM

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0
KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
ENDPOINTS = [
    "https://email.eu-west-1.amazonaws.com",
    "https://SNS.us-east-1.amazonaws.com:443",
    "http://127.0.0.1:5000",
    "http://[::1]:80",
    "https://vpce-1.email.eu-west-1.vpce.amazonaws.com:8443/stage/./one//two/../x",
]
printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=300)
paths = st.sampled_from(["/", "/v2/email/outbound-emails", ACCOUNT]) | printable.map(
    lambda name: IDENTITIES + quote(name, safe="~!$&'()*+,;=:@")
)


class Clock:
    """Unix time that a test sets; botocore reads the same."""

    seconds = NOON

    def __call__(self):
        return self.seconds

    def naive(self):
        return datetime.fromtimestamp(self.seconds, UTC).replace(tzinfo=None)


@pytest.fixture(scope="module")
def clock():
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr("botocore.auth.get_current_datetime", clock.naive)
        yield clock


def by_botocore(access, service, method, url, content_type, body, target=None):
    keys = access.keys
    named = {"Content-Type": content_type, "X-Amz-Target": target}
    request = AWSRequest(
        method=method,
        url=url,
        headers={name: value for name, value in named.items() if value},
        data=body,
    )
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token)
    SigV4Auth(credentials, service, access.region).add_auth(request)
    return dict(request.headers.items())


@settings(max_examples=400, deadline=None)
@given(
    at=st.integers(0, 4_000_000_000),
    service=st.sampled_from(["ses", "sns", "sms-voice"]),
    region=st.from_regex(r"[a-z0-9-]{1,63}", fullmatch=True),
    keys=st.builds(Keys, printable, printable, st.none() | printable | st.just("two  words ")),
    endpoint=st.sampled_from(ENDPOINTS),
    path=paths,
    request=st.sampled_from([("GET", None), ("POST", "application/json"), ("POST", _FORM)]),
    body=st.binary(max_size=300),
    target=st.none() | printable,
)
def test_every_header_is_botocores(
    at, service, region, keys, endpoint, path, request, body, target, clock
):
    clock.seconds = at
    access = Access(endpoint, region, keys)
    method, content_type = request
    asked = (method, endpoint + path, content_type, body, target)
    assert Signer(service, clock).sign(access, *asked) == by_botocore(access, service, *asked)


def steps():
    """A life of one signer: time goes on (or back), and keys or the region are renewed."""
    access = st.builds(
        Access,
        st.just(ENDPOINTS[0]),
        st.sampled_from(["eu-west-1", "us-east-1"]),
        st.builds(
            Keys, st.just("AKID"), st.sampled_from(["one", "two"]), st.sampled_from([None, "t"])
        ),
    )
    return st.lists(st.tuples(st.sampled_from([0.0, 1.0, 0.9 * DAY, DAY, -DAY]), access))


@settings(max_examples=200, deadline=None)
@given(life=steps())
@example(life=[(0.0, Access(ENDPOINTS[0], "eu-west-1", KEYS))] * 2)
def test_a_kept_key_is_never_an_old_one(life, clock):
    signer, url = Signer("ses", clock), f"{ENDPOINTS[0]}/"
    for pause, access in life:
        clock.seconds = max(0.0, clock.seconds + pause)
        signed = signer.sign(access, "POST", url, None, b"x")
        assert signed == by_botocore(access, "ses", "POST", url, None, b"x")


def test_what_is_kept_of_one_call_is_of_no_other(clock):
    signer, other = Signer("ses", clock), Signer("sns", clock)
    held = [Keys("AKID", "one", "canary-token"), Keys("AKID", "two")]
    calls = [
        (method, f"{endpoint}/{number}", content_type, b"x", target)
        for number in range(CALLS)  # of each kind, so that more are made than are kept
        for endpoint in ENDPOINTS[:2]
        for method, content_type, target in [
            ("GET", None, None), ("POST", "application/json", None), ("POST", None, "T.One"),
        ]
    ]  # fmt: skip
    for at, keys in [(NOON, held[0]), (NOON + DAY / 2, held[0]), (NOON + DAY / 2, held[1])]:
        clock.seconds, access = at, Access(ENDPOINTS[0], "eu-west-1", keys)
        for call in calls + calls[-3:] * 2:  # those are at hand
            signed = signer.sign(access, *call)
            assert signed == by_botocore(access, "ses", *call)
            signed.clear()  # the caller's own
            assert other.sign(access, *call) == by_botocore(access, "sns", *call)
        assert len(signer._day.calls) <= CALLS


def test_the_key_of_a_day_is_derived_once_and_anew_after_midnight_or_a_renewal(monkeypatch, clock):
    derived = []
    derive = Signer._derive
    monkeypatch.setattr(
        Signer, "_derive", lambda self, *day: derived.append(day) or derive(self, *day)
    )
    signer, access = Signer("ses", clock), Access(ENDPOINTS[0], "eu-west-1", KEYS)
    counts = []
    for at, used in [
        (NOON, access),
        (NOON + 1, access),
        (NOON + DAY / 2, access),
        (NOON + DAY / 2, Access(ENDPOINTS[0], "eu-west-1", KEYS)),
    ]:
        clock.seconds = at
        signer.sign(used, "GET", f"{ENDPOINTS[0]}/", None, b"")
        counts.append(len(derived))
    assert counts == [1, 1, 2, 3]


def test_no_secret_prints():
    signer = Signer("ses", lambda: NOON)
    keys = Keys("AKIDEXAMPLE", "canary-secret", "canary-token")
    signer.sign(Access(ENDPOINTS[0], "eu-west-1", keys), "GET", f"{ENDPOINTS[0]}/", None, b"")
    assert "canary" not in repr(signer._day)
    assert "canary" not in repr(list(signer._day.calls.values()))


@settings(max_examples=200, deadline=None)
@given(
    to=words,
    text=st.text(max_size=200),
    html=st.none() | st.text(max_size=50),
    subject=st.none() | words.filter(lambda s: not set(s) & set("\u2028\u2029")),
    chosen=st.none() | st.just("codes"),
)
def test_the_body_for_ses_is_that_of_json_dumps(to, text, html, subject, chosen):
    config = SesConfig(kind="ses", sender="Öl <otp@example.org>", configuration_set=chosen)
    message = Message("m-1", "email", to, text, subject=subject, html=html)
    body = {"Text": {"Data": text, "Charset": "UTF-8"}}
    if html is not None:
        body["Html"] = {"Data": html, "Charset": "UTF-8"}
    call = {
        "FromEmailAddress": config.sender,
        "Destination": {"ToAddresses": [to]},
        "Content": {
            "Simple": {"Subject": {"Data": subject or "", "Charset": "UTF-8"}, "Body": body}
        },
        "EmailTags": [{"Name": TAG, "Value": "m-1"}],
        **({"ConfigurationSetName": chosen} if chosen else {}),
    }
    assert Ses("ses", config)._request(message) == json.dumps(call)


@settings(max_examples=200, deadline=None)
@given(to=words, text=words.filter(bool), sender=st.none() | st.just("Own"))
def test_the_form_for_sns_is_that_of_urlencode(to, text, sender):
    config = SnsConfig(kind="sns", sender_id="Example")
    extra = {"sns": {"sender_id": sender}} if sender else {}
    form = Sns("sns", config)._form(Message("m", "sms", to, text, extra=extra))
    fields = dict(parse_qsl(form, keep_blank_values=True))
    assert (fields["PhoneNumber"], fields["Message"]) == (to, text)
    assert fields["MessageAttributes.entry.2.Value.StringValue"] == sender or "Example"
    assert form == urlencode(fields)


@settings(max_examples=200, deadline=None)
@given(
    to=words,
    text=st.text(max_size=200).filter(str.strip),
    life=st.none() | st.floats(0, 1e6),
    pool=st.none() | st.just("pool-1"),
)
def test_the_body_for_eum_is_that_of_json_dumps(to, text, life, pool):
    config = EumConfig(kind="eum", configuration_set="codes", max_price="0.05")
    extra = {"eum": {"origination_identity": pool}} if pool else {}
    message = Message("m-1", "sms", to, text, expires_in=life, extra=extra)
    call = {
        "DestinationPhoneNumber": to,
        "MessageBody": text,
        **({"OriginationIdentity": pool} if pool else {}),
        "MessageType": "TRANSACTIONAL",
        "ConfigurationSetName": "codes",
        "MaxPrice": "0.05000",
        **({} if life is None else {"TimeToLive": max(5, min(int(life), 259_200))}),
        "Context": {ID: "m-1"},
    }
    assert Eum("eum", config)._request(message) == json.dumps(call)
