"""The contract of every HTTP provider, for each kind, and that importing them costs nothing."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from sidecar.testing import Answer, HttpProviderContract
from sidecar_aws.eum import Eum
from sidecar_aws.ses import Ses
from sidecar_aws.sns import Sns

KEYS = {
    "region": "eu-west-1",
    "access_key_id": "AKIACANARY",
    "secret_access_key": "canary-secret",
    "session_token": "canary-token",
}
KINDS = {"ses", "sns", "eum"}
SNS_XML = (
    b'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>'
    b"<MessageId>94f20ce6-13c5-43a0-9a9e-ca52d816e90b</MessageId></PublishResult>"
    b"<ResponseMetadata><RequestId>f187a3c1</RequestId></ResponseMetadata></PublishResponse>"
)


class TestSes(HttpProviderContract):
    provider_class = Ses
    settings: ClassVar[Mapping[str, Any]] = {**KEYS, "sender": "no-reply@example.org"}
    secrets = ("canary-secret", "canary-token")
    url_setting = "endpoint_url"
    accepted = Answer(200, {"Content-Type": "application/json"}, b'{"MessageId":"0100018f"}')


class TestSns(HttpProviderContract):
    provider_class = Sns
    settings: ClassVar[Mapping[str, Any]] = KEYS
    secrets = ("canary-secret", "canary-token")
    url_setting = "endpoint_url"
    accepted = Answer(200, {"Content-Type": "text/xml"}, SNS_XML)


class TestEum(HttpProviderContract):
    provider_class = Eum
    settings: ClassVar[Mapping[str, Any]] = KEYS
    secrets = ("canary-secret", "canary-token")
    url_setting = "endpoint_url"
    accepted = Answer(
        200, {"Content-Type": "application/x-amz-json-1.0"}, b'{"MessageId":"0b1c3d5e"}'
    )


@pytest.mark.parametrize("kind", [TestSes, TestEum])
@pytest.mark.parametrize(
    "body",
    [
        b'{"MessageId": 7}',
        b'{"MessageId": ""}',
        b'{"MessageId": " "}',
        b'{"MessageId": "%s"}',
    ],
)
async def test_a_strange_id_in_json_is_unknown(kind, body):
    if b"%s" in body:
        body %= b"x" * 5000
    result, _ = await kind().send_to(Answer(200, {}, body))
    assert type(result).__name__ == "Unknown"


@pytest.mark.parametrize("kind", [TestSes, TestEum])
async def test_an_id_beside_an_error_is_unknown(kind):
    named = {"x-amzn-ErrorType": "InternalFailure"}
    within = kind.accepted.body.replace(b"{", b'{"__type": "ThrottlingException", ')
    for answer in (
        Answer(200, named, kind.accepted.body),
        Answer(200, {}, within),
        Answer(500, {}, kind.accepted.body),
    ):
        result, _ = await kind().send_to(answer)
        assert type(result).__name__ == "Unknown", answer


@pytest.mark.parametrize(
    "body",
    [
        SNS_XML.replace(b"PublishResponse", b"ErrorResponse"),
        b"<PublishResponse><!-- %s --></PublishResponse>" % SNS_XML,
        (500, SNS_XML),
    ],
)
async def test_an_id_of_sns_in_an_error_or_a_comment_is_unknown(body):
    status, body = body if isinstance(body, tuple) else (200, body)
    result, _ = await TestSns().send_to(Answer(status, {}, body))
    assert type(result).__name__ == "Unknown"


async def test_an_endless_id_of_sns_is_unknown():
    body = SNS_XML.replace(b"94f20ce6", b"9" * 5000)
    result, _ = await TestSns().send_to(Answer(200, {}, body))
    assert type(result).__name__ == "Unknown"


@pytest.mark.parametrize("module", sorted(KINDS))
def test_importing_and_asking_what_is_missing_loads_no_aws_library_and_no_other_kind(module):
    code = (
        f"import sys; from sidecar_aws import {module} as m\n"
        "(kind,) = m.register_providers()\n"
        "kind.missing(kind.Config(kind=kind.kind, **eval(sys.argv[1])), {})\n"
        "print(sorted({n.partition('.')[0] for n in sys.modules} & {'botocore', 'boto3'}))\n"
        "print(*sorted(n for n in sys.modules if n.startswith('sidecar_aws.')))"
    )
    settings = {"ses": "{'sender': 'a@example.org'}"}.get(module, "{}")
    done = subprocess.run(
        [sys.executable, "-c", code, settings], capture_output=True, text=True, check=True
    )
    libraries, ours = done.stdout.splitlines()
    assert libraries == "[]"
    loaded = {name.partition(".")[2].partition("_")[0] for name in ours.split()}
    assert loaded & KINDS == {module}
