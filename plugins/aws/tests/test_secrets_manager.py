"""`aws-sm`: against moto for what is there, against a stand-in for what goes wrong."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points

import pytest

from sidecar import NoSecret
from sidecar_aws.secrets_manager import SecretsManager, register_secret_sources

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "canary-aws-0001"}
TOKEN = "canary-twilio-0001"
NAME = "otp/twilio"


def source(url, **more):
    return SecretsManager({**KEYS, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": url, **more})


def why(secrets, name=NAME):
    with pytest.raises(NoSecret) as caught:
        secrets.fetch(name, timeout=5.0)
    return caught.value.reason


@pytest.fixture
def answering():
    """A Secrets Manager that says `answer`, a status and an error's code and text."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.headers["X-Amz-Target"], self.headers["Authorization"], body))
            status, code, text = server.answer
            said = json.dumps({"__type": code, "Message": text, "SecretString": TOKEN}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.answer, server.asked = (200, "", ""), asked
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_entry_point_names_the_scheme():
    (found,) = entry_points(group="sidecar.secrets", name="aws-sm")
    assert found.load().register_secret_sources() == register_secret_sources() == [SecretsManager]
    assert SecretsManager.scheme == "aws-sm"


def test_a_secret_by_its_name_and_by_its_arn(moto):
    made = moto.client("secretsmanager").create_secret(Name=NAME, SecretString=TOKEN)
    secrets = source(moto.url)
    assert secrets.fetch(NAME, timeout=5.0) == TOKEN
    assert secrets.fetch(made["ARN"], timeout=5.0) == TOKEN


def test_an_arn_is_asked_in_its_own_region(answering):
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:otp/twilio-AbCdEf"
    assert source(answering.url).fetch(arn, timeout=5.0) == TOKEN
    ((target, authorization, body),) = answering.asked
    assert (target, body) == ("secretsmanager.GetSecretValue", {"SecretId": arn})
    assert "/eu-west-1/secretsmanager/aws4_request" in authorization


def test_a_rotated_secret_is_the_one_that_is_given(moto):
    client, secrets = moto.client("secretsmanager"), source(moto.url)
    client.create_secret(Name=NAME, SecretString=TOKEN)
    assert secrets.fetch(NAME, timeout=5.0) == TOKEN
    client.put_secret_value(SecretId=NAME, SecretString="canary-twilio-0002")
    assert secrets.fetch(NAME, timeout=5.0) == "canary-twilio-0002"


def test_what_is_not_there_is_not_text_or_is_deleted(moto):
    client, secrets = moto.client("secretsmanager"), source(moto.url)
    assert why(secrets) == (
        "is not there, or has no value, in us-east-1: create it, or correct the name"
    )
    client.create_secret(Name="binary", SecretBinary=b"canary-binary")
    assert why(secrets, "binary") == "holds binary data: store it as text (SecretString)"
    client.create_secret(Name=NAME, SecretString=TOKEN)
    client.delete_secret(SecretId=NAME)
    assert why(secrets) == "is marked for deletion: restore it, or name another"


def test_the_environment_that_is_handed_in_says_where_and_as_whom(answering, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "ap-south-1")  # the process does not have the .env yet
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEPROCESS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-process")
    own = source(
        "http://127.0.0.1:1",
        AWS_REGION="eu-central-1",
        AWS_SESSION_TOKEN="canary-session",
        AWS_ENDPOINT_URL_SECRETS_MANAGER=answering.url,
    )
    assert own.fetch(NAME, timeout=5.0) == TOKEN
    authorization = answering.asked[0][1]
    assert f"Credential={KEYS['AWS_ACCESS_KEY_ID']}/" in authorization
    assert "/eu-central-1/secretsmanager/" in authorization
    assert "x-amz-security-token" in authorization


def test_a_profile_of_the_environment(answering, tmp_path):
    (tmp_path / "config").write_text("[profile codes]\nregion = eu-north-1\n")
    (tmp_path / "keys").write_text(
        "[codes]\naws_access_key_id = AKIAOFTHEPROFILE\naws_secret_access_key = canary-profile\n"
    )
    profile = SecretsManager(
        {
            "AWS_PROFILE": "codes",
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "keys"),
            "AWS_ENDPOINT_URL": answering.url,
        }
    )
    assert profile.fetch(NAME, timeout=5.0) == TOKEN
    assert "Credential=AKIAOFTHEPROFILE/" in answering.asked[0][1]
    assert "/eu-north-1/secretsmanager/" in answering.asked[0][1]


REFUSED = {
    "denied": (
        (400, "AccessDeniedException", "User: arn:aws:sts::1:role is not authorized"),
        (
            "must not be read: allow `secretsmanager:GetSecretValue` on "
            "`arn:aws:secretsmanager:us-east-1:<account>:secret:otp/twilio-??????`"
        ),
    ),
    "KMS denied": (
        (400, "AccessDeniedException", "Access to KMS is not allowed"),
        "cannot be decrypted: allow `kms:Decrypt` on its KMS key, in the role and the key",
    ),
    "decryption": (
        (400, "DecryptionFailure", ""),
        "cannot be decrypted: allow `kms:Decrypt` on its KMS key, in the role and the key",
    ),
    "throttled": (
        (400, "ThrottlingException", "Rate exceeded"),
        "cannot be read now: Secrets Manager is throttling; ask again, or less often",
    ),
    "key": (
        (400, "UnrecognizedClientException", "The security token included is invalid"),
        (
            "cannot be read: AWS did not accept the credentials; check AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or the role"
        ),
    ),
    "failed": (
        (500, "InternalServiceError", ""),
        "cannot be read now: Secrets Manager failed; ask again",
    ),
    "other": (
        (400, "InvalidParameterException", "canary-text of AWS"),
        "cannot be read: Secrets Manager refused with InvalidParameterException",
    ),
    "strange": (
        (400, "canary text", ""),
        "cannot be read: Secrets Manager refused with 400",
    ),
}


@pytest.mark.parametrize(("answer", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_to_do_about_a_refusal(answering, answer, reason):
    answering.answer = answer
    assert why(source(answering.url)) == reason
    assert len(answering.asked) <= 2, "its retries are bounded"


def test_a_user_without_the_permission_is_told_which_it_is(moto):
    moto.client("secretsmanager").create_secret(Name=NAME, SecretString=TOKEN)
    iam, statement = moto.client("iam"), {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    iam.create_user(UserName="sidecar")
    key = iam.create_access_key(UserName="sidecar")["AccessKey"]
    keys = {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }

    def put(action):
        policy = {"Version": "2012-10-17", "Statement": [{**statement, "Action": action}]}
        iam.put_user_policy(UserName="sidecar", PolicyName="p", PolicyDocument=json.dumps(policy))

    put("s3:*")
    moto.check_signatures()
    assert why(source(moto.url, **keys)).startswith("must not be read: allow `secretsmanager:Get")
    moto.post("/moto-api/reset-auth", "inf")
    put("secretsmanager:GetSecretValue")
    moto.check_signatures()
    assert source(moto.url, **keys).fetch(NAME, timeout=5.0) == TOKEN


def test_the_resource_is_the_arn_where_the_name_is_one_and_of_the_partition(answering):
    answering.answer = (400, "AccessDeniedException", "")
    arn = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:otp/twilio-AbCdEf"
    assert f"on `{arn}`" in why(source(answering.url), arn)
    told = why(source(answering.url, AWS_REGION="us-gov-west-1"))
    assert "on `arn:aws-us-gov:secretsmanager:us-gov-west-1:<account>:secret:otp" in told


def test_who_has_no_credentials_is_told_of_roles_first():
    assert why(SecretsManager({"AWS_REGION": "us-east-1"})).startswith(
        "cannot be read without AWS credentials: give the service account a role (IRSA or EKS "
    )


def test_who_has_no_region_is_told_so():
    assert why(SecretsManager(KEYS)) == "is in no AWS region: set AWS_REGION, or write its ARN"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"AWS_REGION": "not a region"}, "is in no AWS region: AWS_REGION does not name one"),
        ({"AWS_PROFILE": "none"}, "cannot be read: AWS_PROFILE names no profile that is there"),
        ({"AWS_ENDPOINT_URL": "nowhere"}, "cannot be read: botocore raised ValueError"),
    ],
)
def test_an_environment_that_cannot_be_used(changed, reason):
    assert why(source("http://127.0.0.1:1", **changed)) == reason


def test_an_endpoint_that_nobody_listens_at():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    told = why(source(f"http://127.0.0.1:{port}"))
    assert told.startswith("got no answer from Secrets Manager in us-east-1: check the way there")


@pytest.mark.parametrize("name", ["a b", "otp/{x}", "x" * 513, "arn:aws:s3:::bucket", "caf\xe9"])
def test_a_name_that_cannot_be_one_is_not_asked_for(answering, name):
    assert why(source(answering.url), name).startswith("has a name that Secrets Manager does not")
    assert answering.asked == []


def test_several_threads_share_one_client(answering):
    secrets, found = source(answering.url), []
    threads = [
        threading.Thread(target=lambda: found.append(secrets.fetch(NAME, timeout=5.0)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [TOKEN] * 4
    assert len(secrets._clients) == 1
