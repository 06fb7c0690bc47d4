"""A plugin that raises KeyboardInterrupt has a fault like any other; a person's Ctrl-C ends it."""

from __future__ import annotations

import pytest

from harness import guests
from harness.process import run_command, wait_for
from harness.providers import config

GUEST = """
from pydantic import field_validator
class Picky(ProviderConfig):
    mode: str = ""
    @field_validator("mode")
    @classmethod
    def _judge(cls, value):
        raise KeyboardInterrupt
class Judges(Guest):
    kind, Config = "judges", Picky
class Asks(Guest):
    kind = "asks"
    @classmethod
    def missing(cls, config, environ):
        raise KeyboardInterrupt
class Good(Guest):
    kind = "good"
"""
AT_IMPORT = "raise KeyboardInterrupt\n"
CTRL_C = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
FAULTS = {
    "halts": "the plugin for kind `halts` (halting) cannot be loaded: KeyboardInterrupt",
    "judges: {mode: x}": "KeyboardInterrupt",
    "asks": "the plugin failed when asked what it needs: KeyboardInterrupt",
}


@pytest.fixture
def installed(tmp_path):
    guests.install_module(tmp_path, AT_IMPORT, "halts", name="halting")
    guests.install_module(tmp_path, CTRL_C, "person", name="person")
    return guests.install(tmp_path, GUEST, "judges", "asks", "good")


def section(kind):
    return config("sms", kind if ":" in kind else f"{kind}: {{}}")


@pytest.mark.parametrize("kind", FAULTS)
def test_at_a_reload_the_reload_has_failed_and_the_next_one_works(start, installed, kind):
    listen = "server: {listen: '127.0.0.1:0'}\n"
    sidecar = start(section("good"), **installed)
    sidecar.config.write_text(listen + section(kind))
    (line,) = wait_for(lambda: sidecar.events("reload_failed"), "the failure")
    assert FAULTS[kind] in line["error"]
    assert FAULTS[kind] in sidecar.call("GET", "/health").json["config"]["reload_error"]
    sidecar.config.write_text(f"{listen}# mended\n{section('good')}")
    wait_for(lambda: sidecar.events("reloaded"), "the reload")
    assert sidecar.send().status == 200
    assert sidecar.stop() == 0
    assert sidecar.events("exit_refused") == []
    assert sidecar.errors.read_text() == ""


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("kind", FAULTS)
def test_at_a_start_it_is_a_fault_of_the_configuration(environ, tmp_path, installed, kind, command):
    (tmp_path / "providers.yaml").write_text(section(kind))
    ended = run_command(tmp_path, {**environ, **installed}, command)
    assert ended.returncode == 78
    assert FAULTS[kind] in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_ctrl_c_while_a_plugin_is_loaded_ends_it(environ, tmp_path, installed, command):
    (tmp_path / "providers.yaml").write_text(section("person"))
    ended = run_command(tmp_path, {**environ, **installed}, command)
    assert (ended.returncode, ended.stderr) == (130, "")
