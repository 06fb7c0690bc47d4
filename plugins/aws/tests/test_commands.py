"""`otp-sidecar aws` as a person runs it: against moto, and a stand-in for what moto lacks."""

import asyncio
import json
import os
import pty
import subprocess
import sys

import pytest

from sidecar.testing import Answer, stub_server

SECRET = "canary-aws-secret-0001"
KEYS = f"access_key_id: AKIAIOSFODNN7EXAMPLE, secret_access_key: {SECRET}, allow_private: true"
ACCOUNT = {
    "EnforcementStatus": "HEALTHY",
    "ProductionAccessEnabled": False,
    "SendingEnabled": True,
    "SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 7.0},
}
ASK = ("production-access", "--request", "--use-case", "Login codes", "--contact", "a@example.com")
REQUEST = (*ASK, "--website", "https://example.com")


def told(document):
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())


def refused(code, status=400, message="no"):
    """As both protocols say it: SES v2 in a header, SNS in XML."""
    xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    headers = {"x-amzn-errortype": code, "Content-Type": "application/json"}
    return {
        "sesv2": Answer(status, headers, json.dumps({"message": message}).encode()),
        "sns": Answer(status, {"Content-Type": "text/xml"}, f"{xml}</ErrorResponse>".encode()),
    }


def sns(action, inside=""):
    body = f"<{action}Response><{action}Result>{inside}</{action}Result></{action}Response>"
    return Answer(200, {"Content-Type": "text/xml"}, body.encode())


def limit(value):
    entry = f"<entry><key>MonthlySpendLimit</key><value>{value}</value></entry>"
    return sns("GetSMSAttributes", f"<attributes>{entry}</attributes>")


@pytest.fixture
def write(tmp_path):
    def put(url, more=""):
        place = f"region: us-east-1, endpoint_url: '{url}', {KEYS}"
        (tmp_path / "providers.yaml").write_text(
            f"providers:\n  ses: {{{place}, sender: 'Codes <codes@example.com>'}}\n"
            f"  sns: {{{place}}}\n{more}chains: {{email: [ses], sms: [sns]}}\n"
        )

    return put


@pytest.fixture
def run(tmp_path):
    """One command to its end, in a thread: the stand-in answers meanwhile."""

    def blocking(*arguments, stdin=subprocess.DEVNULL, **environ):
        kept = {name: os.environ[name] for name in ("PATH", "HOME")}
        return subprocess.run(
            [sys.executable, "-m", "sidecar", "aws", *arguments],
            cwd=tmp_path,
            env={**kept, "AWS_EC2_METADATA_DISABLED": "true", **environ},
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def command(*arguments, **more):
        done = await asyncio.to_thread(blocking, *arguments, **more)
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return command


@pytest.fixture
def against(write, run):
    """The command against a stand-in that gives these answers; what it was asked comes second."""

    async def command(answers, *arguments, **more):
        async with stub_server(*answers) as stub:
            write(stub.url)
            return await run(*arguments, **more), stub.requests

    return command


# moto: what it knows


async def test_a_sender_is_asked_for_and_its_status_is_told(moto, write, run):
    write(moto.url)
    unknown = await run("sender-status")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "codes@example.com is not known" in unknown.stderr
    done = await run("verify-sender", "codes@example.com", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["created"] is True
    plan = done.stderr.splitlines()
    assert plan[0].startswith("This calls SES v2 CreateEmailIdentity in us-east-1 (http://127")
    assert plan[1:3] == [
        "with the credentials of the provider `ses`:",
        "  EmailIdentity: codes@example.com",
    ]
    made = await asyncio.to_thread(moto.client("sesv2").list_email_identities)
    assert [one["IdentityName"] for one in made["EmailIdentities"]] == ["codes@example.com"]
    status = await run("sender-status", "--json", "codes@example.com")
    assert json.loads(status.stdout)["identities"][0]["identity"] == "codes@example.com"


async def test_the_spend_limit_is_set_and_read(moto, write, run):
    write(moto.url)
    never = await run("spend-limit", "--json")
    assert json.loads(never.stdout) == {
        "region": "us-east-1",
        "monthly_spend_limit_usd": None,
        "changed": False,
    }
    done = await run("spend-limit", "50", OTP_SIDECAR_YES="1")
    assert (done.returncode, done.stdout) == (0, "50 USD\n")
    assert '  attributes: {"MonthlySpendLimit": "50"}' in done.stderr.splitlines()
    assert (await run("spend-limit")).stdout == "50 USD\n"


async def test_what_moto_does_not_know_is_no_traceback(moto, write, run):
    write(moto.url)
    seen = await run("quota", "--json")
    assert seen.returncode == 69
    assert json.loads(seen.stdout)["unseen"].keys() == {"ses.account", "sns.sandbox"}
    assert "GetAccount: the endpoint does not know this call" in seen.stderr


# A person is asked


@pytest.mark.parametrize(
    "change", [("verify-sender", "a@example.com"), ("spend-limit", "9"), REQUEST]
)
async def test_without_a_terminal_and_without_yes_nothing_is_changed(against, change):
    done, requests = await against([told(ACCOUNT)], *change)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("nothing was changed: there is no terminal")
    assert "--yes" in done.stderr
    assert [r.method for r in requests] == ["GET"] * (change == REQUEST)


@pytest.mark.parametrize(("answer", "code", "calls"), [(b"y\n", 0, 1), (b"n\n", 1, 0)])
async def test_at_a_terminal_a_person_says_yes_or_no(against, hand_over, answer, code, calls):
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    try:
        done, requests = await against([sns("SetSMSAttributes")], "spend-limit", "9", stdin=theirs)
    finally:
        os.close(theirs)
        os.close(ours)
    hand_over(answer)
    assert (done.returncode, len(requests)) == (code, calls)
    assert "Go on? [y/N]" in done.stderr


# What AWS says


async def test_an_identity_that_is_there_is_no_error(against):
    there = refused("AlreadyExistsException")["sesv2"]
    verified = [there, told({"VerifiedForSendingStatus": True})]
    done, _ = await against(verified, "verify-sender", "a@example.com", "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)["verified"]) == (0, True)
    assert "a@example.com is already verified" in done.stderr
    waiting = [there, told({"VerifiedForSendingStatus": False})]
    done, _ = await against(waiting, "verify-sender", "a@example.com", "--yes")
    assert done.returncode == 0
    assert "AWS was asked before, and waits: open the link" in done.stderr


async def test_a_domain_gets_the_records_for_its_dns(against):
    dkim = {"Status": "PENDING", "Tokens": ["t1", "t2"]}
    answer = told({"VerifiedForSendingStatus": False, "DkimAttributes": dkim})
    done, _ = await against([answer], "verify-sender", "example.com", "--yes")
    assert done.stdout.splitlines() == [
        f"{t}._domainkey.example.com CNAME {t}.dkim.amazonses.com" for t in ("t1", "t2")
    ]


async def test_the_domain_covers_the_sender(against):
    gone = refused("NotFoundException", 404)["sesv2"]
    answers = [gone, told({"VerifiedForSendingStatus": True})]
    done, requests = await against(answers, "sender-status", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["covered_by"] == "example.com"
    assert [r.path for r in requests] == [
        "/v2/email/identities/codes%40example.com",
        "/v2/email/identities/example.com",
    ]


async def test_production_access_is_told_and_asked_for(against):
    done, _ = await against([told(ACCOUNT)], "production-access", "--json")
    assert (done.returncode, json.loads(done.stdout)["production_access"]) == (1, False)
    out = {**ACCOUNT, "ProductionAccessEnabled": True}
    done, requests = await against([told(out)], *REQUEST, "--yes")
    assert (done.returncode, len(requests)) == (0, 1), "nothing to ask for"
    done, requests = await against([told(ACCOUNT), told({})], *REQUEST, "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)["requested"]) == (0, True)
    assert requests[1].path == "/v2/email/account/details"
    assert json.loads(requests[1].body) == {
        "MailType": "TRANSACTIONAL",
        "WebsiteURL": "https://example.com",
        "ContactLanguage": "EN",
        "UseCaseDescription": "Login codes",
        "AdditionalContactEmailAddresses": ["a@example.com"],
        "ProductionAccessEnabled": True,
    }
    assert "  WebsiteURL: https://example.com" in done.stderr.splitlines()


async def test_the_quotas(against):
    sandbox = sns("GetSMSSandboxAccountStatus", "<IsInSandbox>true</IsInSandbox>")
    answers = [told(ACCOUNT), limit(20), sandbox]
    done, _ = await against(answers, "quota", "--json")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["ses"]["account"] == {
        "sandbox": True,
        "sending_enabled": True,
        "quota_per_day": 200.0,
        "sent_in_24_hours": 7.0,
        "sends_per_second": 1.0,
    }
    assert (seen["sns"]["monthly_spend_limit_usd"], seen["sns"]["sandbox"]) == (20.0, True)
    done, _ = await against(answers, "quota")
    assert "  SMS a month     20 USD" in done.stdout.splitlines()


SET = ("sns", "spend-limit", "900", "--yes")
VERIFY = ("sesv2", "verify-sender", "a@example.com", "--yes")


@pytest.mark.parametrize(
    ("asked", "error", "code", "words"),
    [
        (SET, refused("InvalidParameter"), 1, "above the account's ceiling"),
        (SET, refused("AuthorizationError", 403), 78, "the IAM action sns:SetSMSAttributes"),
        (SET, refused("Throttled", 429), 69, "wait a moment"),
        (SET, refused("InvalidClientTokenId", 403), 78, "does not know these credentials"),
        (SET, refused("InternalError", 500), 69, "AWS failed (InternalError)"),
        (VERIFY, refused("AccessDeniedException", 403), 78, "ses:CreateEmailIdentity"),
        (
            VERIFY,
            refused("AccessDeniedException", 403, "with an explicit deny in a policy"),
            78,
            "denies ses:CreateEmailIdentity explicitly",
        ),
        (VERIFY, refused("TooManyRequestsException", 429), 69, "wait a moment"),
        (VERIFY, refused("LimitExceededException"), 1, "delete some first"),
        (VERIFY, refused("BadRequestException", 400, "Bad \x1b[2Jname"), 1, "Bad  [2Jname"),
        (VERIFY, refused("SignatureDoesNotMatch", 403), 78, "copy it anew"),
        (VERIFY, refused("ExpiredTokenException", 403), 78, "log in again"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else None,
)
async def test_a_refusal_is_a_sentence_to_act_on(against, asked, error, code, words):
    service, *arguments = asked
    done, requests = await against([error[service]], *arguments)
    assert (done.returncode, done.stdout, len(requests)) == (code, "", 1)
    assert words in done.stderr.splitlines()[-1]


async def test_a_second_request_for_production_access_says_where_the_first_one_is(against):
    answers = [told(ACCOUNT), refused("ConflictException", 409)["sesv2"]]
    done, _ = await against(answers, *REQUEST, "--yes")
    assert done.returncode == 1
    assert "see its case in the AWS Support Center" in done.stderr


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


async def test_without_a_file_the_environment_says_whose_account_it_is(run):
    async with stub_server(limit(3)) as stub:
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


async def test_a_region_that_does_not_exist_is_said(run):
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": SECRET}
    done = await run("spend-limit", AWS_REGION="eu-wset-1", **keys)
    assert done.returncode == 78
    assert "did you mean `eu-west-1`?" in done.stderr


async def test_the_provider_that_is_named_is_used(write, run):
    async with stub_server(limit(1)) as first, stub_server(limit(2)) as second:
        place = f"region: eu-west-1, endpoint_url: '{second.url}', {KEYS}"
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
    assert "no AWS region" in (await run("spend-limit")).stderr


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
