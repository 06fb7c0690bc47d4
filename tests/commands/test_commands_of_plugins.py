"""Commands that a plugin brings: found by their names, imported when they are called."""

from __future__ import annotations

import subprocess
import sys

import pytest

ACME = """
from pathlib import Path
Path("imported").touch()

import click
from sidecar import hookimpl
from sidecar.commands import account_options, ask_first, option, required, say, show, yes_option

@click.group()
def acme():
    "An Acme account."

@acme.command()
@account_options
@yes_option
@option("--sure", is_flag=True)
def account(config, provider, as_json, yes, sure):
    chosen = required("console", config, provider)
    ask_first([f"This calls Acme for {chosen.name}."], yes=yes)
    show({"name": chosen.name, "sure": sure}, [chosen.name], as_json=as_json)
    say("done")

@hookimpl
def register_commands():
    return [acme]
"""
FILE = "providers: {console: {}, second: {kind: console}}\nchains: {sms: [console]}\n"


@pytest.fixture
def install(tmp_path, environ):
    """Put a distribution on the path, as pip would; its module has the source `text`."""
    site = tmp_path / "site"
    site.mkdir()
    environ["PYTHONPATH"] = str(site)

    def put(name, *commands, text=ACME):
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(text)
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        points = "".join(f"{command} = {module}\n" for command in commands)
        (info / "entry_points.txt").write_text(f"[sidecar.commands]\n{points}")

    return put


def test_help_names_the_commands_of_plugins_and_imports_none(command, install, tmp_path):
    install("otp-acme", "acme")
    helped = command("--help")
    assert helped.returncode == 0
    assert "Brought by otp-acme." in helped.stdout.partition("Commands of plugins:")[2]
    for name in ("aws", "sendgrid", "twilio"):
        assert f"Brought by otp-sidecar-{name}." in helped.stdout
    assert command("version").returncode == 0
    assert command("providers", "list").returncode == 0
    assert not (tmp_path / "imported").exists()
    assert "An Acme account." in command("acme", "--help").stdout
    assert (tmp_path / "imported").exists()


def test_the_command_line_loads_neither_an_sdk_nor_a_plugin(environ):
    program = """
import sys
from sidecar.cli import cli
cli(["--help"], standalone_mode=False)
rooms = {name.partition(".")[0] for name in sys.modules}
print(sorted(room for room in rooms if room in sys.argv or room.startswith("sidecar_")))
"""
    heavy = ["boto3", "botocore", "twilio", "sendgrid", "pluggy", "pydantic"]
    done = subprocess.run(
        [sys.executable, "-c", program, *heavy],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("acmee", "Did you mean 'acme'?"), ("twillio", "Did you mean 'twilio'?"), ("x", "There are:")],
)
def test_an_unknown_command_is_said_and_what_was_meant(command, install, typed, hint):
    install("otp-acme", "acme")
    done = command(typed)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"No such command '{typed}'. {hint}" in done.stderr


BROKEN = {
    "import nothing_like_this": "cannot be loaded: ModuleNotFoundError: nothing_like_this",
    "raise SystemExit(0)": "cannot be loaded: SystemExit at",
    "x = = 1": "cannot be loaded: SyntaxError at",
    "": "brings no command `acme`: its `register_commands` must return it",
    "from sidecar import hookimpl\n@hookimpl\ndef register_commands(): return None": "otp-acme",
    "from sidecar import hookimpl\n@hookimpl\ndef register_commands(): return ['acme']": "no comm",
    "from sidecar import hookimpl\n@hookimpl\ndef register_commands(): raise OSError('s3cret')": (
        "cannot be loaded: OSError at"
    ),
    ACME.replace("def acme():", "def other():").replace("acme.c", "other.c"): "cannot be loaded",
}


@pytest.mark.parametrize(("text", "words"), BROKEN.items(), ids=range(len(BROKEN)))
def test_a_broken_plugin_breaks_its_own_command_alone(command, install, text, words):
    install("otp-acme", "acme", text=text)
    install("otp-fine", "fine", text=ACME.replace("acme", "fine"))
    done = command("acme", "account")
    assert (done.returncode, done.stdout) == (78, "")
    (line,) = done.stderr.splitlines()
    assert words in line
    assert "otp-acme" in line
    assert "s3cret" not in line
    assert "An Acme account." in command("fine", "--help").stdout
    assert "otp-acme" in command("--help").stdout


def test_two_that_bring_the_same_command_are_named(command, install):
    install("otp-acme", "acme")
    install("otp-other", "acme")
    done = command("acme")
    assert done.returncode == 78
    assert "`acme` is offered twice, by otp-acme and otp-other" in done.stderr


def test_no_plugin_takes_the_place_of_our_own_command(command, install, tmp_path):
    install("otp-acme", "version", "acme")
    assert command("version").stdout == "otp-sidecar 0.1.0\n"
    assert "version" not in command("--help").stdout.partition("Commands of plugins:")[2]
    assert not (tmp_path / "imported").exists()


# What its commands are made of


def test_an_account_is_the_first_of_its_kind_or_the_one_that_is_named(command, install, tmp_path):
    install("otp-acme", "acme")
    (tmp_path / "providers.yaml").write_text(FILE)
    first = command("acme", "account", "--yes")
    assert (first.returncode, first.stdout) == (0, "console\n")
    assert first.stderr.splitlines() == ["This calls Acme for console.", "done"]
    named = command("acme", "account", "--json", OTP_SIDECAR_PROVIDER="second", OTP_SIDECAR_YES="1")
    assert named.stdout == '{\n  "name": "second",\n  "sure": false\n}\n'
    sure = command("acme", "account", "--json", OTP_SIDECAR_SURE="1", OTP_SIDECAR_YES="1")
    assert '"sure": true' in sure.stdout


def test_what_cannot_be_done_is_one_line(command, install, tmp_path):
    install("otp-acme", "acme")
    for arguments, more, code, words in [
        ((), "", 78, "providers.yaml: there is no such file"),
        (("-c", "no.yaml"), "", 78, "no.yaml:1:1: there is no such file"),
        (("--provider", "console"), "", 78, "no such file to find `console` in"),
        ((), "providers: {}\n", 78, "providers.yaml"),
        (("--provider", "third"), FILE, 78, "of kind console: console, second"),
        ((), FILE, 2, "nothing was changed: there is no terminal to ask on; say --yes"),
    ]:
        if more:
            (tmp_path / "providers.yaml").write_text(more)
        done = command("acme", "account", *arguments)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert words in done.stderr.splitlines()[-1]
