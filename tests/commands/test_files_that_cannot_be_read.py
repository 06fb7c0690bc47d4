"""Files that the user of a command may not read: named as such, and no fault of usage or ours."""

from __future__ import annotations

import pytest

from harness.refused import run_as_anyone

TEXT = "providers: {console: {}}\nchains: {sms: [console]}\n"


@pytest.fixture
def anyone(tmp_path, environ):
    return lambda *arguments: run_as_anyone(tmp_path, environ, *arguments)


@pytest.fixture
def closed(tmp_path):
    """A directory that nobody may enter, with a file in it that nobody may read."""
    place = tmp_path / "closed"
    place.mkdir()
    (tmp_path / "mute.yaml").write_text(TEXT)
    (place / "l.yaml").write_text(TEXT)
    (tmp_path / "mute.yaml").chmod(0)
    place.chmod(0)
    yield
    place.chmod(0o700)


PLAN = ("cost", "--sms", "5")
CLOSED = "closed/l.yaml"
LONG = "x" * 300
ASKED = [
    ("check", "mute.yaml"),
    ("check", CLOSED),
    ("check", LONG),
    ("check", "-c", "mute.yaml"),
    ("config", "show", "-c", "mute.yaml"),
    ("run", "-c", "mute.yaml"),
    (*PLAN, "--chain", "sms=twilio", "--tariff", "mute.yaml"),
    (*PLAN, "-c", CLOSED),
    (*PLAN, "-c", LONG),
    ("twilio", "account", "-c", CLOSED),
    ("twilio", "account", "-c", LONG),
]


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("asked", ASKED, ids=" ".join)
def test_a_configuration_that_cannot_be_read_is_78(anyone, asked):
    done = anyone(*asked)
    assert (done.returncode, done.stdout) == (78, "")
    (line,) = done.stderr.splitlines()
    assert "cannot be read: " in line


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("config", [CLOSED, LONG], ids=["closed", "long"])
def test_a_plan_that_needs_no_configuration_is_made_without(anyone, config):
    done = anyone(*PLAN, "--chain", "sms=twilio", "-c", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert "twilio" in done.stdout


@pytest.mark.usefixtures("closed")
def test_a_log_that_cannot_be_looked_at_is_69(anyone, tmp_path):
    for place in ("closed/log.db", LONG):
        (tmp_path / "providers.yaml").write_text(f"log: {{path: {place}}}\n{TEXT}")
        done = anyone("cost")
        assert (done.returncode, done.stdout) == (69, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"{place}: cannot be read: ")


def test_a_month_is_written_in_our_digits(command):
    done = command("cost", "--month", "٢٠٢٦-11")
    assert done.returncode == 2
    assert "--month is written like 2026-11" in done.stderr
