"""The endpoint is the one that a botocore client would call, whatever names it."""

import os

import botocore.session
import pytest
from botocore.config import Config

from sidecar import Misconfigured
from sidecar_aws.sdk import log_in
from sidecar_aws.settings import AwsConfig

KEYS = {"access_key_id": "AKIA", "secret_access_key": "secret"}
CALLS = {
    "sesv2": "get_account",
    "sns": "list_topics",
    "pinpoint-sms-voice-v2": "describe_spend_limits",
}
REGIONS = ["us-east-1", "eu-central-1", "ap-southeast-4", "us-gov-west-1", "cn-north-1"]
PROFILE = """[default]
endpoint_url = https://all.example.org
services = ours
[services ours]
sns =
  endpoint_url = https://sns.example.org/path/
pinpoint_sms_voice_v2 =
  endpoint_url = https://sms-voice.example.org
"""
ENVIRONMENTS = [
    {},
    {"AWS_USE_FIPS_ENDPOINT": "true"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_ENDPOINT_URL": "https://global.example.org"},
    {
        "AWS_ENDPOINT_URL": "https://global.example.org",
        "AWS_ENDPOINT_URL_SESV2": "https://ses.example.org",
    },
    {
        "AWS_ENDPOINT_URL": "https://global.example.org",
        "AWS_ENDPOINT_URL_SNS": "http://127.0.0.1:4566",
    },
    {"AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2": "https://sms-voice.example.org"},
    {"AWS_ENDPOINT_URL": "https://x.example.org", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    {"AWS_CONFIG_FILE": "config"},
    {"AWS_CONFIG_FILE": "config", "AWS_ENDPOINT_URL": "https://global.example.org"},
]


class CaughtError(Exception):
    """Stops botocore's call where it would open a connection."""


def botocores_url(model, region):
    client = botocore.session.Session().create_client(
        model,
        region_name=region,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    seen = []

    def catch(request, **_):
        seen.append(request.url)
        raise CaughtError

    client.meta.events.register("before-send", catch)
    with pytest.raises(CaughtError):
        getattr(client, CALLS[model])()
    client.close()
    return seen[0]


def ours(model, region, **settings):
    return log_in(model, AwsConfig(kind="any", region=region, **{**KEYS, **settings})).url


def assert_the_same(model, region):
    path = "/v2/email/account" if model == "sesv2" else "/"
    assert ours(model, region) + path == botocores_url(model, region)


@pytest.mark.parametrize("model", CALLS)
@pytest.mark.parametrize("region", REGIONS)
def test_each_regions_own(model, region):
    assert_the_same(model, region)


@pytest.mark.parametrize("model", CALLS)
@pytest.mark.parametrize("environ", ENVIRONMENTS)
def test_what_the_environment_and_the_profile_name(monkeypatch, tmp_path, model, environ):
    (tmp_path / "config").write_text(PROFILE)
    for name, value in environ.items():
        path = str(tmp_path / value) if name == "AWS_CONFIG_FILE" else value
        monkeypatch.setenv(name, path)
    assert_the_same(model, "us-west-2")


def test_the_settings_win_over_the_environment(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://global.example.org")
    url = ours("sns", "us-east-1", endpoint_url="https://mine.example.org/base/")
    assert url == "https://mine.example.org/base"


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_CONFIG_FILE": "config"}, "eu-west-3"),
    ],
)
def test_the_region_is_found_where_the_sdks_find_it(monkeypatch, tmp_path, environ, region):
    (tmp_path / "config").write_text("[default]\nregion = eu-west-3\n")
    monkeypatch.chdir(tmp_path)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    login = log_in("sns", AwsConfig(kind="any", **KEYS))
    assert (login.region, login.url) == (region, f"https://sns.{region}.amazonaws.com")


def test_no_region_at_all_is_misconfigured():
    assert "AWS_REGION" not in os.environ
    with pytest.raises(Misconfigured, match="no AWS region"):
        log_in("sns", AwsConfig(kind="any", **KEYS))


def test_an_endpoint_that_is_no_address_is_misconfigured(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "sns.example.org")
    with pytest.raises(Misconfigured):
        log_in("sns", AwsConfig(kind="any", region="us-east-1", **KEYS))
