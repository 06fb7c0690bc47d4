import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from sidecar import Misconfigured
from sidecar.testing import ProviderContract
from sidecar_smtp import Smtp
from sidecar_smtp.session import _must_be_loopback

LAZY = """
import asyncio, sys
from sidecar_smtp import Smtp
settings = {"kind": "smtp", "host": "mail.example", "sender": "otp@example.com"}
smtp = Smtp("mail", Smtp.Config.model_validate(settings))
assert "aiosmtplib" not in sys.modules
async def main():
    async with smtp:
        assert "aiosmtplib" in sys.modules
asyncio.run(main())
"""


class TestSmtp(ProviderContract):
    provider_class = Smtp
    secrets = ("canary-password",)
    settings: ClassVar = {
        "host": "mail.example",
        "username": "user",
        "password": "canary-password",
        "sender": "otp@example.com",
    }

    def test_the_defaults_are_those_of_a_submission_port(self) -> None:
        config = self.make().config
        assert (config.port, config.tls, config.pool, config.timeout) == (587, "starttls", 8, 4.0)

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"tls": "none", "host": "192.0.2.1"}, "loopback only"),
            ({"tls": "opportunistic"}, "starttls"),
            ({"password": None}, "belong together"),
            ({"username": ""}, "belong together"),
            ({"host": "smtp://mail.example"}, "without scheme or port"),
            ({"host": "mail.example:587"}, "without scheme or port"),
            ({"port": 0}, "greater than"),
            ({"pool": 0}, "greater than"),
            ({"ca_file": "/no/such/file.pem"}, "not point to a file"),
            ({"sender": "a@example.com, b@example.com"}, "one address"),
            ({"sender": "nobody"}, "one address"),
            ({"sender": "=?utf-8?q?a=0D=0ABcc=3A?= <a@example.com>"}, "one address"),
            ({"sender": "a@example.com\r\nBcc: b@example.com"}, "line breaks"),
            ({"sender": "a" * 190 + "@example.com"}, "at most 200"),
        ],
    )
    def test_what_cannot_work_is_told_at_once(self, changes: Any, told: str) -> None:
        with pytest.raises(ValidationError, match=told) as caught:
            self.make(**changes)
        assert "canary-password" not in str(caught.value)

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
    def test_without_tls_loopback_is_admitted(self, host: str) -> None:
        assert self.make(tls="none", host=host).config.host == host

    def test_an_empty_user_name_with_an_empty_password_means_no_login(self) -> None:
        assert not self.make(username="", password="").config.username

    async def test_a_ca_file_without_a_certificate_names_the_setting(self, tmp_path: Path) -> None:
        empty = tmp_path / "ca.pem"
        empty.write_text("no certificate")
        with pytest.raises(Misconfigured, match="ca_file"):
            await self.make(ca_file=empty).send(self.message(), timeout=1.0)

    async def test_a_loopback_address_needs_leave(self) -> None:
        with pytest.raises(Misconfigured, match="allow_private"):
            await self.make(host="127.0.0.1", port=9).send(self.message(), timeout=1.0)


def test_aiosmtplib_is_imported_only_by_a_provider_that_is_opened() -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], timeout=60, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("address", ["203.0.113.7", "fe80::1%eth0", "::ffff:203.0.113.7"])
def test_a_name_that_leads_elsewhere_gets_nothing_in_clear(address: str) -> None:
    closed: list[bool] = []

    class Elsewhere:
        def getpeername(self) -> tuple[str, int]:
            return address, 25

        def close(self) -> None:
            closed.append(True)

    elsewhere: Any = Elsewhere()
    with pytest.raises(Misconfigured, match="loopback only"):
        _must_be_loopback(elsewhere)
    assert closed


def test_port_465_asks_for_implicit_tls():
    given = {"kind": "smtp", "host": "mail.example.com", "port": 465, "sender": "a@b.example"}
    with pytest.raises(ValidationError, match="write `tls: implicit`"):
        Smtp.Config.model_validate(given)
    assert Smtp.Config.model_validate({**given, "tls": "implicit"}).port == 465
