"""Where keys come from, how they are renewed, and that no send hangs on either."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from sidecar import LocalFault, Message, Misconfigured, Receipt, Unavailable
from sidecar.testing import Answer, stub_server
from sidecar_aws.credentials import Credentials
from sidecar_aws.sns import Sns, SnsConfig

TEXT = Message("m-1", "sms", "+14155552671", "Your code is 739184620517")
TAKEN = Answer(200, {}, b"<PublishResult><MessageId>m</MessageId></PublishResult>")
EXPIRED = Answer(
    403, {}, b"<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>"
)


def config(url="http://127.0.0.1:9", **settings):
    chosen = {"region": "us-east-1", "endpoint_url": url, "allow_private": True, **settings}
    return SnsConfig(kind="sns", **chosen)


def container_answer(key, minutes):
    until = datetime.now(UTC) + timedelta(minutes=minutes)
    keys = {
        "AccessKeyId": key,
        "SecretAccessKey": "secret",
        "Token": f"token-of-{key}",
        "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(keys).encode())


def profile(key, name="default"):
    return f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = secret\n"


def key_of(request):
    return request.headers["authorization"].split("Credential=")[1].split("/")[0]


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # it comes true in a thread of botocore's
            await asyncio.sleep(0.01)


async def send(*answers, **settings):
    async with (
        stub_server(*(answers or [TAKEN])) as stub,
        Sns("sns", config(stub.url, **settings)) as provider,
    ):
        await provider.send(TEXT, timeout=20.0)
        return stub.requests[-1]


async def test_keys_of_the_settings_win(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    request = await send(access_key_id="AKIASET", secret_access_key="s", session_token="t")
    assert (key_of(request), request.headers["x-amz-security-token"]) == ("AKIASET", "t")


async def test_keys_of_the_environment(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    request = await send()
    assert (key_of(request), request.headers["x-amz-security-token"]) == ("AKIAENV", "token")


async def test_keys_of_a_named_profile(monkeypatch, write_profile):
    write_profile(profile("AKIADEFAULT") + profile("AKIACODES", "codes"))
    monkeypatch.setenv("AWS_PROFILE", "codes")
    request = await send()
    assert key_of(request) == "AKIACODES"
    assert "x-amz-security-token" not in request.headers


async def test_keys_of_a_container(monkeypatch):
    async with stub_server(container_answer("ASIAPOD", minutes=360)) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.url}/v1/credentials")
        request = await send()
    assert (key_of(request), len(container.requests)) == ("ASIAPOD", 1)
    assert request.headers["x-amz-security-token"] == "token-of-ASIAPOD"


async def test_keys_that_end_soon_are_renewed_without_a_send(monkeypatch):
    # botocore asks again at once for keys that end within its 15 minutes; the third is our look.
    soon, lasting = container_answer("ASIASOON", 14), container_answer("ASIANEXT", 360)
    async with stub_server(soon, soon, lasting) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.url}/v1/credentials")
        credentials = Credentials("sns", config(), look_every=0.01)
        credentials.open()
        await until(lambda: len(container.requests) == 3)
        await until(lambda: credentials._access.keys.access_key == "ASIANEXT")
        access = await credentials.current(timeout=0.0)
        await credentials.close()
    assert access.keys.access_key == "ASIANEXT"


async def test_sends_that_wait_for_the_same_keys_ask_once(monkeypatch):
    async with (
        stub_server(container_answer("ASIAPOD", minutes=360)) as container,
        stub_server(TAKEN) as sns,
    ):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.url}/v1/credentials")
        async with Sns("sns", config(sns.url)) as provider:
            sends = [provider.send(TEXT, timeout=20.0) for _ in range(20)]
            receipts = await asyncio.gather(*sends)
    assert len(receipts) == 20
    assert len(container.requests) == 1


async def test_a_source_that_hangs_holds_a_send_no_longer_than_its_time(write_profile, tmp_path):
    fifo = tmp_path / "keys"
    os.mkfifo(fifo)
    write_profile(f"[default]\ncredential_process = cat {fifo}\n")
    async with stub_server(TAKEN) as stub, Sns("sns", config(stub.url)) as provider:
        async with asyncio.timeout(8):  # far beyond its time, and far below a read that hangs
            with pytest.raises(Unavailable):
                await provider.send(TEXT, timeout=0.1)
        assert stub.requests == []
        keys = {"Version": 1, "AccessKeyId": "AKIALATE", "SecretAccessKey": "s"}
        await asyncio.to_thread(fifo.write_text, json.dumps(keys))
        await provider.send(TEXT, timeout=20.0)
        assert key_of(stub.requests[0]) == "AKIALATE"


async def test_an_sts_that_cannot_be_reached_is_no_wrong_setting(monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (tmp_path / "token").write_text("a token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/codes")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{port}")
    async with Sns("sns", config()) as provider:
        with pytest.raises(Unavailable) as caught:
            await provider.send(TEXT, timeout=20.0)
    assert caught.value.code == "EndpointConnectionError"


async def test_a_machine_too_slow_to_load_botocore_is_no_fault_of_aws(monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr("sidecar_aws.credentials._log_in", lambda *_: gate.wait(20))
    chosen = config(region=None, access_key_id="KEY", secret_access_key="secret")
    try:
        async with Sns("sns", chosen) as provider:
            with pytest.raises(LocalFault):
                await provider.send(TEXT, timeout=0.05)
    finally:
        gate.set()


def test_settings_that_say_it_all_load_no_botocore():
    code = """
import asyncio, sys
from sidecar import Message
from sidecar.testing import Answer, stub_server
from sidecar_aws.sns import Sns, SnsConfig

async def main():
    taken = Answer(200, {}, b"<PublishResult><MessageId>m</MessageId></PublishResult>")
    async with stub_server(taken) as stub:
        keys = {"access_key_id": "AKIASET", "secret_access_key": "s", "session_token": "t"}
        where = {"region": "eu-west-1", "endpoint_url": stub.url, "allow_private": True}
        async with Sns("sns", SnsConfig(kind="sns", **keys, **where)) as provider:
            await provider.send(Message("m-1", "sms", "+14155552671", "Hi"), timeout=20.0)
    head = stub.requests[0].headers
    print(head["authorization"].split("/")[0:3:2], head["x-amz-security-token"])
    print("botocore" in sys.modules)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    signed = "['AWS4-HMAC-SHA256 Credential=AKIASET', 'eu-west-1'] t"
    assert done.stdout.splitlines() == [signed, "False"]


async def test_no_credentials_anywhere_is_misconfigured_and_nothing_leaves():
    async with stub_server(TAKEN) as stub, Sns("sns", config(stub.url)) as provider:
        with pytest.raises(Misconfigured, match="no AWS credentials"):
            await provider.send(TEXT, timeout=20.0)
        assert stub.requests == []


@pytest.mark.parametrize(
    ("profiles", "code"),
    [
        ("[other]\naws_access_key_id = a\naws_secret_access_key = b\n", "ProfileNotFound"),
        ("[codes]\naws_access_key_id = a\n", "PartialCredentialsError"),
        ("[codes]\ncredential_process = /no/such/program\n", "FileNotFoundError"),
        ("no ini file", "ConfigParseError"),
    ],
)
async def test_a_broken_profile_is_misconfigured(monkeypatch, write_profile, profiles, code):
    write_profile(profiles)
    monkeypatch.setenv("AWS_PROFILE", "codes")
    async with stub_server(TAKEN) as stub, Sns("sns", config(stub.url)) as provider:
        with pytest.raises(Misconfigured) as raised:
            await provider.send(TEXT, timeout=20.0)
        assert raised.value.code == code


async def test_a_program_that_fails_to_give_keys_is_unavailable(write_profile):
    write_profile("[default]\ncredential_process = false\n")
    async with stub_server(TAKEN) as stub, Sns("sns", config(stub.url)) as provider:
        with pytest.raises(Unavailable):
            await provider.send(TEXT, timeout=20.0)


async def test_after_a_failure_the_source_is_asked_anew(write_profile):
    async with stub_server(TAKEN) as stub, Sns("sns", config(stub.url)) as provider:
        with pytest.raises(Misconfigured):
            await provider.send(TEXT, timeout=20.0)
        write_profile(profile("AKIALATER"))
        assert await provider.send(TEXT, timeout=20.0) == Receipt("m")


async def test_expired_keys_are_looked_up_anew_and_the_request_signed_again(write_profile):
    write_profile(profile("AKIAOLD"))
    async with stub_server(TAKEN, EXPIRED, TAKEN) as stub, Sns("sns", config(stub.url)) as provider:
        await provider.send(TEXT, timeout=20.0)
        write_profile(profile("AKIANEW"))
        assert await provider.send(TEXT, timeout=20.0) == Receipt("m")
        assert [key_of(r) for r in stub.requests] == ["AKIAOLD", "AKIAOLD", "AKIANEW"]
        assert stub.requests[1].body == stub.requests[2].body


async def test_expired_keys_without_newer_ones_are_not_tried_twice(write_profile):
    write_profile(profile("AKIAOLD"))
    async with stub_server(EXPIRED) as stub, Sns("sns", config(stub.url)) as provider:
        with pytest.raises(Misconfigured) as raised:
            await provider.send(TEXT, timeout=20.0)
        assert raised.value.code == "ExpiredToken"
        assert len(stub.requests) == 1


async def test_expired_keys_whose_source_is_gone_are_named_expired(write_profile):
    write_profile(profile("AKIAOLD"))
    async with stub_server(TAKEN, EXPIRED) as stub, Sns("sns", config(stub.url)) as provider:
        await provider.send(TEXT, timeout=20.0)
        write_profile("")
        with pytest.raises(Misconfigured) as raised:
            await provider.send(TEXT, timeout=20.0)
        assert raised.value.code == "ExpiredToken"


async def test_no_second_request_when_the_time_is_short(monkeypatch, write_profile):
    monkeypatch.setattr("sidecar_aws.wire.WORTH_A_TRY", 30.0)
    write_profile(profile("AKIAOLD"))
    async with stub_server(TAKEN, EXPIRED, TAKEN) as stub, Sns("sns", config(stub.url)) as provider:
        await provider.send(TEXT, timeout=20.0)
        write_profile(profile("AKIANEW"))
        with pytest.raises(Misconfigured):
            await provider.send(TEXT, timeout=20.0)
        assert len(stub.requests) == 2
