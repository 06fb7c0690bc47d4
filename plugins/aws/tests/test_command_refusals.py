"""`otp-sidecar aws` where AWS says no, cannot be reached, or is not told whose account it is."""

import json

import pytest

from sidecar.testing import Answer, stub_server

SECRET = "canary-aws-secret-0001"
ACCOUNT = {
    "EnforcementStatus": "HEALTHY",
    "ProductionAccessEnabled": False,
    "SendingEnabled": True,
    "SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 7.0},
}
ASK = ("production-access", "--request", "--use-case", "Login codes", "--contact", "a@example.com")
REQUEST = (*ASK, "--website", "https://example.com")
SET = ("sns", "spend-limit", "900", "--yes")
VERIFY = ("sesv2", "verify-sender", "a@example.com", "--yes")


@pytest.mark.parametrize(
    ("asked", "error", "code", "words"),
    [
        (SET, ("InvalidParameter",), 1, "above the account's ceiling"),
        (SET, ("AuthorizationError", 403), 78, "the IAM action sns:SetSMSAttributes"),
        (SET, ("Throttled", 429), 69, "wait a moment"),
        (SET, ("InvalidClientTokenId", 403), 78, "does not know these credentials"),
        (SET, ("InternalError", 500), 69, "AWS failed (InternalError)"),
        (VERIFY, ("AccessDeniedException", 403), 78, "ses:CreateEmailIdentity"),
        (
            VERIFY,
            ("AccessDeniedException", 403, "with an explicit deny in a policy"),
            78,
            "denies ses:CreateEmailIdentity explicitly",
        ),
        (VERIFY, ("TooManyRequestsException", 429), 69, "wait a moment"),
        (VERIFY, ("LimitExceededException",), 1, "delete some first"),
        (VERIFY, ("BadRequestException", 400, "Bad \x1b[2Jname"), 1, "Bad  [2Jname"),
        (VERIFY, ("SignatureDoesNotMatch", 403), 78, "copy it anew"),
        (VERIFY, ("ExpiredTokenException", 403), 78, "log in again"),
    ],
)
async def test_a_refusal_is_a_sentence_to_act_on(says, against, asked, error, code, words):
    service, *arguments = asked
    done, requests = await against([says.refused(*error)[service]], *arguments)
    assert (done.returncode, done.stdout, len(requests)) == (code, "", 1)
    assert words in done.stderr.splitlines()[-1]


async def test_a_second_request_for_production_access_says_where_the_first_one_is(says, against):
    answers = [says.told(ACCOUNT), says.refused("ConflictException", 409)["sesv2"]]
    done, _ = await against(answers, *REQUEST, "--yes")
    assert done.returncode == 1
    assert "see its case in the AWS Support Center" in done.stderr


@pytest.mark.parametrize(
    "option",
    [("--website", "https://example.com"), ("--use-case", "Codes"), ("--contact", "a@example.com")],
)
async def test_what_is_said_for_a_request_is_not_ignored_without_one(against, option):
    done, requests = await against([], "production-access", *option)
    assert (done.returncode, done.stdout, len(requests)) == (2, "", 0)
    assert "for --request: add it" in done.stderr


@pytest.mark.parametrize("answer", [Answer(200, {}, b"<html>"), Answer(200), Answer(fault="eof")])
async def test_what_does_not_speak_like_aws_is_unavailable(against, answer):
    for command in ("production-access", "quota", "sender-status"):
        done, _ = await against([answer], command)
        assert done.returncode == 69, done.stderr


async def test_a_change_that_got_no_answer_may_have_been_made(against):
    done, requests = await against([Answer(fault="eof")], "spend-limit", "5", "--yes")
    assert (done.returncode, len(requests)) == (69, 1)
    assert "may have made the change or not" in done.stderr


# Whose account it is


async def test_without_a_file_the_environment_says_whose_account_it_is(says, run):
    async with stub_server(says.limit(3)) as stub:
        keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": SECRET}
        place = {"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_SNS": stub.url}
        done = await run("spend-limit", "--json", **keys, **place)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["region"] == "eu-west-1"
        assert "/eu-west-1/sns/aws4_request" in stub.requests[0].headers["authorization"]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "no AWS region"),
        ({"AWS_REGION": "us-east-1"}, "no AWS credentials"),
        ({"AWS_REGION": "us east"}, "not written like eu-west-1"),
        ({"AWS_REGION": "us-east-1", "AWS_PROFILE": "nobody"}, "a profile that does not exist"),
        ({"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIA"}, "incomplete"),
    ],
)
async def test_what_lacks_for_a_call_is_said(run, environ, words):
    done = await run("spend-limit", **environ)
    assert (done.returncode, done.stdout) == (78, "")
    assert words in done.stderr


async def test_a_role_that_may_not_be_assumed_is_not_the_calls_fault(says, tmp_path, run):
    profiles = tmp_path / "config"
    keys = f"aws_access_key_id = AKIA\naws_secret_access_key = {SECRET}\n"
    role = "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n"
    profiles.write_text(f"[profile base]\n{keys}{role}")
    async with stub_server(says.refused("AccessDenied", 403)["sns"]) as stub:
        profile = {"AWS_CONFIG_FILE": str(profiles), "AWS_PROFILE": "role"}
        place = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": stub.url}
        done = await run("spend-limit", **profile, **place)
    assert done.returncode == 78
    assert done.stderr.startswith("AssumeRole: the AWS role or session was refused (AccessDenied)")


async def test_a_region_that_does_not_exist_is_said(run):
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": SECRET}
    done = await run("spend-limit", AWS_REGION="eu-wset-1", **keys)
    assert done.returncode == 78
    assert "did you mean `eu-west-1`?" in done.stderr


async def test_the_provider_that_is_named_is_used(says, write, run):
    async with stub_server(says.limit(1)) as first, stub_server(says.limit(2)) as second:
        place = f"region: eu-west-1, endpoint_url: '{second.url}', {says.keys}"
        write(first.url, f"  other: {{kind: sns, {place}}}\n")
        assert (await run("spend-limit")).stdout == "1 USD\n"
        assert (await run("spend-limit", "--provider", "other")).stdout == "2 USD\n"
        named = await run("spend-limit", OTP_SIDECAR_PROVIDER="other")
        assert named.stdout == "2 USD\n"
        by_ses = await run("spend-limit", "--provider", "ses")
        assert by_ses.stdout == "1 USD\n", "what stands in for AWS serves both"
        wrong = await run("spend-limit", "--provider", "nobody")
        assert (wrong.returncode, wrong.stdout) == (78, "")
        assert "of kind sns or ses: ses, sns, other" in wrong.stderr


async def test_an_optional_provider_that_lacks_a_variable_is_not_the_account(tmp_path, run):
    (tmp_path / "providers.yaml").write_text(
        "providers: {sns: {region: '${NOWHERE}', optional: true}, console: {}}\n"
        "chains: {sms: [sns, console]}\n"
    )
    done = await run("spend-limit", "--provider", "sns")
    assert done.returncode == 78
    assert "`sns` lacks NOWHERE" in done.stderr
    for command in ("spend-limit", "quota", "sender-status"):
        done = await run(command)
        assert done.returncode == 78
        assert "no AWS region: set AWS_REGION" in done.stderr
        assert "in the environment or in .env: `sns` lacks NOWHERE" in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ("verify-sender", "nonsense"),
        ("verify-sender",),
        ("spend-limit", "a lot"),
        ("spend-limit", "--", "-1"),
        ASK,
        (*ASK, "--website", "example.com"),
        ("nonsense",),
    ],
)
async def test_a_slip_at_the_keyboard_is_2(run, wrong):
    done = await run(*wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: " in done.stderr
