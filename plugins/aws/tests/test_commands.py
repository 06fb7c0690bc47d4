"""`otp-sidecar aws` as a person runs it: against moto, and a stand-in for what moto lacks."""

import asyncio
import json
import os
import pty

import pytest

ACCOUNT = {
    "EnforcementStatus": "HEALTHY",
    "ProductionAccessEnabled": False,
    "SendingEnabled": True,
    "SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 7.0},
}
ASK = ("production-access", "--request", "--use-case", "Login codes", "--contact", "a@example.com")
REQUEST = (*ASK, "--website", "https://example.com")


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
async def test_without_a_terminal_and_without_yes_nothing_is_changed(says, against, change):
    done, requests = await against([says.told(ACCOUNT)], *change)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("nothing was changed: there is no terminal")
    assert "--yes" in done.stderr
    assert [r.method for r in requests] == ["GET"] * (change == REQUEST)


@pytest.mark.parametrize(("answer", "code", "calls"), [(b"y\n", 0, 1), (b"n\n", 1, 0)])
async def test_at_a_terminal_a_person_says_yes_or_no(says, against, hand_over, answer, code, calls):
    ours, theirs = pty.openpty()
    answers = [says.sns("SetSMSAttributes")]
    os.write(ours, answer)
    try:
        done, requests = await against(answers, "spend-limit", "9", stdin=theirs)
    finally:
        os.close(theirs)
        os.close(ours)
    hand_over(answer)
    assert (done.returncode, len(requests)) == (code, calls)
    assert "Go on? [y/N]" in done.stderr


# What AWS says


async def test_an_identity_that_is_there_is_no_error(says, against):
    there = says.refused("AlreadyExistsException")["sesv2"]
    verified = [there, says.told({"VerifiedForSendingStatus": True})]
    done, _ = await against(verified, "verify-sender", "a@example.com", "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)["verified"]) == (0, True)
    assert "a@example.com is already verified" in done.stderr
    waiting = [there, says.told({"VerifiedForSendingStatus": False})]
    done, _ = await against(waiting, "verify-sender", "a@example.com", "--yes")
    assert done.returncode == 0
    assert "AWS was asked before, and waits: open the link" in done.stderr


async def test_a_domain_gets_the_records_for_its_dns(says, against):
    dkim = {"Status": "PENDING", "Tokens": ["t1", "t2"]}
    answer = says.told({"VerifiedForSendingStatus": False, "DkimAttributes": dkim})
    done, _ = await against([answer], "verify-sender", "example.com", "--yes")
    assert done.stdout.splitlines() == [
        f"{t}._domainkey.example.com CNAME {t}.dkim.amazonses.com" for t in ("t1", "t2")
    ]


async def test_the_domain_covers_the_sender(says, against):
    gone = says.refused("NotFoundException", 404)["sesv2"]
    answers = [gone, says.told({"VerifiedForSendingStatus": True})]
    done, requests = await against(answers, "sender-status", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["covered_by"] == "example.com"
    assert [r.path for r in requests] == [
        "/v2/email/identities/codes%40example.com",
        "/v2/email/identities/example.com",
    ]


async def test_production_access_is_told_and_asked_for(says, against):
    done, _ = await against([says.told(ACCOUNT)], "production-access", "--json")
    assert (done.returncode, json.loads(done.stdout)["production_access"]) == (1, False)
    out = {**ACCOUNT, "ProductionAccessEnabled": True}
    done, requests = await against([says.told(out)], *REQUEST, "--yes")
    assert (done.returncode, len(requests)) == (0, 1), "nothing to ask for"
    done, requests = await against([says.told(ACCOUNT), says.told({})], *REQUEST, "--yes", "--json")
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


async def test_the_quotas(says, against):
    sandbox = says.sns("GetSMSSandboxAccountStatus", "<IsInSandbox>true</IsInSandbox>")
    answers = [says.told(ACCOUNT), says.limit(20), sandbox]
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


async def test_the_help_shows_an_example_as_it_is_typed(run):
    done = await run("production-access", "--help")
    assert "\n  otp-sidecar aws production-access --request --contact ops@" in done.stdout
    assert "\\b" not in done.stdout
