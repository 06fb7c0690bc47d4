import re
from typing import Any

import pytest

from sidecar import ConfigError, Receipt
from sidecar.testing import ProviderContract
from sidecar_console import KEPT, Console


@pytest.fixture(autouse=True)
def not_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTP_SIDECAR_ENV", raising=False)


class TestConsole(ProviderContract):
    provider_class = Console

    async def test_it_prints_the_message_and_says_that_it_sent_nothing(self, capfd: Any) -> None:
        message = self.message(channel="sms", to="+14155552671", subject=None)
        receipt = await self.make().send(message, timeout=1.0)
        out, err = capfd.readouterr()
        assert err == "sms to +14155552671 (otp, m-1)\n  | Your code is 739184620517\n"
        assert out == ""
        assert receipt.simulated
        assert receipt.message_id

    async def test_every_receipt_has_an_id_of_its_own(self, capfd: Any) -> None:
        console = self.make()
        receipts: set[Receipt] = {await console.send(self.message(), timeout=1.0) for _ in range(9)}
        assert len(receipts) == 9

    async def test_a_mail_shows_its_subject_and_every_line(self, capfd: Any) -> None:
        await self.make().send(self.message(text="one\r\ntwo\nthree"), timeout=1.0)
        assert capfd.readouterr().err.splitlines()[1:] == [
            "  | Subject: Your code",
            "  | one",
            "  | two",
            "  | three",
        ]

    @pytest.mark.parametrize(
        ("hostile", "shown"),
        [
            ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
            ("a\rb", r"a\rb"),
            ("\x9b31m", r"\x9b31m"),
            ("\u202eevil\u2028x", r"\u202eevil\u2028x"),
            ("\ud800", r"\ud800"),
            ("zażółć 東京", "zażółć 東京"),
        ],
    )
    async def test_no_text_steers_the_terminal(self, hostile: str, shown: str, capfd: Any) -> None:
        fields = {"text": hostile, "subject": hostile, "to": hostile, "id": hostile}
        await self.make().send(self.message(**fields), timeout=1.0)
        err = capfd.readouterr().err
        assert err.count(shown) == 4
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", err)

    async def test_a_text_cannot_look_like_a_message_of_its_own(self, capfd: Any) -> None:
        await self.make().send(self.message(text="x\nsms to +1 (otp, m-2)"), timeout=1.0)
        heads = [
            line for line in capfd.readouterr().err.splitlines() if not line.startswith("  | ")
        ]
        assert heads == ["email to ada@example.com (otp, m-1)"]

    async def test_the_inbox_keeps_the_last_ones_newest_first(self, capfd: Any) -> None:
        console = self.make()
        for number in range(KEPT + 5):
            await console.send(self.message(id=f"m-{number}"), timeout=1.0)
        kept = console.inbox()
        assert kept is not None
        assert [item.id for item in kept] == [f"m-{n}" for n in reversed(range(5, KEPT + 5))]
        assert (kept[0].to, kept[0].text) == ("ada@example.com", "Your code is 739184620517")

    @pytest.mark.parametrize("environment", ["production", " Production "])
    def test_it_does_not_exist_in_production(self, environment: str, monkeypatch: Any) -> None:
        monkeypatch.setenv("OTP_SIDECAR_ENV", environment)
        with pytest.raises(ConfigError, match="production"):
            self.make()

    def test_the_configuration_is_told_that_it_is_for_development(self) -> None:
        assert Console.development_only
