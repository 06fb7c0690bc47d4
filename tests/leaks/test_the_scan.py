"""The scan finds each canary however it is spelled and wherever it is cut, and nothing else."""

from __future__ import annotations

import base64
import html
import json
import random
import urllib.parse

import pytest

from harness import leaks
from harness.leak_watch import CONSOLE_BLOCK
from harness.leaks import CANARIES, Scan
from sidecar.testing import ProviderContract, ScriptedProvider

SCAN = Scan()
PLANTED = {
    "phone": leaks.PHONE,
    "email": leaks.EMAIL,
    "code": leaks.CODE,
    "key": leaks.KEY,
    "caller token": leaks.TOKEN,
    "aws": leaks.AWS_SECRET,
    "sendgrid": leaks.SENDGRID_KEY,
    "twilio": leaks.TWILIO_TOKEN,
    "smtp": leaks.SMTP_PASSWORD,
    "national": "(415) 555-2671",
}
SPELLERS = {
    "raw": str.encode,
    "lower": lambda v: v.lower().encode(),
    "upper": lambda v: v.upper().encode(),
    "hex": lambda v: v.encode().hex().encode(),
    "HEX": lambda v: v.encode().hex().upper().encode(),
    "url": lambda v: urllib.parse.quote(v, safe="").encode(),
    "url twice": lambda v: urllib.parse.quote(urllib.parse.quote(v, safe=""), safe="").encode(),
    "form": lambda v: urllib.parse.urlencode({"To": v}).encode(),
    "every byte quoted": lambda v: "".join(f"%{b:02X}" for b in v.encode()).encode(),
    "html": lambda v: html.escape(f"<b>{v}</b>").encode(),
    "entities": lambda v: "".join(f"&#{ord(c)};" for c in v).encode(),
    "hex entities": lambda v: "".join(f"&#x{ord(c):x};" for c in v).encode(),
    "json": lambda v: json.dumps({"to": v}).replace("+", "\\u002b").encode(),
    "json in full": lambda v: "".join(f"\\u{ord(c):04x}" for c in v).encode(),
    "utf-16-le": lambda v: v.encode("utf-16-le"),
    "utf-16-be": lambda v: v.encode("utf-16-be"),
    "base64, 0 before": lambda v: base64.b64encode(f"{v} and more".encode()),
    "base64, 1 before": lambda v: base64.b64encode(f":{v} and more".encode()),
    "base64, 2 before": lambda v: base64.b64encode(f"a:{v} and more".encode()),
    "base64, nothing after": lambda v: base64.b64encode(f"AC0000:{v}".encode()),
    "base64 for URLs": lambda v: base64.urlsafe_b64encode(f"\xff\xfe{v}\xff".encode("latin-1")),
}


@pytest.mark.parametrize("speller", SPELLERS)
@pytest.mark.parametrize("canary", PLANTED)
def test_each_canary_is_found_in_each_spelling(canary, speller):
    hidden = SPELLERS[speller](PLANTED[canary])
    assert list(SCAN.find(b'{"a": "' + hidden + b'"}')) != []


@pytest.mark.parametrize("canary", CANARIES.values())
def test_a_canary_cut_by_the_border_of_two_chunks_is_found_once(tmp_path, canary):
    file = tmp_path / "deliveries.db"
    for before in range(930, 1030):
        file.write_bytes(b"." * before + canary.encode() + b"." * 700)
        found = [f for f in SCAN.find_in(file, chunk=1024) if f.how == "raw"]
        assert [f.at for f in found if CANARIES[f.what] == canary] == [before]
    file.write_bytes(b"")


def test_the_plugins_plant_the_same_canaries():
    class Any(ProviderContract):
        provider_class = ScriptedProvider

    sent = Any().message(channel="sms", to=leaks.PHONE)
    assert leaks.CODE in sent.text
    assert {found.what for found in SCAN.find(sent.to.encode())} == {"the phone number"}


def test_what_is_random_holds_no_canary():
    dice = random.Random(20_261_125)
    noise = dice.randbytes(1 << 20)
    for text in (noise, noise.hex().encode(), base64.b64encode(noise), str(noise).encode()):
        assert list(SCAN.find(text)) == []


def test_a_report_names_what_was_found_and_does_not_quote_it():
    (found,) = SCAN.find(b"abc" + leaks.CODE.encode())
    assert str(found) == "the code, raw, at byte 3"


BLOCK = f"sms to {leaks.PHONE} (otp, m-1)\n  | Your code is {leaks.CODE}\n  | bye\n".encode()


def test_the_block_of_the_console_alone_is_exempt():
    assert CONSOLE_BLOCK.sub(b"", b"before\n" + BLOCK + BLOCK + b"after\n") == b"before\nafter\n"
    assert CONSOLE_BLOCK.sub(b"", BLOCK[:-9]) == b"", "a process that was killed as it printed"
    for other in (
        b"Traceback: " + BLOCK,
        BLOCK.replace(b"  | ", b"  "),
        BLOCK.replace(b" (otp, m-1)", b""),
        BLOCK.partition(b"\n")[0] + b"\n",
        BLOCK + f"  sms to {leaks.PHONE}\n".encode(),
    ):
        assert list(SCAN.find(CONSOLE_BLOCK.sub(b"", other))) != [], other
