"""A stand-in that none of us wrote: moto's server, with and without its checks of signatures."""

import asyncio
import json
import re
from pathlib import Path
from urllib.request import urlopen

import pytest

from sidecar import AccountState, Message, Misconfigured, Receipt
from sidecar_aws.ses import Ses, SesConfig
from sidecar_aws.sns import Sns, SnsConfig

MAIL = Message("m-1", "email", "ada@example.com", "Your code is 739184620517", subject="Your code")
TEXT = Message("m-1", "sms", "+14155552671", "Your code is 739184620517")
README = Path(__file__).parents[1] / "README.md"


def settings(moto, access_key="any", secret="any"):
    return {
        "region": "us-east-1",
        "endpoint_url": moto.url,
        "allow_private": True,
        "access_key_id": access_key,
        "secret_access_key": secret,
    }


def ses(moto, *keys):
    return Ses("ses", SesConfig(kind="ses", sender="no@example.org", **settings(moto, *keys)))


def sns(moto, *keys):
    return Sns("sns", SnsConfig(kind="sns", **settings(moto, *keys)))


async def result(provider, message):
    async with provider:
        try:
            return await provider.send(message, timeout=20.0)
        except Misconfigured as error:
            return error


def verify_sender(moto):
    moto.client("ses").verify_email_identity(EmailAddress="no@example.org")


def read_back(moto, service, what):
    with urlopen(f"{moto.url}/moto-api/data.json", timeout=20) as answer:
        return json.load(answer).get(service, {}).get(what, [])


def user_with(moto, policy):
    iam = moto.client("iam")
    iam.create_user(UserName="sidecar")
    iam.put_user_policy(UserName="sidecar", PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName="sidecar")["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def policy_of_the_readme():
    return re.search(r"```json\n(.*?)```", README.read_text(), re.DOTALL)[1]


async def test_a_mail_is_accepted_and_found_there(moto):
    await asyncio.to_thread(verify_sender, moto)
    receipt = await result(ses(moto), MAIL)
    (mail,) = await asyncio.to_thread(read_back, moto, "ses", "Message")
    assert isinstance(receipt, Receipt)
    assert mail["id"] == receipt.message_id
    assert mail["subject"] == MAIL.subject
    assert mail["body"] == MAIL.text
    assert mail["destinations"]["ToAddresses"] == [MAIL.to]


async def test_a_text_is_accepted_and_found_there(moto):
    receipt = await result(sns(moto), TEXT)
    (text,) = await asyncio.to_thread(read_back, moto, "sns", "SMS")
    assert (text["message_id"], text["phone_number"]) == (receipt.message_id, TEXT.to)


async def test_an_unverified_sender_is_misconfigured(moto):
    error = await result(ses(moto), MAIL)
    assert (type(error), error.code) == (Misconfigured, "MessageRejected")
    assert await asyncio.to_thread(read_back, moto, "ses", "Message") == []


@pytest.mark.parametrize(("make", "message"), [(ses, MAIL), (sns, TEXT)])
async def test_the_policy_of_the_readme_is_enough(moto, make, message):
    keys = await asyncio.to_thread(user_with, moto, policy_of_the_readme())
    await asyncio.to_thread(verify_sender, moto)
    await asyncio.to_thread(moto.check_signatures)
    assert isinstance(await result(make(moto, *keys), message), Receipt)


@pytest.mark.parametrize(("make", "message"), [(ses, MAIL), (sns, TEXT)])
async def test_a_user_without_the_permission_is_misconfigured(moto, make, message):
    other = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [other]})
    keys = await asyncio.to_thread(user_with, moto, policy)
    await asyncio.to_thread(moto.check_signatures)
    error = await result(make(moto, *keys), message)
    assert (type(error), error.code) == (Misconfigured, "AccessDenied")


@pytest.mark.parametrize(("make", "message"), [(ses, MAIL), (sns, TEXT)])
async def test_a_wrong_secret_is_misconfigured(moto, make, message):
    access_key, _ = await asyncio.to_thread(user_with, moto, policy_of_the_readme())
    await asyncio.to_thread(moto.check_signatures)
    error = await result(make(moto, access_key, "wrong"), message)
    assert (type(error), error.code) == (Misconfigured, "SignatureDoesNotMatch")


@pytest.mark.parametrize(("make", "message"), [(ses, MAIL), (sns, TEXT)])
async def test_an_unknown_key_is_misconfigured(moto, make, message):
    await asyncio.to_thread(moto.check_signatures)
    error = await result(make(moto, "AKIAUNKNOWN", "any"), message)
    assert (type(error), error.code) == (Misconfigured, "InvalidClientTokenId")


async def test_an_account_without_the_newer_calls_is_asked_by_the_older_ones(moto):
    async with ses(moto) as provider:
        before = await provider.check(timeout=20.0)
        await asyncio.to_thread(verify_sender, moto)
        after = await provider.check(timeout=20.0)
    assert (before.state, before.facts["sender_verified"]) == (AccountState.BLOCKED, False)
    assert (after.state, after.facts["sender_verified"]) == (AccountState.READY, True)
    assert after.facts["quota_left"] == 200.0


async def test_the_spend_limit_of_sns_is_read(moto):
    limit = {"MonthlySpendLimit": "1"}
    await asyncio.to_thread(lambda: moto.client("sns").set_sms_attributes(attributes=limit))
    async with sns(moto) as provider:
        report = await provider.check(timeout=20.0)
    assert report.state is AccountState.DEGRADED
    assert report.facts == {"monthly_spend_limit_usd": 1.0}
